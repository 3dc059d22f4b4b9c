"""A photo that an entry names is in the pack, as it is; one that was exchanged is found, one that is gone is told."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from edge_gateway.evidence.check import check
from edge_gateway.evidence.judge import Asked
from edge_gateway.journal.files import DiskFiles
from edge_gateway.journal.photos import Photos
from edge_gateway.record.entry import encode
from edge_gateway.record.photo import photo_of
from tests.evidence.record import GATEWAY, HUB, Epoch, entries, pack, write
from tests.journal.entries import BEGAN_US, stamp

PICTURE = b"\xff\xd8\xff\xe1" + bytes(range(256)) * 64
ASKED = Asked(str(GATEWAY.key), str(HUB.key), None)


def state_with(folder: Path, picture: bytes | None) -> Path:
    told = entries(21)
    told[3] = encode(3, "event", stamp(3), {"event": "looked", "photos": [photo_of(PICTURE).body()]})
    state = write(folder / "state", [Epoch("00000000000000e1", told, [(5, BEGAN_US // 10**6 + 6), (21, BEGAN_US // 10**6 + 22)])])
    if picture is not None:
        photos = Photos(DiskFiles(), state)
        photos.open()
        photos.put(picture)
    return state


def test_it_is_in_the_pack_as_it_came_and_an_exchanged_one_is_found(tmp_path: Path) -> None:
    data, made = pack(state_with(tmp_path, PICTURE))
    member = f"photos/{photo_of(PICTURE).sha256}"
    assert zipfile.ZipFile(io.BytesIO(data)).read(member) == PICTURE
    assert made.missing == []
    assert check(io.BytesIO(data), ASKED).outcome == "verified"
    at = data.index(PICTURE) + 5_000
    verdict = check(io.BytesIO(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]), ASKED)  # planted
    assert (verdict.outcome, verdict.code) == ("broken", "photo")


def test_one_that_is_gone_or_another_stays_out_and_is_told(tmp_path: Path) -> None:
    state = state_with(tmp_path, None)
    data, made = pack(state)
    member = f"photos/{photo_of(PICTURE).sha256}"
    assert made.missing == [member]
    assert check(io.BytesIO(data), ASKED).outcome == "verified", "its hash stands in the entry; the record is whole"
    (state / "photos").mkdir(exist_ok=True)
    (state / member).write_bytes(PICTURE[:-1] + b"x")
    data, made = pack(state)
    assert made.missing == [member]
    assert member not in zipfile.ZipFile(io.BytesIO(data)).namelist()


def test_records_of_lots_are_in_the_readable_tables(tmp_path: Path) -> None:
    told = entries(21)
    body = {"record": "tlf-007-R1", "type": "intake", "lot": "A-1", "product": "<i>牛肚</i>", "supplier": "=cmd()", "grams": 120_500, "by": "zhang", "lacking": ["certificate", "photo"]}
    body |= {"temperature": {"point": "cold1-air", "value": -19.0, "quality": "good"}, "photos": [photo_of(PICTURE).body()]}
    told[3] = encode(3, "record", stamp(3), body)
    told[4] = encode(4, "record", stamp(4), {"record": 7, "type": None, "grams": "x", "from": 5, "temperature": "warm", "photos": "none"})
    state = write(tmp_path / "state", [Epoch("00000000000000e1", told, [(21, BEGAN_US // 10**6 + 22)])])
    data, _ = pack(state)
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        csv, zh, en = (zipped.read(name).decode() for name in ("records.csv", "table.zh-CN.html", "table.en.html"))
    lines = csv.splitlines()
    assert len(lines) == 3
    assert ",120.5," in lines[1]
    assert ",=cmd()" not in csv, "no formula runs"
    assert "-19.0 (cold1-air, good)" in lines[1]
    assert '"certificate, photo"' in lines[1]
    for page, title in ((zh, "批次台账"), (en, "Records of lots")):
        assert title in page
        assert "certificate, photo" in page
        assert "&lt;i&gt;牛肚&lt;/i&gt;" in page
        assert f"photos/{photo_of(PICTURE).sha256[:12]}…" in page
    assert check(io.BytesIO(data), ASKED).outcome == "verified"
