"""Every value again from raw bytes and journaled texts: an honest record is the same, each planted difference is named where it is."""

from __future__ import annotations

import copy
import json
import math
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from edge_gateway.cli.main import NO, OK, WARNINGS
from edge_gateway.cli.main import run as cli
from edge_gateway.journal.reading import Reading
from edge_gateway.profiles.load import available, load, read_cases
from edge_gateway.recompute.core import Findings, Recompute
from edge_gateway.record.entry import canonical, text_hash
from edge_gateway.testing import FakeClock
from tests.intake.test_loop import flushed, running
from tests.recompute.site import METER, Site

Entries = list[tuple[str, dict[str, Any]]]
Texts = dict[str, bytes]


async def _write(folder: Path) -> None:
    """Three runs over segments of 64 entries: killed, then after a power cut, then another scale for the meter."""
    clock = FakeClock()
    site = Site(folder / "site", clock)
    state = folder / "state"
    for number in range(3):
        if number == 1:
            clock.boot, clock._mono_us = "b00200000000", 5_000_000
        async with running(state, clock, setup=site.setup(), segment_entries=64, orderly=number == 2) as run:
            for again in range(15):
                if (number, again) == (2, 7):
                    site.profile_file.write_text(METER.replace('scale = "0.1"', 'scale = "0.3"'))
                    site.reload()
                    await run.intake.command(lambda: run.intake.apply(site.setup(), by="t", reason="t"))
                for batch in site.round():
                    await run.intake.inbox.put(batch)
                await flushed(run)
            while run.journal.status().get("sealing"):
                await flushed(run)
    site.profile_file.write_text(METER.replace("CDAB", "ABCD"))  # the file on disk says nothing of the record


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import asyncio

    folder = tmp_path_factory.mktemp("recompute")
    asyncio.run(_write(folder))
    return folder / "state"


@pytest.fixture(scope="module")
def record(state: Path) -> tuple[Entries, Texts]:
    reading = Reading(state)
    try:
        entries = list(reading.entries())
        named = {each.name: each.read_bytes() for each in (state / "texts").iterdir()}
    finally:
        reading.close()
    return entries, named


def again(entries: Entries, texts: Texts) -> Findings:
    recompute = Recompute(texts.__getitem__)
    for epoch, entry in entries:
        recompute.take(epoch, entry)
    return recompute.findings


def test_an_honest_record_is_the_same(record: tuple[Entries, Texts]) -> None:
    found = again(*record)
    assert found.first is None, found.first
    assert not found.undecided
    assert set(found.same) == {"registers", "messages", "kernel-files", "counters", "derived"}
    assert found.unread > 10
    assert min(found.same.values()) > 40


def test_any_part_from_a_segment_on_is_the_same(record: tuple[Entries, Texts]) -> None:
    entries, texts = record
    firsts = [n for n, (_, entry) in enumerate(entries) if entry["kind"] == "snapshot"]
    assert len(firsts) > 4
    for first in firsts[1:]:
        found = again(entries[first:], texts)
        assert found.first is None, found.first
        assert set(found.undecided) <= {"depends-on-what-is-not-here"}
        assert sum(found.undecided.values()) < 8


def batches(entries: Entries, group: str, holds: Callable[[dict[str, Any]], bool]) -> Iterator[dict[str, Any]]:
    return (e for _, e in entries if e["kind"] == "batch" and e["group"] == group and holds(e))


def good(entry: dict[str, Any], column: int = 0) -> bool:
    return entry.get("quality", ["good"] * 9)[column] in ("good", "uncertain:late")  # the node's own times go to and fro


def _value(column: int, change: Callable[[Any], Any], group: str) -> Callable[[Entries], int]:
    def plant(entries: Entries) -> int:
        entry = list(batches(entries, group, lambda e: good(e, column)))[3]
        entry["values"][column] = change(entry["values"][column])
        return int(entry["seq"])

    return plant


def _silenced(entries: Entries) -> int:
    entry = list(batches(entries, "air.0", lambda e: good(e, 0) and good(e, 1)))[2]
    entry["values"], entry["quality"] = [None, None], ["bad:no-answer"] * 2
    return int(entry["seq"])


def _softened(entries: Entries) -> int:
    entry = next(batches(entries, "air.0", lambda e: e.get("quality", [""])[0] == "bad:sentinel"))
    entry["values"][0], entry["quality"][0] = -20.5, "good"
    return int(entry["seq"])


def _without_bytes(entries: Entries) -> int:
    entry = next(batches(entries, "meter.0", lambda e: "raw" not in e))
    entry["values"], entry["quality"] = [1, 2, 3, 4], ["good"] * 4
    return int(entry["seq"])


def _other_unit(entries: Entries) -> int:
    entry = next(batches(entries, "air.0", good))
    entry["raw"][0][0] = 9
    return int(entry["seq"])


def _time(entries: Entries) -> int:
    entry = next(batches(entries, "node.0", lambda _: True))
    entry["message"]["time_us"] += 1
    return int(entry["seq"])


def _topic(entries: Entries) -> int:
    entry = next(batches(entries, "node.0", lambda _: True))
    entry["message"]["topic"] = "tele/other/SENSOR"
    return int(entry["seq"])


def _total(entries: Entries) -> int:
    entry = list(batches(entries, "water.0", lambda _: True))[4]
    entry["keep"]["pulses"] += 10
    entry["values"] = [None, entry["keep"]["pulses"]]
    return int(entry["seq"])


def _derived_gone(entries: Entries) -> int:
    at = next(n for n, (_, e) in enumerate(entries) if n > 90 and e["kind"] == "batch" and e["group"] == "heat.derived")
    del entries[at]
    return int(next(e["seq"] for _, e in entries[at:] if e["kind"] == "batch"))


def _sum(entries: Entries) -> int:
    entry = [e for _, e in entries if e["kind"] == "snapshot"][-1]
    entry["state"]["sums"]["wraps"]["counts"] -= 5
    return int(entry["seq"])


#: what is planted, and whether it is found at the entry itself
PLANTED: dict[str, Callable[[Entries], int]] = {
    "a register's value one ulp off": _value(1, lambda v: math.nextafter(v, math.inf), "meter.0"),
    "a counter one more": _value(2, lambda v: v + 1, "meter.0"),
    "a contact the other way": _value(0, lambda v: 1 - v, "meter.0"),
    "a message's value": _value(0, lambda v: v + 0.01, "node.0"),
    "a loop's value": _value(0, lambda v: v * 1.001, "level.0"),
    "a probe's value": _value(0, lambda v: v + 0.0625, "probe.0"),
    "the disk's room": _value(0, lambda v: v + 1, "gateway.0"),
    "a total": _value(0, lambda v: v - 0.01, "water.0"),
    "a kept total": _total,
    "a formula's result": _value(0, lambda v: v + 1, "flow2.derived"),
    "a sum over time": _value(0, lambda v: v + 0.001, "heat.derived"),
    "a formula's result left out": _derived_gone,
    "a sum in a snapshot": _sum,
    "a reading made unread": _silenced,
    "an error value made good": _softened,
    "a value that no bytes came for": _without_bytes,
    "bytes of another unit": _other_unit,
    "a message's own time": _time,
    "a message's topic": _topic,
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_was_altered_is_named(record: tuple[Entries, Texts], name: str) -> None:
    entries, texts = copy.deepcopy(record)
    seq = PLANTED[name](entries)
    found = again(entries, texts)
    assert found.first is not None
    assert found.first.seq == seq, found.first


@pytest.mark.parametrize(("right", "wrong"), [("CDAB", "ABCD"), ('scale = "0.1"', 'scale = "0.10000000000000001"'), ("register = 4", "register = 5")])
def test_a_profile_other_than_the_gateways_is_named(record: tuple[Entries, Texts], right: str, wrong: str) -> None:
    """Swapped words, a scale off by less than an ulp of the value, another register: as if the gateway had decoded otherwise."""
    entries, texts = copy.deepcopy(record)
    other = METER.replace(right, wrong, 1).encode()
    name = text_hash(METER.encode())
    texts[name] = other
    found = again(entries, texts)
    assert found.first is not None
    assert found.first.point in ("flow", "total")
    assert found.differs.keys() == {"registers"}


def test_newer_semantics_and_lost_texts_are_not_decided(record: tuple[Entries, Texts]) -> None:
    entries, texts = record
    for name, text in texts.items():
        if b'"semantics"' in text:
            newer = json.loads(text)
            newer["semantics"]["decode"] = 2
            found = again(entries, texts | {name: canonical(newer)})
            assert found.first is None
            assert found.undecided["newer-semantics"] > 40
    found = again(entries, {name: text for name, text in texts.items() if name != text_hash(METER.encode())})
    assert found.first is None
    assert set(found.undecided) == {"text-missing"}


def test_a_payload_kept_as_a_hash_is_not_decided(record: tuple[Entries, Texts]) -> None:
    entries, texts = copy.deepcopy(record)
    entry = next(batches(entries, "node.0", lambda _: True))
    message = entry["message"]
    del message["payload"]
    message |= {"payload_sha256": "0" * 64, "payload_bytes": 5000}
    found = again(entries, texts)
    assert found.first is None
    assert found.undecided == {"payload-kept-as-hash": 1}


def test_every_shipped_profile_by_its_own_cases() -> None:
    """What cases expect of their bytes is what a record with these bytes gives: profiles of registers, N = all of them."""
    from edge_gateway.profiles.cases import NO_READING
    from edge_gateway.profiles.model import ModbusProfile
    from edge_gateway.recompute.registers import Registers

    seen = 0
    for name, file in available().items():
        profile = load(name).profile
        if not isinstance(profile, ModbusProfile):
            continue
        for case in read_cases(file)[0]:
            kind = Registers(1, [profile.channels[channel] for channel in case.expect])
            raw = [[1, block.function, block.start, block.data.lower()] for block in case.blocks]
            for derived, wanted in zip(kind.derive({"raw": raw}), case.expect.values(), strict=True):
                assert isinstance(derived, tuple), (name, case.name)
                assert (derived[0] if derived[1] == "good" else derived[1]) == wanted or wanted == NO_READING, (name, case.name)
                seen += 1
    assert seen > 300


def test_the_command_says_all_three(state: Path, record: tuple[Entries, Texts], capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli(["journal", "recompute", str(state), "--json"]) == OK
    answer = json.loads(capsys.readouterr().out)
    assert answer["schema"] == "edge-gateway/journal-recompute/1"
    assert (answer["outcome"], answer["first"], answer["readings"]["undecided"]) == ("recomputed", None, {})
    assert cli(["journal", "recompute", str(state), "--lang", "zh"]) == OK
    assert "重新算出：每个读数" in capsys.readouterr().out
    _forge(state, tmp_path)
    assert cli(["journal", "recompute", str(tmp_path / "forged")]) == NO
    out = capsys.readouterr().out
    assert "DIFFERS, first at" in out
    assert '"value": -999.0' in out
    shutil.copytree(Path(__file__).parents[1] / "fixtures/journal-v1/state", tmp_path / "old")
    assert cli(["journal", "recompute", str(tmp_path / "old")]) == WARNINGS
    assert "CANNOT DECIDE" in capsys.readouterr().out


def _forge(state: Path, folder: Path) -> None:
    """An open entry's value altered: the folder is whole, and says another temperature."""

    def colder(entry: dict[str, Any]) -> bool:
        if "raw" not in entry and "message" not in entry:
            return False
        entry["values"][0] = -999.0
        entry.pop("quality", None)
        return True

    rewritten(state, folder / "forged", colder)


def rewritten(state: Path, copy_: Path, change: Callable[[dict[str, Any]], bool]) -> None:
    """A copy of a state folder whose newest open entry that ``change`` takes is altered, its checksum made anew."""
    shutil.copytree(state, copy_)
    database = apsw.Connection(str(copy_ / "journal.sqlite"))
    for seq, data in database.execute("SELECT seq, entry FROM tail ORDER BY seq DESC").fetchall():
        entry = json.loads(bytes(data))
        if change(entry):
            forged = json.dumps(entry, separators=(",", ":")).encode()
            crc = zlib.crc32(f"{seq}:".encode() + forged)
            database.execute("UPDATE tail SET entry = ?, crc = ? WHERE seq = ?", (forged, crc, seq))
            break
    else:
        raise AssertionError("no open entry could be altered")
    database.close()
