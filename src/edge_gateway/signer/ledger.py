"""What was signed last of each log, and whether the next may be: a synced file and a pure judgement; holds no key.

A log (an epoch of the gateway) is signed only forwards: a head that does not grow out of the last one would be a fork
or a roll-back, and a signature under it would be the proof against us. New epochs are counted: a thief of the machine
could otherwise have any number of histories signed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import orjson

from edge_gateway.errors import SignerError, SignerRefused
from edge_gateway.links.synced import write_synced
from edge_gateway.record.proof import extends
from edge_gateway.signer.base import Ask

#: Epochs that may be born within a day; an honest gateway opens a few in its life.
MOST_BORN, BORN_WITHIN_S = 12, 86_400
#: Logs that the file has room for.
MOST_LOGS = 20_000
_EPOCH = re.compile(r"[0-9a-f]{16}")
_VERSION = 1


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
        logs = {origin: [size, root.hex()] for origin, (size, root) in self.logs.items()}
        body = orjson.dumps({"v": _VERSION, "name": self.name, "logs": logs, "born": self.born, "key": self.key, "last": self.last}, option=orjson.OPT_SORT_KEYS)
        return b'{"sha256":"%s","ledger":%s}\n' % (sha256(body).hexdigest().encode(), body)

    @classmethod
    def parse(cls, data: bytes) -> Ledger:
        """Raises SignerError for bytes that are not as they were written: nothing is signed by a ledger that forgot."""
        try:
            whole = orjson.loads(data)
            body = whole["ledger"]
            if sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest() != whole["sha256"] or body["v"] != _VERSION:
                raise ValueError("its checksum or version is wrong")
            logs = {str(origin): (int(size), bytes.fromhex(root)) for origin, (size, root) in body["logs"].items()}
            return cls(str(body["name"]), logs, [int(born) for born in body["born"]], str(body.get("key", "")), str(body.get("last", "")))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            hint = "restore it from a copy; without it an older state of the record could be signed again"
            raise SignerError(f"the signer's ledger cannot be believed: {error}", hint=hint) from error


def read(path: Path) -> Ledger:
    """The ledger in ``path``; an empty one if there is no file. Raises SignerError, OSError."""
    try:
        return Ledger.parse(path.read_bytes())
    except FileNotFoundError:
        return Ledger()


def write(path: Path, ledger: Ledger) -> None:
    """Durable on return, and never half. Raises OSError."""
    write_synced(path, bytes(ledger))
