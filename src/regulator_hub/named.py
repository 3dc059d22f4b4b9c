"""Which violation a person means: two may have one display number where a gateway lost its record; pure, and decides nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_gateway.errors import GatewayError
from edge_gateway.wire.command import HubCommand


def named(rows: Mapping[str, Mapping[str, Any]], text: str) -> str:
    """The row that ``text`` names: a number, ``number@epoch`` (or its first digits), or ``epoch/seq`` of the entry that opened it.

    A number alone means the one that is open, if one is. Raises GatewayError for none, and for several.
    """
    number, at, epoch = text.partition("@")
    exact = [row for row, step in rows.items() if text in (opened_at(step), f"{step['violation']}@{opened_at(step)}")]
    found = exact or [row for row, step in rows.items() if step["violation"] == number and opened_at(step).startswith(epoch)]
    if len(found) > 1 and not at:
        found = [row for row in found if not rows[row]["ended"]] or found
    if not found:
        raise GatewayError(f"the hub knows no violation '{text}'", hint="`regulator-hub violations list` shows the open ones")
    if len(found) > 1:
        names = ", ".join(f"{rows[row]['violation']}@{opened_at(rows[row])}" for row in found)
        raise GatewayError(f"'{text}' names {len(found)} violations", hint=f"say which: {names}")
    return found[0]


def is_about(command: HubCommand, step: Mapping[str, Any]) -> bool:
    """Whether the command is about this one, and not another of its number."""
    return command.violation == step["violation"] and opened_at(step) in ("", f"{command.epoch}/{command.opened}")


def answers(answer: Mapping[str, Any], step: Mapping[str, Any]) -> bool:
    """Whether a gateway's answer is about this one, and not another of its number; answers of earlier releases say the number only."""
    return answer.get("violation") == step["violation"] and ("opened" not in answer or opened_at(step) in ("", opened_at(answer)))


def opened_at(step: Mapping[str, Any]) -> str:
    """``epoch/seq`` of the entry that opened it, as far as the hub was told; "" where a view is of an earlier release."""
    place = step.get("opened") or step.get("born") or {}
    return f"{place['epoch']}/{place['seq']}" if place else ""


def shown(rows: Mapping[str, Mapping[str, Any]], row: str) -> str:
    """Its number, with its epoch where another has the same number."""
    number = str(rows[row]["violation"])
    several = sum(step["violation"] == number for step in rows.values()) > 1
    return f"{number}@{opened_at(rows[row]).partition('/')[0]}" if several else number
