"""Asks the hub for the newest state that it holds of us: a snapshot's entry, those after it, the texts they name; judges no entry.

For a gateway whose record begins with nothing. What comes is bounded, and whole or nothing.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import orjson

from edge_gateway.errors import Unreachable
from edge_gateway.sinks.base import Recalled
from edge_gateway.sinks.hub_session import Lane
from edge_gateway.wire import hub as wire
from edge_gateway.wire.hub import WireError

#: A segment's entries, and bytes of entries or of one text: more than any gateway that we know has.
MOST_ENTRIES, MOST_BYTES = 4_096, 16 * 1024 * 1024


async def recall(lane: Lane) -> Recalled | None:
    """In a session that stands. None where the hub holds nothing of us, or is of an older release. Raises Unreachable, NotAuthorised."""
    answer = await lane.ask({"kind": "recall"})
    at = answer.get("recall")
    if "unsupported" in answer or at is None:
        return None
    if not isinstance(at, dict) or not all(_number(at.get(key)) for key in ("first", "size")):
        raise Unreachable("the hub does not say where our state lies")
    entries = await _entries(lane, str(at.get("epoch")), int(at["first"]), int(at["size"]))
    texts = {name: await _text(lane, name) for name in _wanted(entries)}
    return Recalled(epoch=str(at["epoch"]), first=int(at["first"]), entries=tuple(entries), texts=texts)


async def _entries(lane: Lane, epoch: str, first: int, size: int) -> list[bytes]:
    if not 0 < size - first <= MOST_ENTRIES:
        raise Unreachable(f"the hub's newest state lies {size - first} entries back: no segment has so many")
    found: list[bytes] = []
    while len(found) < size - first:
        try:
            header = {"kind": "fetch", "epoch": epoch, "first": first + len(found), "count": size - first - len(found)}
            part = wire.decode_run(await lane.ask(header))
        except WireError as error:
            raise Unreachable(f"the hub gives nothing back that reads: {error.why}") from None
        found += part
        if not part or sum(map(len, found)) > MOST_BYTES:
            raise Unreachable("the hub does not give back what it says it holds, or more than any gateway has")
    return found[: size - first]


async def _text(lane: Lane, name: str) -> bytes:
    """A text by its hash. Raises Unreachable where the hub lacks it, or gives another."""
    found = b""
    while True:
        answer = await lane.ask({"kind": "fetch-text", "sha256": name, "at": len(found)})
        try:
            part = wire.decode_part(answer)
        except WireError as error:
            raise Unreachable(f"the hub gives no text that reads: {error.why}") from None
        found += part
        if not part or len(found) > MOST_BYTES:
            raise Unreachable(f"the hub lacks the text {name}")
        if len(found) >= int(answer["size"] if _number(answer.get("size")) else 0):
            break
    if sha256(found).hexdigest() != name:
        raise Unreachable(f"the hub gives another text for {name}")
    return found


def _wanted(entries: list[bytes]) -> list[str]:
    """Texts without which nothing can be judged again: resolved configurations and a large state."""
    names: dict[str, None] = {}
    for entry in entries:
        if b'"config"' not in entry and b'"snapshot"' not in entry:
            continue
        try:
            content = orjson.loads(entry)
        except orjson.JSONDecodeError:
            raise Unreachable("the hub gives back what is no entry") from None
        if not isinstance(content, dict) or content.get("kind") not in ("config", "snapshot"):
            continue
        config = content if content["kind"] == "config" else content.get("config")
        text = config.get("text") if isinstance(config, dict) else None
        names |= {name: None for name in (content.get("state_text"), text) if isinstance(name, str)}
    return list(names)


def _number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
