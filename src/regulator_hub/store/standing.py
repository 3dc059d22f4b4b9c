"""What stands open of a gateway, in its own entries' words: for one that lost its record; writes nothing."""

from __future__ import annotations

from typing import Any

import apsw
import orjson

from edge_gateway.violations import RECORD_KEYS
from regulator_hub.store import reader as read
from regulator_hub.view import View

#: Records and bytes of one answer.
MOST, MOST_BYTES = 100, 128 * 1024


def told(db: apsw.Connection, view: View, after: str) -> dict[str, Any]:
    """Open violations and notices with ids behind ``after``, and the highest number; ``later`` while entries are not interpreted."""
    epochs = {epoch.epoch: epoch for epoch in read.epochs(db, view.gateway)}
    left = sum(e.size - view.state["cursors"].get(e.epoch, 0) for e in epochs.values() if e.branch_of is None)
    if left > 0:
        return {"later": left}
    steps = sorted((s for s in list(view.state["violations"].values()) if not s["ended"] and s["violation"] > after), key=lambda s: str(s["violation"]))
    found: list[dict[str, Any]] = []
    size = 0
    for step in steps:
        epoch = epochs.get(step["epoch"])
        entries = read.entries(db, epoch.id, step["seq"], 1) if epoch is not None else []
        found.append(_record(step, entries[0][1] if entries else b""))
        size += len(orjson.dumps(found[-1]))
        if len(found) == MOST or size > MOST_BYTES:
            break
    return {"standing": {"number": view.state["number"], "open": found, "more": len(found) < len(steps)}}


def _record(step: dict[str, Any], entry: bytes) -> dict[str, Any]:
    """As the violation's last entry has it; what is known only from a snapshot, as it is shown here."""
    try:
        content = orjson.loads(entry)
    except orjson.JSONDecodeError:
        content = {}
    if isinstance(content, dict) and content.get("kind") == "violation":
        known = content
    else:
        known = {**step, "level": "violation" if step["violated"] else "notice", "episode": 1}
    level = "violation" if step["violated"] else str(known.get("level") or "notice")
    return {key: known[key] for key in RECORD_KEYS if key in known} | {"level": level, "at": {"epoch": step["epoch"], "seq": step["seq"]}}
