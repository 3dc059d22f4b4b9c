"""Asks the hub for the newest state that it holds of us: a snapshot's entry, those after it, the texts they name; judges no entry.

For a gateway whose record begins with nothing. What comes is bounded, and whole or nothing.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import orjson

from edge_gateway.sinks.base import Choose, NotRecalled, Recalled
from edge_gateway.sinks.hub_session import Lane
from edge_gateway.wire import hub as wire
from edge_gateway.wire.hub import WireError

#: Two segments' entries, and bytes of entries, of one text, of all texts: more than any gateway that we know has.
MOST_ENTRIES, MOST_BYTES, MOST_TEXT_BYTES, MOST_TEXTS_BYTES = 8_192, 32 << 20, 16 << 20, 32 << 20


class _Lacking(NotRecalled):
    """The hub names a text that it does not have."""


async def recall(lane: Lane, choose: Choose) -> Recalled | None:
    """In a session that stands. None where the hub holds nothing of us that is wanted, or is of an older release.

    Where a text of the newest state is missing, from the snapshot before it. Raises Unreachable, NotAuthorised, NotRecalled.
    """
    answer = await lane.ask({"kind": "recall"})
    told = [answer.get(key) for key in ("recall", "pending") if answer.get(key) is not None]
    if "unsupported" in answer or not told:
        return None
    places = [_place(at) for at in told]
    chosen = await choose([(epoch, size) for epoch, _, size in places])
    if chosen is None:
        return None
    epoch, first, size = places[chosen]
    try:
        return await _whole(lane, epoch, first, size)
    except _Lacking as lacking:
        before = (await lane.ask({"kind": "recall", "before": {"epoch": epoch, "seq": first}})).get("recall")
        if before is None or _place(before)[1] >= first:
            raise lacking from None
        return await _whole(lane, epoch, _place(before)[1], size)


async def _whole(lane: Lane, epoch: str, first: int, size: int) -> Recalled:
    entries = await _entries(lane, epoch, first, size)
    texts: dict[str, bytes] = {}
    for name in _wanted(entries):
        texts[name] = await _text(lane, name, MOST_TEXTS_BYTES - sum(map(len, texts.values())))
    return Recalled(epoch=epoch, first=first, entries=tuple(entries), texts=texts)


def _place(at: object) -> tuple[str, int, int]:
    """(epoch, first, size)."""
    if not isinstance(at, dict) or not all(_number(at.get(key)) for key in ("first", "size")):
        raise NotRecalled("the hub does not say where our state lies")
    return str(at.get("epoch")), int(at["first"]), int(at["size"])


async def _entries(lane: Lane, epoch: str, first: int, size: int) -> list[bytes]:
    if not 0 < size - first <= MOST_ENTRIES:
        raise NotRecalled(f"the hub's newest state lies {size - first} entries back: no two segments have so many")
    found: list[bytes] = []
    while len(found) < size - first:
        try:
            header = {"kind": "fetch", "epoch": epoch, "first": first + len(found), "count": size - first - len(found)}
            part = wire.decode_run(await lane.ask(header))
        except WireError as error:
            raise NotRecalled(f"the hub gives nothing back that reads: {error.why}") from None
        found += part
        if not part or sum(map(len, found)) > MOST_BYTES:
            raise NotRecalled("the hub does not give back what it says it holds, or more than any gateway has")
    return found[: size - first]


async def _text(lane: Lane, name: str, left: int) -> bytes:
    """A text by its hash, ``left`` bytes at most. Raises NotRecalled where the hub lacks it, or gives another."""
    found = b""
    while True:
        answer = await lane.ask({"kind": "fetch-text", "sha256": name, "at": len(found)})
        try:
            part = wire.decode_part(answer)
        except WireError as error:
            raise NotRecalled(f"the hub gives no text that reads: {error.why}") from None
        found += part
        if not part:
            raise _Lacking(f"the hub lacks the text {name}")
        if len(found) > min(MOST_TEXT_BYTES, left):
            raise NotRecalled(f"the hub's texts are larger than any gateway's: {name}")
        if len(found) >= int(answer["size"] if _number(answer.get("size")) else 0):
            break
    if sha256(found).hexdigest() != name:
        raise NotRecalled(f"the hub gives another text for {name}")
    return found


def _wanted(entries: list[bytes]) -> list[str]:
    """Texts without which nothing can be judged again: resolved configurations, and a large state that all begins with."""
    names: dict[str, None] = {}
    for number, entry in enumerate(entries):
        if b'"config"' not in entry and b'"snapshot"' not in entry:
            continue
        try:
            content = orjson.loads(entry)
        except orjson.JSONDecodeError:
            raise NotRecalled("the hub gives back what is no entry") from None
        if not isinstance(content, dict) or content.get("kind") not in ("config", "snapshot") or (number and content["kind"] == "snapshot"):
            continue
        config = content if content["kind"] == "config" else content.get("config")
        text = config.get("text") if isinstance(config, dict) else None
        names |= {name: None for name in (content.get("state_text"), text) if isinstance(name, str)}
    return list(names)


def _number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
