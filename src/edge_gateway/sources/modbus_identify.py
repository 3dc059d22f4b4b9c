"""Asks one unit what it is: its own word (functions 43/14 and 17), then the registers that its likeliest profiles name.

It only asks; what the answers are worth is said by ``profiles.match``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_gateway.errors import BadFrame, DeviceRefused
from edge_gateway.links.modbus import NoAnswer, device_id_request, request, server_id_request
from edge_gateway.profiles.match import Block, Match, Matcher
from edge_gateway.profiles.model import ModbusProfile

#: Questions for telling what a unit is; beyond them it stays unknown.
MOST_QUESTIONS = 120
#: What was read goes along with what was found, up to so many runs of so many registers each: about 5 KB.
MOST_BLOCKS, MOST_BLOCK = 24, 32
#: What is told of a unit: the likeliest profiles, and none of less than one part in a hundred.
MOST_MATCHES, LEAST_SCORE = 5, 0.01
_TEXT_MOST = 64

#: One question's PDU -> the answer's. Raises what ``Line.exchange`` raises.
Ask = Callable[[bytes], Awaitable[bytes]]


@dataclass(slots=True)
class Identity:
    """What a unit says of itself, and which profiles fit."""

    vendor: str = ""
    product: str = ""
    revision: str = ""
    server_id: str = ""
    matches: list[Match] = field(default_factory=list)
    blocks: list[dict[str, Any]] = field(default_factory=list)  # what was read of it, for a profile that is not there yet
    questions: int = 0
    bad: int = 0
    silent: int = 0


async def identify(ask: Ask, profiles: Sequence[ModbusProfile]) -> Identity:
    """Everything that can be known of the unit behind ``ask``. Raises LinkDown when the line is gone."""
    identity = Identity()
    matcher = Matcher(profiles)
    by_server_id = any(profile.identify.server_id for profile in profiles)
    texts = objects(await _asked(identity, ask, device_id_request(1, 0)) or b"")
    identity.vendor, identity.product, identity.revision = (texts.get(number, "") for number in (0, 1, 2))
    if not texts and (by_server_id or not identity.silent):  # who says nothing to 43 says nothing to 17 either
        identity.server_id = printable((await _asked(identity, ask, server_id_request()) or b"")[2:])
    matcher.texts(texts, identity.server_id)
    while identity.questions < MOST_QUESTIONS and (block := matcher.wanted()) is not None:
        await _read(identity, ask, matcher, block)
    identity.matches = [match for match in matcher.result() if match.score >= LEAST_SCORE][:MOST_MATCHES]
    identity.blocks = [
        {"function": function, "start": start, "count": count, "data": data.hex()}
        for (function, start, count), data in matcher.read()[:MOST_BLOCKS]
        if count <= MOST_BLOCK
    ]
    return identity


async def _read(identity: Identity, ask: Ask, matcher: Matcher, block: Block) -> None:
    answer = await _asked(identity, ask, request(*block))
    if answer is None:
        matcher.refused(block)
    else:
        matcher.answered(block, answer[2:])


async def _asked(identity: Identity, ask: Ask, pdu: bytes) -> bytes | None:
    """The answer; None for a refusal, silence, or two garbled answers."""
    for _ in range(2):
        identity.questions += 1
        try:
            return await ask(pdu)
        except DeviceRefused:
            return None
        except NoAnswer:
            identity.silent += 1
            return None
        except BadFrame:
            identity.bad += 1
    return None


def objects(answer: bytes) -> dict[int, str]:
    """The texts of an answer of function 43/14 by object (V1.1b3, 6.21); {} for anything else."""
    found: dict[int, str] = {}
    if len(answer) < 7 or answer[:2] != b"\x2b\x0e":
        return found
    at = 7
    for _ in range(answer[6]):
        if at + 2 > len(answer):
            break
        number, length = answer[at], answer[at + 1]
        found[number] = printable(answer[at + 2 : at + 2 + length])
        at += 2 + length
    return found


def printable(data: bytes) -> str:
    """A foreign text, cut to what may be shown: printable, without blanks around it, at most 64 characters."""
    text = data.decode("utf-8", "replace").replace("\ufffd", "")
    return "".join(sign for sign in text if sign.isprintable()).strip()[:_TEXT_MOST]
