"""Hub commands against vectors made from their page without our code, and against every way to alter one letter."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest

from edge_gateway.commands import DEFERRED, EXECUTED, MAX_KNOWN, REFUSED, TOLERANCE_US, Ledger, refusal
from edge_gateway.record.note import Key
from edge_gateway.wire.command import CommandError, HubCommand, command_key, opened, problem
from tests.vectors import make_hub_commands as made

VECTORS = [json.loads(line) for line in made.FILE.read_text(encoding="utf-8").split("\n") if line]


def of(what: str) -> list[dict[str, Any]]:
    return [vector for vector in VECTORS if vector["what"] == what]


def test_the_file_is_what_the_page_gives() -> None:
    assert made.lines() == VECTORS
    assert (len(of("command")), len(of("bad")) >= 45, len(of("judged"))) == (4, True, 16)


@pytest.mark.parametrize("vector", of("command"), ids=lambda v: v["want"]["verb"])
def test_a_good_command_reads(vector: dict[str, Any]) -> None:
    found = opened(vector["note"].encode(), Key.parse(vector["key"]))
    want = dict(vector["want"])
    expected = found.expected
    assert [expected.condition, expected.handling, expected.episode, expected.returned] == want.pop("expected")
    assert {name: getattr(found, name) for name in want} == want
    assert HubCommand.parse(found.body()) == found


@pytest.mark.parametrize("vector", of("bad"), ids=lambda v: v["why"])
def test_a_bad_one_is_refused_by_its_code(vector: dict[str, Any]) -> None:
    with pytest.raises(CommandError) as refused:
        opened(vector["note"].encode(), Key.parse(vector["key"]))
    assert refused.value.code == vector["code"], str(refused.value)


@pytest.mark.parametrize("vector", of("judged"))
def test_whether_it_may_be_carried_out(vector: dict[str, Any]) -> None:
    command = opened(vector["note"].encode(), Key.parse(vector["key"]))
    why, said = refusal(command, vector["gateway"], vector["record"], vector["now_us"])
    assert (why, bool(said)) == (vector["why"], bool(vector["why"]))


def test_no_altered_byte_gives_another_command() -> None:
    """N = 3,000, seed 6: one byte of a signed command changed, dropped or doubled."""
    rng, key = Random(6), Key.parse(made.HUB.vkey)
    for _ in range(3000):
        data = bytearray(made.note(made.text(rng.choice((made.GOOD, made.EXTEND, made.REFER)))))
        good, at = bytes(data), rng.randrange(len(data))
        data[at : at + rng.choice((0, 1))] = rng.choice((b"", bytes([rng.randrange(256)]), data[at : at + 1] * 2))
        if bytes(data) != good:
            with pytest.raises(CommandError):
                opened(bytes(data), key)


def test_a_cosigning_key_commands_nothing() -> None:
    with pytest.raises(ValueError, match="no key of commands"):
        command_key(made.COSIGNS.vkey)
    with pytest.raises(CommandError):
        opened(made.note(made.text(made.GOOD)), Key.parse(made.COSIGNS.vkey))


@pytest.mark.parametrize("text", ["", " x", "x ", "a\nb", "a\u2028b", "a\x85b", "\x7f", "x" * 65])
def test_words_that_do_not_fit_a_line(text: str) -> None:
    assert problem(text, 64)
    assert not problem("李华 (duty officer)", 64)


def test_the_ledger_forgets_only_what_cannot_come_again() -> None:
    ledger, day = Ledger(), 86_400_000_000
    for number in range(MAX_KNOWN):
        ledger.note(f"{number:032x}", EXECUTED if number else REFUSED, day, now_us=0)
    assert ledger.full(day + 2 * TOLERANCE_US)
    assert ledger.outcome("0" * 32) == REFUSED
    assert not ledger.full(day + 2 * TOLERANCE_US + 1)
    ledger.note("f" * 32, DEFERRED, 3 * day, now_us=2 * day)
    assert (ledger.outcome("0" * 32), ledger.outcome(f"{1:032x}"), ledger.outcome("f" * 32)) == ("", EXECUTED, DEFERRED)
    again = Ledger()
    again.restore(json.loads(json.dumps(ledger.snapshot())))
    assert again.snapshot() == ledger.snapshot()
    assert len(again.snapshot()) == MAX_KNOWN


def test_a_replay_gives_the_same_ledger_and_no_untrusted_clock_makes_it_forget() -> None:
    lived, replayed = Ledger(), Ledger()
    rng = Random(7)
    for _ in range(3 * MAX_KNOWN):
        id_, expires_us, wall_us, trusted = f"{rng.randrange(400):032x}", rng.randrange(10**15), rng.randrange(10**15), rng.random() < 0.5
        lived.note(id_, EXECUTED, expires_us, wall_us if trusted else 0)
        replayed.replay({"id": id_, "outcome": EXECUTED, "expires_us": expires_us, "wall_us": wall_us, "trusted": trusted})
    assert lived.snapshot() == replayed.snapshot()
    replayed.replay({"outcome": REFUSED, "why": "foreign-key"})
    assert lived.snapshot() == replayed.snapshot()
