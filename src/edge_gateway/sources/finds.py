"""The inbox of things found and not yet wanted: units that a scan met, topics that nobody configured; kept seven days, bounded.

One file in the state folder, written whole and renamed into place. It is a list of suggestions: nothing is measured by it.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_gateway.errors import GatewayError
from edge_gateway.links.synced import write_synced

#: Whatever was not seen for so long is forgotten, and beyond so many the oldest go first.
KEPT_US = 7 * 86_400_000_000
MOST_ITEMS = 200
#: One item's size: what is larger was not made by a scan of ours.
MOST_BYTES = 16_384
FILE = "inbox.json"

Item = dict[str, Any]


class Finds:
    """The items in a state folder. Each call reads and writes the file: it is small, and seldom needed."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._one = threading.Lock()  # scans and brokers' topics come from threads of their own

    def items(self, wall_us: int) -> list[Item]:
        """What is kept, by number."""
        return [item for item in self._read()["items"] if _kept(item, wall_us)]

    def item(self, number: int, wall_us: int) -> Item:
        """One of them. Raises GatewayError when there is none."""
        found = next((item for item in self.items(wall_us) if item["id"] == number), None)
        if found is None:
            raise GatewayError(f"no item {number} in the inbox", hint="`edge-gateway inbox list` shows them; `scan` finds them anew")
        return found

    def put(self, key: str, found: Mapping[str, Any], wall_us: int) -> int:
        """Keep ``found`` under ``key``, in the place of what was there; its number, which stays with the key."""
        text = json.dumps(found, ensure_ascii=False)
        if len(text.encode()) > MOST_BYTES:
            raise GatewayError(f"'{key}' is too large for the inbox")
        with self._one:
            return self._put(key, found, wall_us)

    def _put(self, key: str, found: Mapping[str, Any], wall_us: int) -> int:
        document = self._read()
        items = [item for item in document["items"] if _kept(item, wall_us)]
        old = next((item for item in items if item["key"] == key), None)
        if old is not None:
            old |= {"seen_us": wall_us, "found": dict(found)}
        else:
            number = document["next"]
            document["next"] = number + 1
            old = {"id": number, "key": key, "first_us": wall_us, "seen_us": wall_us, "ignored": False, "found": dict(found)}
            items.append(old)
        items = sorted(sorted(items, key=lambda item: int(item["seen_us"]))[-MOST_ITEMS:], key=lambda item: int(item["id"]))
        self._write({"next": document["next"], "items": items})
        return int(old["id"])

    def ignore(self, number: int, wall_us: int) -> Item:
        """Show it no more, also when it is found again. Raises GatewayError."""
        item = self.item(number, wall_us)
        self._change(number, {"ignored": True}, wall_us)
        return item

    def drop(self, number: int, wall_us: int) -> None:
        """It became part of the configuration."""
        self._change(number, None, wall_us)

    def _change(self, number: int, change: Mapping[str, Any] | None, wall_us: int) -> None:
        with self._one:
            document = self._read()
            items = [item for item in document["items"] if _kept(item, wall_us) and (change is not None or item["id"] != number)]
            for item in items:
                if item["id"] == number and change is not None:
                    item |= change
            self._write({"next": document["next"], "items": items})

    def _read(self) -> dict[str, Any]:
        try:
            document = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return {"next": 1, "items": []}
        except (OSError, ValueError, RecursionError) as error:
            hint = f"delete {self._file}: it holds suggestions only"
            raise GatewayError(f"{self._file} cannot be read: {error}", hint=hint) from error
        if not (isinstance(document, dict) and isinstance(document.get("next"), int) and _all_sound(document.get("items"))):
            raise GatewayError(f"{self._file} is no inbox", hint=f"delete {self._file}: it holds suggestions only")
        return document

    def _write(self, document: Mapping[str, Any]) -> None:
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_synced(self._file, json.dumps(document, ensure_ascii=False).encode(), _put, mode=0o666, ending=f".{os.getpid()}.new")
        except OSError as error:
            hint = "ask the running gateway's group for membership, or name another folder with --state"
            raise GatewayError(f"{self._file} cannot be written: {error.strerror}", hint=hint) from error


def _all_sound(items: object) -> bool:
    """Each has what every item has, of the right type; ``found`` is its finder's own."""
    return isinstance(items, list) and all(
        isinstance(item, dict) and all(isinstance(item.get(name), kind) for name, kind in _SHAPE.items()) for item in items
    )


_SHAPE = {"id": int, "key": str, "first_us": int, "seen_us": int, "ignored": bool, "found": dict}


def _put(fresh: Path, file: Path) -> None:
    """What root writes into the service's folder belongs to the service."""
    if os.geteuid() == 0:
        owner = file.parent.stat()
        os.chown(fresh, owner.st_uid, owner.st_gid)
    fresh.rename(file)


def _kept(item: Mapping[str, Any], wall_us: int) -> bool:
    return bool(item["ignored"]) or wall_us - int(item["seen_us"]) <= KEPT_US
