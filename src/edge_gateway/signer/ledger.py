"""What was signed last of each log, and whether the next may be: a synced file and a pure judgement; holds no key.

A log (an epoch of the gateway) is signed only forwards: a head that does not grow out of the last one would be a fork
or a roll-back, and a signature under it would be the proof against us. New epochs are counted: a thief of the machine
could otherwise have any number of histories signed.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from edge_gateway.errors import SignerError, SignerRefused
from edge_gateway.links.synced import overwrite_synced, write_synced
from edge_gateway.record.proof import extends
from edge_gateway.signer.base import Ask

#: Epochs that may be born within a day; an honest gateway opens a few in its life.
MOST_BORN, BORN_WITHIN_S = 12, 86_400
#: Logs that the file has room for.
MOST_LOGS = 20_000
#: The file is filled up to such a block; two slots of two blocks follow. What a disk tears, it tears at their borders or within.
BLOCK = 4096
_EPOCH = re.compile(r"[0-9a-f]{16}")
#: Of version 1 there is no more than the line.
_VERSION, _OLD = 2, 1


@dataclass(slots=True)
class Ledger:
    """``name`` (``<site.origin>/<gateway>``) is fixed by the first log; ``logs``: origin → (size, root); ``born``: when (s); ``key``: the public key (hex) that signs; ``last``: the log that was signed last."""

    name: str = ""
    logs: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    born: list[int] = field(default_factory=list)
    key: str = ""
    last: str = ""

    def judge(self, ask: Ask, now_s: int) -> None:
        """Raises SignerRefused unless ``ask`` may be signed."""
        head = ask.head
        name, _, epoch = head.origin.rpartition("/")
        if not name or not _EPOCH.fullmatch(epoch):
            raise SignerRefused(f"'{head.origin}' is no log of a gateway", hint="<site.origin>/<gateway>/<epoch>")
        if self.name and name != self.name:
            raise SignerRefused(f"this key signs for '{self.name}', not for '{name}'", hint="site.origin and site.id never change")
        held = self.logs.get(head.origin)
        if held is None:
            self._may_be_born(ask, now_s)
            return
        size, root = held
        if head.size < size:
            raise SignerRefused(f"{size} entries were signed, {head.size} are shown: a roll-back", size=size, root=root)
        if head.size == size and head.root == root:
            return
        if ask.old != size or not extends(size, root, head.size, head.root, ask.path):
            why = "it does not grow out of the record that was signed" if ask.old == size else f"a proof from {size} entries on is wanted"
            raise SignerRefused(why, size=size, root=root)

    def _may_be_born(self, ask: Ask, now_s: int) -> None:
        if ask.old or ask.path:
            raise SignerRefused(f"nothing of '{ask.head.origin}' was signed so far")
        recent = sum(now_s - BORN_WITHIN_S < born for born in self.born)  # a clock that went back counts them all
        if recent >= MOST_BORN:
            raise SignerRefused(f"{recent} epochs were born within a day", hint="find out why; more are signed tomorrow")
        if len(self.logs) >= MOST_LOGS:
            raise SignerRefused(f"the signer's ledger is full: {MOST_LOGS} logs")

    def signed(self, ask: Ask, now_s: int) -> Ledger:
        """The ledger once ``ask`` is signed."""
        born = self.born if ask.head.origin in self.logs else [*self.born, now_s][-MOST_BORN:]
        name = self.name or ask.head.origin.rpartition("/")[0]
        return Ledger(name, self.logs | {ask.head.origin: (ask.head.size, ask.head.root)}, born, self.key, ask.head.origin)

    def __bytes__(self) -> bytes:
        """The file, written whole."""
        logs = {origin: [size, root.hex()] for origin, (size, root) in self.logs.items()}
        line = _sealed("ledger", {"v": _VERSION, "name": self.name, "logs": logs, "born": self.born, "key": self.key, "last": self.last})
        return line.ljust(-(len(line) + 1) // BLOCK * -BLOCK - 1) + b"\n" + b" " * (4 * BLOCK)

    @classmethod
    def parse(cls, data: bytes) -> Ledger:
        """Raises SignerError for bytes that are not as they were written: nothing is signed by a ledger that forgot."""
        try:
            line, _, slots = data.partition(b"\n")
            body = _unsealed("ledger", line)
            if body["v"] not in (_OLD, _VERSION) or len(slots) != (4 * BLOCK if body["v"] == _VERSION else 0):
                raise ValueError("its version or its length is wrong")
            logs = {str(origin): (int(size), bytes.fromhex(root)) for origin, (size, root) in body["logs"].items()}
            found = cls(str(body["name"]), logs, [int(born) for born in body["born"]], str(body.get("key", "")), str(body.get("last", "")))
            if newest := _newest(slots):
                found.logs[found.last] = newest
            return found
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            hint = "restore it from a copy; without it an older state of the record could be signed again"
            raise SignerError(f"the signer's ledger cannot be believed: {error}", hint=hint) from error


def _sealed(name: str, body: Any) -> bytes:
    data = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    return b'{"sha256":"%s","%s":%s}' % (sha256(data).hexdigest().encode(), name.encode(), data)


def _unsealed(name: str, data: bytes) -> Any:
    """Raises ValueError, KeyError, TypeError where it is not as it was sealed."""
    whole = orjson.loads(data)
    if sha256(orjson.dumps(whole[name], option=orjson.OPT_SORT_KEYS)).hexdigest() != whole["sha256"]:
        raise ValueError("its checksum is wrong")
    return whole[name]


def _newest(slots: bytes) -> tuple[int, bytes] | None:
    """Size and root of the log signed last, if they were written in place since; a slot that a cut tore leaves the other. Raises ValueError."""
    found: list[tuple[int, int, str]] = []
    for at in range(0, len(slots), BLOCK):
        with suppress(ValueError, KeyError, TypeError):
            found.append(tuple(_unsealed("signed", slots[at : at + BLOCK])))
    if not found and slots[: 2 * BLOCK].strip() and slots[2 * BLOCK :].strip():
        raise ValueError("neither of its slots can be read")
    return (max(found)[1], bytes.fromhex(max(found)[2])) if found else None


class File:
    """The ledger's file. The log that goes on is written in place with one sync, each time into the other slot and there twice; all else is written whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        #: the log that the slots are for, where they begin, how often one was written; none before it was written whole, or where that is not sure
        self._slots: tuple[str, int, int] | None = None

    def write(self, ledger: Ledger) -> None:
        """Durable on return, and never half. Raises OSError."""
        held, self._slots = self._slots, None
        if held is None or held[0] != ledger.last:
            whole = bytes(ledger)
            write_synced(self._path, whole)
            self._slots = ledger.last, len(whole) - 4 * BLOCK, 0
            return
        _, begin, turn = held
        size, root = ledger.logs[ledger.last]
        slot = _sealed("signed", [turn + 1, size, root.hex()]).ljust(BLOCK)
        overwrite_synced(self._path, 2 * slot, begin + turn % 2 * 2 * BLOCK)
        self._slots = ledger.last, begin, turn + 1


def read(path: Path) -> Ledger:
    """The ledger in ``path``; an empty one if there is no file. Raises SignerError, OSError."""
    try:
        return Ledger.parse(path.read_bytes())
    except FileNotFoundError:
        return Ledger()
