"""Sends the texts that the hub lacks; knows no lane's purpose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_gateway.errors import JournalDamaged
from edge_gateway.journal.base import Reader
from edge_gateway.sinks.hub_session import Lane
from edge_gateway.wire.hub import WireError

#: Texts sent after one answer; the hub asks again for the rest.
_AT_ONCE = 64


async def send_texts(lane: Lane, answer: Mapping[str, Any], reader: Reader) -> None:
    """Send what ``need_text`` asks for. A text that is not here, damaged, or larger than a message, is declared gone.

    Raises Unreachable or NotAuthorised.
    """
    done: set[str] = set()
    while len(done) < _AT_ONCE and (asked := _asked(answer) - done):
        for name in sorted(asked):
            done.add(name)
            answer = await _send(lane, name, reader)


def _asked(answer: Mapping[str, Any]) -> set[str]:
    need = answer.get("need_text", [])
    return {name for name in need if isinstance(name, str) and len(name) == 64} if isinstance(need, list) else set()


async def _send(lane: Lane, name: str, reader: Reader) -> dict[str, Any]:
    header = {"kind": "text", "sha256": name}
    try:
        return await lane.ask(header, await reader.text(name))
    except (KeyError, JournalDamaged, WireError):
        return await lane.ask(header | {"gone": True})
