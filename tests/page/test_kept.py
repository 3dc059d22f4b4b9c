"""What is said of how long the record stays: what waits for a person, and why nothing goes; in both languages."""

from __future__ import annotations

from typing import Any

import pytest

from edge_gateway.journal.keeping import DAY_US
from edge_gateway.page.kept import SENTENCES, kept

EPOCH = "0123456789abcdef"


def status(*, full: bool = False, signing: Any = None, epochs: list[dict[str, Any]] | None = None, **keeping: Any) -> dict[str, Any]:
    mine = {"keep_us": 730 * DAY_US, "asked_us": 730 * DAY_US, "hub": "hub", "vkey": True, "epochs": epochs or [], "dues": []}
    return {"journal": {"full": full, "keeping": mine | keeping}, "signing": signing, "site": {"id": "tlf-007"}, "sinks": {}}


def waiting(held: int, limit: int) -> list[dict[str, Any]]:
    return [{"epoch": EPOCH, "first": 0, "size": 90, "closed": False, "held": held, "limit": limit}]


def test_nothing_is_said_while_nothing_waits() -> None:
    assert kept(status(), "en") == []
    assert kept(status(epochs=waiting(80, 40), signing={}), "en") == [], "not full: it may yet be witnessed"
    assert kept(status(asked_us=1000 * DAY_US, keep_us=1000 * DAY_US), "zh") == []


def test_what_waits_for_a_person_names_the_step() -> None:
    (said,) = kept(status(asked_us=30 * DAY_US), "en")
    assert "kept for 730 days, the configuration asks for 30" in said
    assert "journal shorten 30" in said
    due = {"hub": "county", "configured": False, "waiting": 12}
    (said,) = kept(status(dues=[due]), "en")
    assert "journal release --hub county" in said
    (said,) = kept(status(dues=[due | {"hub": "county Hub+b1ad4d8b"}]), "en")
    assert "journal release --hub 'county Hub+b1ad4d8b' --reason" in said, "as a shell takes it"
    assert kept(status(dues=[due | {"waiting": 0}]), "en") == []
    assert kept(status(dues=[due | {"configured": True}]), "en") == []


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"vkey": False, "epochs": waiting(90, 0)}, "`vkey` is not configured"),
        ({"epochs": waiting(90, 0)}, "no signer is configured"),
        ({"signing": {}, "epochs": waiting(40, 40)}, "restore the way to it"),
        ({"signing": {}, "epochs": waiting(90, 40)}, f"held, not witnessed (90 of 90 entries held, 40 witnessed): accept epoch {EPOCH} at the hub"),
    ],
)
def test_a_full_record_says_why_nothing_goes(facts: dict[str, Any], words: str) -> None:
    (said,) = kept(status(full=True, **facts), "en")
    assert words in said
    (chinese,) = kept(status(full=True, **facts), "zh")
    assert any("\u4e00" <= letter <= "\u9fff" for letter in chinese)


def test_both_languages_name_the_same_facts() -> None:
    for english, chinese in SENTENCES.values():
        facts = [{part.split("}")[0] for part in text.split("{")[1:]} for text in (english, chinese)]
        assert facts[0] == facts[1], english
