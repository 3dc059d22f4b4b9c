"""Records of lots as the hub reads them: the newest step of each, bounded, whatever an entry holds."""

from __future__ import annotations

from random import Random
from typing import Any

from regulator_hub.recorded import MAX_RECORDS, recorded
from regulator_hub.view import View
from tests.regulator_hub import record

EPOCH = "0123456789abcdef"


def entry(seq: int, number: int, **more: Any) -> bytes:
    body = {"record": f"tlf-007-R{number}", "type": "intake", "lot": f"A-{number}", "grams": 1_000, "by": "zhang"}
    return record.entry(seq, "record", **body | more)


def test_a_correction_is_told_by_both() -> None:
    view = View("tlf-007", lambda _: None)
    photo = {"sha256": "ab" * 32, "type": "image/jpeg", "bytes": 10}
    view.feed(EPOCH, 0, entry(0, 1, photos=[photo], temperature={"point": "air", "value": 2.5, "quality": "good"}), in_order=True)
    view.feed(EPOCH, 1, entry(1, 2, corrects="tlf-007-R1", reason="misread"), in_order=True)
    first, second = view.state["records"].values()
    assert (first["replaced_by"], first["photos"], first["temperature"]["value"]) == ("tlf-007-R2", ["ab" * 32], 2.5)
    assert (second["corrects"], second["grams"]) == ("tlf-007-R1", 1_000)
    view.feed(EPOCH, 0, entry(0, 1), in_order=True)  # it comes twice
    assert view.state["records"]["tlf-007-R1"]["replaced_by"] == "tlf-007-R2"
    assert view.state["unknown"] == {}


def test_it_is_bounded_and_no_entry_harms_it() -> None:
    view = View("tlf-007", lambda _: None)
    for seq in range(MAX_RECORDS + 40):
        view.feed(EPOCH, seq, entry(seq, seq, note="x" * 9_000), in_order=True)
    assert len(view.state["records"]) == MAX_RECORDS
    assert max(len(each["note"]) for each in view.state["records"].values()) == 300
    dice, known = Random(1), dict[str, Any]()
    strange: list[Any] = [None, [], {}, "x", 1.5, True, 2**70, [[[]]], {"a": {}}, -1, "\x1b[2J"]
    for _ in range(3_000):
        content = {key: dice.choice(strange) for key in ("record", "wall_us", "type", "grams", "from", "temperature", "photos", "lacking", "corrects", "void")}
        try:
            recorded(known, (EPOCH, 0), content)
        except ValueError:
            continue
    assert known
