"""One look at a device of this machine's own: what it may give, and the thread that it is taken in; knows no slot and no bus."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.reading import BAD_MISSING, BAD_NO_ANSWER, Value

#: How long the end of a source waits for a reading that is under way (real seconds).
GRACE_S = 0.5


class Unread(Exception):
    """Nothing of this device could be read: the quality of all its points, and why, in words."""

    def __init__(self, quality: str, why: str) -> None:
        super().__init__(why)
        self.quality = quality
        self.why = why


@dataclass(slots=True, kw_only=True)
class Found:
    """What one look at a device gave: channel → (value, quality); the text it came from, and what to keep for the next run."""

    columns: Mapping[str, tuple[Value, str]]
    topic: str = ""
    text: bytes = b""
    keep: dict[str, Any] | None = None
    said: str = ""


class Reader(Protocol):
    """Reads devices of one bus. Called in a thread, one call at a time; may block."""

    def open(self, devices: Sequence[DeviceSpec]) -> None:
        """Before the first reading, and whenever the list of devices changed."""
        ...

    def read(self, device: DeviceSpec) -> Found:
        """All channels of a device. Raises Unread."""
        ...

    def close(self) -> None:
        """Give back what is held."""
        ...


_T = TypeVar("_T")


def in_thread(call: Callable[[], _T], name: str) -> asyncio.Future[_T]:
    """Run in a thread of its own that does not keep the program from ending: a driver may never come back."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_T] = loop.create_future()

    def answer(outcome: list[_T], fault: BaseException | None) -> None:
        if done.done():
            return
        if fault is not None:
            done.set_exception(fault)
        else:
            done.set_result(outcome[0])

    def work() -> None:
        outcome: list[_T] = []
        try:
            outcome.append(call())
        finally:
            with suppress(RuntimeError):  # the loop ended meanwhile
                loop.call_soon_threadsafe(answer, outcome, sys.exception())

    threading.Thread(target=work, name=name, daemon=True).start()
    return done


class Looks:
    """Looks at one device after the other, each time in a thread of its own, for ``most_s`` at the most."""

    def __init__(self, reader: Reader, bus_id: str, most_s: float) -> None:
        self.reads = self.failures = self.stuck = 0
        self._reader, self._bus_id, self._most_s = reader, bus_id, most_s
        self._future: asyncio.Future[Found | Unread] | None = None
        self._device = ""
        self._opened: tuple[DeviceSpec, ...] | None = None

    @property
    def hangs(self) -> bool:
        """A reading is under way, or never came back."""
        return self._future is not None and not self._future.done()

    @property
    def hanging(self) -> str:
        """What to say of a reading that never came back."""
        return f"reading {self._device} has not come back for more than {self._most_s:g} s: its driver hangs"

    @property
    def strangers(self) -> list[str]:
        """What the reader saw on its bus that no device names."""
        return list(getattr(self._reader, "strangers", ()))

    async def look(self, device: DeviceSpec, devices: tuple[DeviceSpec, ...]) -> Found | Unread:
        """One reading. The caller sees to it that there is one at a time."""
        if self.hangs:
            return Unread(BAD_NO_ANSWER, self.hanging)
        self._device = device.id
        self._future = future = in_thread(lambda: self._read(device, devices), f"read:{self._bus_id}")
        await asyncio.wait([future], timeout=self._most_s)
        self.reads += 1
        if future.done():
            found = future.result()
        else:
            future.add_done_callback(_forget)
            self.stuck += 1
            found = Unread(BAD_NO_ANSWER, self.hanging)
        self.failures += isinstance(found, Unread)
        return found

    def _read(self, device: DeviceSpec, devices: tuple[DeviceSpec, ...]) -> Found | Unread:
        """Runs in the thread."""
        try:
            if self._opened is not devices:
                self._reader.open(devices)
                self._opened = devices
            return self._reader.read(device)
        except Unread as unread:
            return unread

    async def ended(self) -> None:
        """A reading that is under way holds what is to be given back: wait for it, but not for a driver that hangs."""
        if self._future is not None:
            await asyncio.wait([self._future], timeout=GRACE_S)

    def close(self) -> None:
        """Give back what the reader holds; what hangs in a driver is left to its thread."""
        if not self.hangs:
            self._reader.close()

    def recorded(self, device: DeviceSpec, found: Found) -> None:
        """What a look found goes into the record; a person's look does not, and leaves no trace in a reader that counts."""
        tell = getattr(self._reader, "recorded", None)
        if tell is not None:
            tell(device, found)

    def memory(self) -> Mapping[str, Any]:
        """What the reader keeps in memory, for the one that follows it."""
        remember = getattr(self._reader, "memory", None)
        return remember() if remember is not None else {}


def _forget(future: asyncio.Future[Any]) -> None:
    """What came back too late is nobody's; a fault in it must not be raised later by the collector."""
    if not future.cancelled():
        future.exception()


def column(found: Found | Unread, channel: str) -> tuple[Value, str]:
    """One channel's value and quality."""
    if isinstance(found, Unread):
        return None, found.quality
    return found.columns.get(channel, (None, BAD_MISSING))
