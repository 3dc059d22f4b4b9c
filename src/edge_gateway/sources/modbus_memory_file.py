"""Keeps what a bus' units refuse in one small file of the state folder, synced; knows neither line nor planner."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from edge_gateway.links.synced import write_synced
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.sources.modbus_memory import Memory

FORMAT = 1
#: A file larger than this is none of ours: 247 units with all their holes are a tenth of it.
MOST_BYTES = 8 * 1024 * 1024


#: How long (real seconds) something learned may wait to be kept: what is lost with the power is learned anew.
SAVE_EVERY_S = 10.0


def fingerprints(devices: Iterable[DeviceSpec]) -> dict[int, str]:
    """By unit a hash of what its devices are described by: another profile, and what was learned under it is forgotten."""
    texts: dict[int, str] = {}  # by object: many devices share a profile
    found: dict[int, set[str]] = {}
    for device in devices:
        key = id(device.profile)
        if key not in texts:
            texts[key] = hashlib.sha256(device.profile.model_dump_json().encode()).hexdigest()
        found.setdefault(device.unit, set()).add(texts[key])
    return {unit: "+".join(sorted(hashes)) for unit, hashes in found.items()}


class MemoryFile:
    """``<folder>/<bus>.json``: by unit its profile's hash and its memory."""

    def __init__(self, folder: Path, bus: str) -> None:
        self.path = folder / f"{bus}.json"
        #: why nothing is kept, or nothing was found; "" when all is well
        self.said = ""

    def restore(self, memories: Mapping[int, Memory], described: Mapping[int, str], mono_us: int) -> None:
        """Fill the memories of units whose profile is what it was. A file that cannot be read is an empty one."""
        try:
            if self.path.stat().st_size > MOST_BYTES:
                raise ValueError(f"larger than {MOST_BYTES} bytes")
            kept = json.loads(self.path.read_bytes())
            if kept["format"] != FORMAT:
                raise ValueError(f"format {kept['format']}")
            for text, about in kept["units"].items():
                unit = int(text)
                if unit in memories and described.get(unit) == about["profile"]:
                    memories[unit].restore(about, mono_us)
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            self.said = f"{self.path}: {error!r}; what was learned is learned anew"

    def save(self, text: bytes) -> None:
        """The file is whole at any moment. A disk that refuses costs only the memory."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_synced(self.path, text, mode=0o666, ending=".new")
        except OSError as error:
            self.said = f"{self.path}: {error.strerror or error}; what is learned now is forgotten at the next start"
        else:
            self.said = ""


def text_of(memories: Mapping[int, Memory], described: Mapping[int, str]) -> bytes:
    """The file's bytes."""
    units: dict[str, Any] = {
        str(unit): {"profile": described[unit]} | memory.as_dict() for unit, memory in sorted(memories.items())
    }
    return json.dumps({"format": FORMAT, "units": units}, separators=(",", ":")).encode()


class Keeper:
    """Saves the memories of a running bus: seldom, in a thread, and once more at the end."""

    def __init__(self, file: MemoryFile) -> None:
        self.file = file
        self._next_s = 0.0
        self._saving: asyncio.Task[None] | None = None

    def tend(self, memories: Mapping[int, Memory], described: Mapping[int, str]) -> None:
        """To be called often: costs nothing until it is time and something has changed."""
        now_s = time.monotonic()
        if now_s < self._next_s or (self._saving is not None and not self._saving.done()):
            return
        self._next_s = now_s + SAVE_EVERY_S
        if text := _changed(memories, described):
            self._saving = asyncio.create_task(asyncio.to_thread(self.file.save, text), name="learned")

    async def end(self, memories: Mapping[int, Memory], described: Mapping[int, str]) -> None:
        """Save what is left, after the save that is under way."""
        if self._saving is not None:
            await asyncio.wait([self._saving])
        if text := _changed(memories, described):
            self.file.save(text)


def _changed(memories: Mapping[int, Memory], described: Mapping[int, str]) -> bytes:
    if not any(memory.changed for memory in memories.values()):
        return b""
    for memory in memories.values():
        memory.changed = False
    return text_of(memories, described)
