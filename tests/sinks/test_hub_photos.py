"""Photos against a real hub, over HTTP and over a real broker: asked for, in parts, gone on with, receipted by hash."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any
from urllib.request import urlopen

import pytest

from edge_gateway.record.photo import photo_of
from edge_gateway.sinks.hub_photos import PART_BYTES
from tests.regulator_hub import record
from tests.regulator_hub.harness import EPOCH, GATEWAY
from tests.servers.mosquitto import Mosquitto
from tests.sinks.test_hub import Bench, bench


def picture(seed: int, size: int = 5 * PART_BYTES // 2) -> bytes:
    return b"\xff\xd8\xff\xe0" + Random(seed).randbytes(size - 4)


class Photos:
    """What the record's reader gives of photos."""

    def __init__(self, *pictures: bytes) -> None:
        self.there = {hashlib.sha256(data).hexdigest(): data for data in pictures}
        self.reads = 0

    async def photo(self, sha256: str) -> bytes:
        self.reads += 1
        return self.there[sha256]


@pytest.fixture(params=["http", "mqtt"])
async def ready(request: pytest.FixtureRequest, tmp_path: Path, mosquitto: Mosquitto) -> AsyncIterator[Bench]:
    async with bench(tmp_path, request.param, mosquitto) as made:
        yield made


def naming(seq: int, *pictures: bytes) -> bytes:
    return record.entry(seq, "event", event="looked", photos=[photo_of(data).body() for data in pictures])


async def given(ready: Bench, *pictures: bytes) -> Photos:
    photos = Photos(*pictures)
    ready.record.photo = photos.photo  # type: ignore[attr-defined]
    ready.record.add(EPOCH, [*record.start(4), naming(4, *pictures)])
    await ready.sink.meet(ready.record.epochs())
    await ready.deliver(0, 5)
    return photos


async def until_held(ready: Bench) -> tuple[list[str], int]:
    """Receipts, and how many messages it took."""
    found: list[str] = []
    for sent in range(60):
        answer = await ready.sink.show_photo(ready.record)
        if answer is None:
            return found, sent
        found += [answer] if answer else []
    raise AssertionError("it never ends")


def files(ready: Bench) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (ready.running.hub.config.state_dir / "photos").iterdir()}


async def test_a_photo_that_an_entry_names_is_asked_for_and_receipted_once_it_is_whole(ready: Bench) -> None:
    one, two = picture(1), picture(2)
    photos = await given(ready, one, two)
    found, messages = await until_held(ready)
    assert sorted(found) == sorted(photos.there)
    assert messages == 2 * (1 + 3), "asked where to go on, then three parts each"
    assert ready.sink.photo_bytes > len(one) + len(two)
    assert ready.sink.sent_bytes < 10_000, "the day's bytes of entries are spent by no photo"
    assert files(ready) == photos.there
    assert photos.reads == 2
    await ready.deliver(4, 1)
    assert await ready.sink.show_photo(ready.record) is None, "nothing is asked for again"


async def test_it_goes_on_where_it_was_interrupted(ready: Bench) -> None:
    await given(ready, picture(1))
    for _ in range(3):  # the question, and two of three parts
        assert await ready.sink.show_photo(ready.record) == ""
    ((part, data),) = files(ready).items()
    assert part.endswith(".part")
    assert len(data) == 2 * PART_BYTES
    await ready.sink.meet(ready.record.epochs())  # a new session, as after a kill
    await ready.deliver(4, 1)
    found, messages = await until_held(ready)
    assert (len(found), messages) == (1, 2)
    assert list(files(ready).values()) == [picture(1)]


async def test_what_is_torn_at_the_hub_is_sent_from_its_beginning(ready: Bench) -> None:
    await given(ready, picture(1))
    for _ in range(3):
        await ready.sink.show_photo(ready.record)
    (path,) = (ready.running.hub.config.state_dir / "photos").iterdir()
    data = bytearray(path.read_bytes())
    data[70_000] ^= 1  # planted: what a power cut left of it
    path.write_bytes(data)
    found, messages = await until_held(ready)
    assert (len(found), messages) == (1, 1 + 3), "the last part, then all of it"
    assert list(files(ready).values()) == [picture(1)]


async def test_one_that_is_gone_here_is_not_asked_for_again(ready: Bench) -> None:
    photos = await given(ready, picture(1), picture(2))
    lost = next(iter(photos.there))
    del photos.there[lost]

    async def photo(sha256: str) -> bytes:
        return photos.there[sha256]

    ready.record.photo = photo  # type: ignore[attr-defined]
    found, _ = await until_held(ready)
    assert found == list(photos.there)
    await ready.deliver(4, 1)
    assert await ready.sink.show_photo(ready.record) is None
    assert await lost_ones(ready) == [(lost, True)], "and it is an alarm"
    photos.there[lost] = next(data for data in (picture(1), picture(2)) if hashlib.sha256(data).hexdigest() == lost)
    ready.record.add(EPOCH, [naming(5, photos.there[lost])])  # brought again, and named by a further step
    await ready.deliver(5, 1)
    assert (await until_held(ready))[0] == [lost]
    assert await lost_ones(ready) == [(lost, False)]


async def test_a_photo_that_no_entry_names_alarms_nobody(ready: Bench) -> None:
    await given(ready)
    await ready.sink._lane.ask({"kind": "photo", "sha256": "0" * 64, "bytes": 0, "at": 0, "gone": True})
    assert await lost_ones(ready) == []


async def lost_ones(ready: Bench) -> list[tuple[str, bool]]:
    """Alarms of photos that were lost: (hash, whether it is open)."""
    url = f"{ready.running.url}/api/v1/gateways/{GATEWAY}/alarms"
    told = json.loads(await asyncio.to_thread(lambda: urlopen(url).read()))
    return [(alarm["about"], alarm["until_us"] is None) for alarm in told["alarms"] if alarm["kind"] == "photo-gone"]


async def test_only_what_entries_name_is_taken(ready: Bench) -> None:
    await given(ready)
    stranger = photo_of(picture(9))
    lane = ready.sink._lane
    header: dict[str, Any] = {"kind": "photo", "sha256": stranger.sha256, "bytes": stranger.size_bytes, "at": 0}
    assert (await lane.ask(header, picture(9)[:100]))["refused"] == "not-named"
    assert files(ready) == {}


async def test_the_hub_shows_it_to_whoever_may_read(ready: Bench) -> None:
    await given(ready, picture(1))
    (name,), _ = await until_held(ready)

    def get() -> tuple[bytes, str, str]:
        with urlopen(f"{ready.running.url}/api/v1/photos/{name}", timeout=5) as answer:
            return answer.read(), answer.headers["Content-Type"], answer.headers["Content-Security-Policy"]

    assert await asyncio.to_thread(get) == (picture(1), "image/jpeg", "default-src 'none'; sandbox")
