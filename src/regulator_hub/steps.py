"""What persons did to the hub, and what each start changed of its configuration: who, when, old, new, why; only ever added to.

Knows no gateway's record: that is a gateway's own. One JSON object a line in ``steps.jsonl`` of the state folder, for the hub's user alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from edge_gateway.errors import GatewayError
from edge_gateway.links.synced import sync_folder
from edge_gateway.links.who import who

FILE = "steps.jsonl"
CONFIGURATION = "configuration"


class Steps:
    """The file in one state folder; a line is whole or, after a power cut, not there."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / FILE

    def note(self, what: str, about: str, *, old: object, new: object, why: str, wall_us: int, by: str = "") -> None:
        """Add one step; durable on return. ``old`` and ``new`` are JSON-able, and no secret. Raises GatewayError."""
        step = {"at_us": wall_us, "by": by or who(), "what": what, "about": about, "old": old, "new": new, "why": why}
        try:
            self._add(orjson.dumps(step) + b"\n")
        except OSError as error:
            hint = "it belongs to the hub's user: run the hub's verbs as that user, `sudo -u regulator-hub`"
            raise GatewayError(f"{self._path} cannot be written: {error.strerror}", hint=hint) from None

    def _add(self, line: bytes) -> None:
        fresh = not self._path.exists()
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        with os.fdopen(os.open(self._path, flags, 0o600), "r+b") as file:
            size = file.seek(0, os.SEEK_END)
            if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
                line = b"\n" + line  # the end of what a power cut left half
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
        if fresh:
            sync_folder(self._path.parent)

    def list(self) -> list[dict[str, Any]]:
        """All steps, oldest first; half a line that a power cut left is passed over."""
        return list(self._read())

    def _read(self) -> Iterator[dict[str, Any]]:
        try:
            lines = self._path.read_bytes().splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                yield dict(orjson.loads(line))
            except orjson.JSONDecodeError:
                continue

    def configured(self, config: Mapping[str, Any], wall_us: int) -> None:
        """A start: what its configuration has otherwise than the last one. Raises GatewayError."""
        flat = dict(_flat(config))
        known: dict[str, Any] = {}
        for step in self._read():
            if step["what"] == CONFIGURATION:
                known[step["about"]] = step["new"]
        for key in sorted(known.keys() | flat.keys()):
            if known.get(key) != flat.get(key):
                self.note(CONFIGURATION, key, old=known.get(key), new=flat.get(key), why="start", wall_us=wall_us)


def _flat(table: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        else:
            yield before + key, value
