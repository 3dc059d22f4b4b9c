"""Commands that wait for a gateway's answer, as files: put there by the command line, sent by the hub; decides nothing.

``commands/<gateway>/<SHA-256 of the note>.note`` in the state folder, 0600 in 0700 folders. A file goes when the gateway's answer stands in
its record, in order: one that expired is sent on, for its gateway to say that it came too late.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from errno import EPERM
from hashlib import sha256
from pathlib import Path

from edge_gateway.commands import TOLERANCE_US
from edge_gateway.errors import ConfigError, GatewayError
from edge_gateway.links.synced import sync_folder, write_synced
from edge_gateway.record.note import Note, NoteError
from edge_gateway.wire.command import MAX_AT_ONCE, CommandError, HubCommand

FOLDER = "commands"
#: Commands that may wait for one gateway, and with them those that expired without an answer: the oldest of these go.
MAX_WAITING, MAX_KEPT = 32, 256
#: The same command goes out again after this, while it is not answered (real seconds).
AGAIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """A command without an answer: ``name`` is its note's SHA-256, by which the gateway's entry names it."""

    name: str
    note: bytes
    command: HubCommand


class Outbox:
    """The files below one state folder; any number of processes may put, one sends."""

    def __init__(self, state_dir: Path, mono_s: Callable[[], float] = time.monotonic) -> None:
        self._folder = state_dir / FOLDER
        self._mono_s = mono_s
        self._known: dict[str, tuple[frozenset[str], list[Waiting]]] = {}
        self._sent_s: dict[str, float] = {}

    def put(self, command: HubCommand, note: bytes, first: Callable[[], None] = lambda: None) -> None:
        """Durable on return; ``first`` is called when there is a place for it, before it is kept.

        Raises ConfigError where too many wait, GatewayError where it cannot be written, and what ``first`` raises.
        """
        folder = self._folder / command.gateway
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            if (owner := self._folder.parent.stat().st_uid) != os.geteuid():  # root can write here, and the hub could not read it
                raise PermissionError(EPERM, f"the hub's folder belongs to user {owner}")
            sync_folder(self._folder.parent)
            sync_folder(self._folder)
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)  # two persons at once cannot both take the last place
                self._make_room(command)
                first()
                write_synced(folder / f"{sha256(note).hexdigest()}.note", note)
            finally:
                os.close(handle)
        except OSError as error:
            hint = "it belongs to the hub's user: run the hub's verbs as that user, `sudo -u regulator-hub`"
            raise GatewayError(f"{folder} cannot be written: {error.strerror}", hint=hint) from None

    def _make_room(self, command: HubCommand) -> None:
        waiting = self.waiting(command.gateway)
        expired = [item for item in waiting if over(item.command, command.issued_us)]
        if len(waiting) - len(expired) >= MAX_WAITING:
            hint = "is the gateway dark? `regulator-hub violations list` shows what waits"
            raise ConfigError(f"{MAX_WAITING} commands wait for gateway '{command.gateway}' already", hint=hint)
        for item in expired[: max(0, len(waiting) + 1 - MAX_KEPT)]:
            self.drop(command.gateway, item)

    def gateways(self) -> list[str]:
        """For whom something waits, or waited."""
        return sorted(path.name for path in self._folder.glob("*")) if self._folder.is_dir() else []

    def waiting(self, gateway: str) -> list[Waiting]:
        """What waits for a gateway, oldest first; files that are no command are passed over."""
        folder = self._folder / gateway
        try:
            names = frozenset(path.name for path in folder.iterdir() if path.suffix == ".note")
        except OSError:
            return []
        known = self._known.get(gateway)
        if known is None or known[0] != names:  # a name is its content's hash
            before = {} if known is None else {f"{item.name}.note": item for item in known[1]}
            found = [item for name in names if (item := before.get(name) or _read(folder / name)) is not None]
            known = (names, sorted(found, key=lambda item: (item.command.issued_us, item.name)))
            self._known[gateway] = known
        return known[1]

    def due(self, gateway: str, now_us: int, answered: Callable[[str], bool]) -> list[bytes]:
        """Notes to send with an answer now, those that expired last. ``answered``: whether the gateway's record answers the note of that name."""
        due: list[bytes] = []
        now_s = self._mono_s()
        for item in sorted(self.waiting(gateway), key=lambda item: over(item.command, now_us)):
            if answered(item.name):
                self.drop(gateway, item)
            elif not _closing(item.command, now_us) and now_s - self._sent_s.get(item.name, -AGAIN_S) >= AGAIN_S and len(due) < MAX_AT_ONCE:
                self._sent_s[item.name] = now_s
                due.append(item.note)
        return due

    def drop(self, gateway: str, item: Waiting) -> None:
        """It is answered, or nobody waits for its answer any more."""
        (self._folder / gateway / f"{item.name}.note").unlink(missing_ok=True)
        self._sent_s.pop(item.name, None)
        self._known.pop(gateway, None)


def over(command: HubCommand, now_us: int) -> bool:
    """Whether it has expired, and its gateway may be asked no more to carry it out."""
    return now_us > command.expires_us + TOLERANCE_US


def _closing(command: HubCommand, now_us: int) -> bool:
    """Whether it is over by this clock, and might not be by its gateway's: it is not sent."""
    return over(command, now_us) and now_us <= command.expires_us + 2 * TOLERANCE_US


def _read(path: Path) -> Waiting | None:
    try:
        note = path.read_bytes()
        return Waiting(path.stem, note, HubCommand.parse(Note.parse(note).text))
    except (OSError, NoteError, CommandError):
        return None
