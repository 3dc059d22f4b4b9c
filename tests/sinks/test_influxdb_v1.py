"""The InfluxDB sink against a real influxd and VictoriaMetrics (read back and compared), and a raw server's misbehaviour."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from edge_gateway.errors import ConfigError, NotAuthorised, Unreachable
from edge_gateway.journal.base import Position, Quarantined
from edge_gateway.reading import Message
from edge_gateway.sinks.base import Outcome
from edge_gateway.sinks.influxdb import Influx1Config
from edge_gateway.sinks.influxdb_sink import InfluxSink, Reply, judge
from tests.servers.influxd import Influxd
from tests.servers.victoriametrics import VictoriaMetrics
from tests.sinks.influx_record import EPOCH, SITE, START_US, Record, StillClock
from tests.sinks.raw_http import RawHttp, Request, answer

RULE = {"id": "frozen", "kind": "limit", "points": ["p0"], "high": "-18", "pack": "cold-chain", "pack_version": "1.0.0"}


def sink(
    url: str, database: str = "db", clock: StillClock | None = None, hold_us: int = 86_400_000_000, **more: Any
) -> InfluxSink:
    config = Influx1Config(kind="influxdb1", url=url, database=database, **more)
    return config.build("influx", site=SITE, clock=clock or StillClock(), hold_us=hold_us)


async def drain(it: InfluxSink, record: Record, first: int = 0) -> Outcome:
    """Deliver everything as shipping does: again from where the outcome says."""
    total = Outcome(accepted=first)
    async with asyncio.timeout(30):
        while total.accepted < len(record.entries):
            outcome = await it.deliver(record.run(total.accepted), record)
            total.accepted += outcome.accepted
            total.rejected += outcome.rejected
            if outcome.held and not outcome.accepted:
                await asyncio.sleep(0.05)
    return total


def plant(
    record: Record, batches: int, points: int = 20, seed: int = 1
) -> list[tuple[int, str, float | None, str, int]]:
    """Fill a record; the truth as (seq, point, value, quality, time)."""
    choose = random.Random(seed)
    names = [f"p{number}" for number in range(points)]
    record.add("snapshot", config=None, state={})
    record.configure(names, [RULE])
    truth: list[tuple[int, str, float | None, str, int]] = []
    for _ in range(batches):
        record.tick()
        values: list[Any] = [round(choose.uniform(-30, 30), choose.randint(0, 6)) for _ in names]
        quality = None
        if choose.random() < 0.3:
            quality = ["good"] * points
            for index in choose.sample(range(points), min(3, points)):
                quality[index] = choose.choice(["bad:no-answer", "uncertain:queued"])
                if quality[index].startswith("bad"):
                    values[index] = None
        seq = record.batch(values, quality)
        words = quality or ["good"] * points
        truth += [(seq, *row, record.wall_us) for row in zip(names, values, words, strict=True)]
    return truth


def stored(influxd: Influxd, database: str) -> list[tuple[int, str, float | None, str, int]]:
    rows = influxd.points(database, "reading")
    return sorted(
        (row["seq"], row["point"], row.get("value"), row["quality"], row["time"])
        for row in rows
        if row["seq"] is not None
    )


@pytest.fixture
def database(influxd: Influxd) -> str:
    name = f"db{uuid4().hex}"
    influxd.create_database(name)
    return name


async def test_everything_is_read_back_as_it_was_also_after_redelivery(influxd: Influxd, database: str) -> None:
    record = Record()
    truth = plant(record, 150)
    it = sink(influxd.url, database, gzip=True)
    assert (await drain(it, record)).accepted == len(record.entries)
    await drain(it, record, 37)  # a lost cursor repeats deliveries; nothing may double
    await it.close()
    assert stored(influxd, database) == sorted(truth)
    assert {row["epoch"] for row in influxd.points(database, "reading")} == {EPOCH}
    (limit,) = influxd.points(database, "limit")
    assert (limit["high"], limit["pack"], limit["in_force"]) == (-18.0, "cold-chain 1.0.0", True)
    assert it.status()["rejected_lines"] == 0
    assert influxd.query("SHOW FIELD KEYS FROM reading", database)["series"][0]["values"] == [
        ["epoch", "string"], ["quality", "string"], ["seq", "integer"], ["value", "float"],
    ]  # fmt: skip


async def test_every_kind_of_entry_is_taken(influxd: Influxd, database: str) -> None:
    record = Record()
    plant(record, 1, 1)
    record.add("gap", gap="dev.1/1", state="open", groups=["dev.1"], reason="backed-off", since_slot_us=5)
    record.add("tick")
    record.add("event", event="message-unparsed", topic='a "b"\\', payload="温度\n=1", size=3)
    record.add("event", event="clock-stepped", step_us=-5)
    record.add("correction", offset_us=5, step_us=-5)
    record.add("skipped", sink="hub", epoch=EPOCH, first=0, count=4096, reason="freed", roots=[])
    record.add("kind-of-next-year", what=1)
    for step in ("notice", "violated"):
        record.add(
            "violation", violation="v-1", rule="frozen", point="p0", step=step, condition="active", handling="new",
            first={"rule_us": 1, "wall_us": 2, "value": -12.5}, peak=-11.0, minutes=0.5, limit="≤ -18 °C", basis="§ 6",
            verified="no", severity="major",
        )  # fmt: skip
    it = sink(influxd.url, database)
    outcome = await drain(it, record)
    await it.close()
    assert outcome.rejected == []
    events = influxd.points(database, "event")
    assert sorted(row["kind"] for row in events) == [
        "clock-stepped", "correction", "gap", "message-unparsed", "skipped", "violation", "violation",
    ]  # fmt: skip
    assert {row["step"] for row in events if row["kind"] == "violation"} == {"notice", "violated"}
    (unparsed,) = [row for row in events if row["kind"] == "message-unparsed"]
    assert unparsed["detail"] == '{"topic":"a \\"b\\"\\\\","payload":"温度\\n=1","size":3}'
    assert len(influxd.points(database, "gateway")) == 2


async def test_odd_numbers_survive(influxd: Influxd, database: str) -> None:
    numbers = [5e-324, 1.7976931348623157e308, 1e16, 1e-7, -0.0, 123456789012345680.0, 2**53, 0.1 + 0.2, 7]
    record = Record()
    record.configure([f"p{index}" for index in range(len(numbers))])
    record.batch(numbers)
    it = sink(influxd.url, database)
    assert (await drain(it, record)).rejected == []
    await it.close()
    read = {row["point"]: row["value"] for row in influxd.points(database, "reading")}
    assert [read[f"p{index}"] for index in range(len(numbers))] == [float(number) for number in numbers]


async def test_readings_of_one_point_in_one_microsecond_are_all_kept(influxd: Influxd, database: str) -> None:
    record = Record()
    record.configure(["p0"])
    for value in (1.0, 2.0, 3.0):
        record.batch([value])
    for value in (4.0, 5.0):
        record.batch([value], message=Message(topic="t", payload=b"{}", time_us=START_US - 60_000_000))
    for first in (0, 2, 3, 1):  # redelivered from any place: the same lines again
        it = sink(influxd.url, database)
        await drain(it, record, first)
        await it.close()
    rows = influxd.points(database, "reading")
    assert sorted(row["value"] for row in rows) == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert sorted(row.get("repeat") or "" for row in rows) == ["", "", "", "3", "4"]
    assert sorted(row["time"] for row in rows if row["value"] >= 4) == [START_US - 60_000_000 + seq for seq in (4, 5)]


async def test_a_batch_that_no_server_takes_costs_only_itself(influxd: Influxd, database: str) -> None:
    record = Record()
    truth = plant(record, 49)
    # No record holds such a seq; it stands for any line that the server cannot take.
    bad_seq = 30
    broken = record.entries[bad_seq].replace(b'"seq":30', b'"seq":9999999999999999999')
    record.entries[bad_seq] = broken
    it = sink(influxd.url, database)
    total = await drain(it, record)
    assert {item.seq for item in total.rejected} == {bad_seq}
    assert len(total.rejected) == 20
    assert all("unable to parse" in item.reason for item in total.rejected)
    assert stored(influxd, database) == sorted(row for row in truth if row[0] != bad_seq)
    await it.close()


async def test_one_bad_line_among_a_thousand_costs_at_most_21_requests(influxd: Influxd, database: str) -> None:
    record = Record()
    truth = plant(record, 30)
    bad_seq = record.add("event", event="door-opened", who="x")
    for _ in range(19):
        record.tick()
        seq = record.batch([1.5] * 20)
        truth += [(seq, f"p{number}", 1.5, "good", record.wall_us) for number in range(20)]
    # ``detail`` was once written as a number by someone else.
    influxd.write(database, f"event,kind=z detail=1i {START_US}".encode())
    it = sink(influxd.url, database)
    total = await drain(it, record)
    await it.close()
    assert [(item.seq, "field type conflict" in item.reason) for item in total.rejected] == [(bad_seq, True)]
    assert it.status()["requests"] <= 21
    assert stored(influxd, database) == sorted(truth)


async def test_a_series_with_a_type_conflict_blocks_nothing_else(influxd: Influxd, database: str) -> None:
    """``value`` was once written as an integer by someone else: every reading's own line is refused, events go on."""
    influxd.write(database, f"reading,x=y value=1i {START_US}".encode())
    record = Record()
    plant(record, 2, 3)
    record.add("event", event="opened-door")
    it = sink(influxd.url, database)
    total = await drain(it, record)
    assert {item.seq for item in total.rejected} == {2, 3}
    assert all("field type conflict" in item.reason and "dropped=" in item.reason for item in total.rejected)
    assert [row["kind"] for row in influxd.points(database, "event")] == ["opened-door"]
    assert it.status()["bad_series_count"] == 3
    # retried: still refused; mended: taken
    items = [
        Quarantined(id=number, sink="influx", epoch=EPOCH, seq=item.seq, line=item.line, reason=item.reason, wall_us=0)
        for number, item in enumerate(total.rejected)
    ]
    still = await it.retry(items)
    assert [number for number, _ in still] == list(range(len(items)))
    assert all("field type conflict" in words for _, words in still)
    influxd.query("DROP MEASUREMENT reading", database)
    await asyncio.sleep(1.0)  # pacing refills
    assert [words for _, words in await it.retry(items)] == [""] * len(items)
    assert len(influxd.points(database, "reading")) == len(items)
    await it.close()


async def test_a_sink_that_drops_what_was_refused_is_caught(influxd: Influxd, database: str) -> None:
    """Planted fault: taking a 400 for a yes loses a line, and the comparison above sees it."""

    class Dropping:
        def __init__(self, inner: Any) -> None:
            self.inner = inner
            self.where = inner.where

        async def post(self, body: bytes) -> Reply:
            reply: Reply = await self.inner.post(body)
            return Reply(204) if reply.status == 400 else reply

        async def close(self) -> None:
            await self.inner.close()

    record = Record()
    truth = plant(record, 3)
    record.entries[3] = record.entries[3].replace(b'"seq":3', b'"seq":9999999999999999999')

    async def agrees(it: InfluxSink) -> bool:
        total = await drain(it, record)
        await it.close()
        refused = {(item.seq, item.line.partition("point=")[2].partition(",")[0]) for item in total.rejected}
        return stored(influxd, database) == sorted(row for row in truth if (row[0], row[1]) not in refused)

    assert await agrees(sink(influxd.url, database)), "the honest sink was accused"
    it = sink(influxd.url, database)
    it._transport = Dropping(it._transport)
    assert not await agrees(it), "the planted fault was not caught"


async def test_victoriametrics_holds_every_good_value(victoriametrics: VictoriaMetrics) -> None:
    record = Record(epoch=uuid4().hex[:16])
    truth = plant(record, 30, 4, seed=uuid4().int)
    it = sink(victoriametrics.url, "any")
    await drain(it, record)
    await it.close()
    for point in ("p0", "p3"):
        series = victoriametrics.export(f'reading_value{{point="{point}"}}')
        read = {time: value for one in series for time, value in zip(one["timestamps"], one["values"], strict=True)}
        wanted = {row[4] // 1000: row[2] for row in truth if row[1] == point and row[2] is not None}
        assert {time: read.get(time) for time in wanted} == wanted


# --- a raw server that answers what it likes ---------------------------------------------------------------------


async def refused(*answers: bytes | None) -> tuple[Exception, RawHttp]:
    """Deliver one small run to a server with these answers; what was raised."""
    left = list(answers)

    async def say(_: Request) -> bytes | None:
        return left.pop(0) if len(left) > 1 else left[0]

    record = Record()
    plant(record, 2, 2)
    async with RawHttp(say) as server:
        it = sink(server.url, timeout_s=1.0)
        try:
            await it.deliver(record.run(), record)
        except (Unreachable, NotAuthorised) as error:
            return error, server
        finally:
            await it.close()
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_obeyed(status: int) -> None:
    error, server = await refused(answer(status, b"busy", "Retry-After: 17"))
    assert isinstance(error, Unreachable)
    assert error.retry_after_s == 17
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("Retry-After: Thu, 05 Mar 2026 06:05:00 GMT\r\nDate: Thu, 05 Mar 2026 06:03:00 GMT", 120),
        ("Retry-After: Thu, 05 Mar 2026 06:05:00 GMT", None),
        ("Retry-After: soon", None),
        ("Retry-After: -5", None),
        ("Retry-After: 99999999999999999999", 3600),
        ("X-None: 1", None),
    ],
)
async def test_retry_after_forms(header: str, wanted: float | None) -> None:
    error, _ = await refused(answer(503, b"", *header.split("\r\n")))
    assert isinstance(error, Unreachable)
    assert error.retry_after_s == wanted


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_not_authorised_holds(status: int) -> None:
    error, server = await refused(answer(status, b'{"error":"database not found: \\"db\\""}'))
    assert isinstance(error, NotAuthorised)
    assert "database not found" in str(error)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [200, 201, 302, 405, 500, 502])
async def test_anything_else_keeps_everything(status: int) -> None:
    error, server = await refused(answer(status, b"<html>", "Location: http://127.0.0.1:1/"))
    assert isinstance(error, Unreachable)
    assert str(status) in str(error)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "said", [None, b"garbage\r\n\r\n", b"HTTP/1.1 204", b"HTTP/1.1 500 x\r\nContent-Length: 99\r\n\r\nshort", b""]
)
async def test_broken_answers_keep_everything(said: bytes | None) -> None:
    error, server = await refused(said)
    assert isinstance(error, Unreachable)
    assert len(server.requests) == 1


async def test_nobody_there_and_an_endless_answer() -> None:
    record = Record()
    plant(record, 1, 1)
    it = sink("http://127.0.0.1:9")
    with pytest.raises(Unreachable, match=r"no answer from http://127\.0\.0\.1:9"):
        await it.deliver(record.run(), record)
    await it.close()
    error, _ = await refused(b"HTTP/1.1 400 x\r\nContent-Length: 9999999999\r\n\r\n" + b"x" * (3 << 20))
    assert "longer than" in str(error)


async def test_a_server_that_refuses_everything_costs_no_line() -> None:
    """A proxy that answers 400 to all must not empty the record into the quarantine."""
    error, server = await refused(answer(400, b"plain HTTP request sent to HTTPS port"))
    assert isinstance(error, Unreachable)
    assert "refuses everything" in str(error)
    assert len(server.requests) <= 21


async def test_trouble_in_the_middle_keeps_what_was_done_and_is_told_next_time() -> None:
    answers = [answer(204), answer(204), answer(503, b"", "Retry-After: 9")]

    async def say(_: Request) -> bytes:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    record = Record()
    plant(record, 150)
    async with RawHttp(say) as server:
        it = sink(server.url)
        outcome = await it.deliver(record.run(), record)
        assert 90 < outcome.accepted < 110
        with pytest.raises(Unreachable) as caught:
            await it.deliver(record.run(outcome.accepted), record)
        assert caught.value.retry_after_s == 9
        assert len(server.requests) == 3
        answers[:] = [answer(204)]
        await drain(it, record, outcome.accepted)
        sent = [line for request in (*server.requests[:2], *server.requests[3:]) for line in request.lines]
        assert len(sent) == len(set(sent)) == 150 * 20 + 2
        assert all(len(request.lines) <= 1000 for request in server.requests)
        await it.close()


async def test_a_body_too_large_is_halved_until_it_fits() -> None:
    async def say(request: Request) -> bytes:
        return answer(413) if len(request.lines) > 300 else answer(204)

    record = Record()
    plant(record, 100)
    async with RawHttp(say) as server:
        it = sink(server.url)
        assert (await drain(it, record)).rejected == []
        taken = [line for request in server.requests if len(request.lines) <= 300 for line in request.lines]
        assert len(taken) == len(set(taken)) == 100 * 20 + 2
        assert len(server.requests) < 20
        await it.close()


class Picky:
    """2.x's manner: refuses a request with a bad line in it and stores nothing of it."""

    def __init__(self, bad: str) -> None:
        self.bad = bad
        self.stored: set[str] = set()

    async def __call__(self, request: Request) -> bytes:
        if any(self.bad in line for line in request.lines):
            return answer(422, b'{"code":"unprocessable entity","message":"no"}')
        self.stored |= set(request.lines)
        return answer(204)


async def test_a_bad_series_is_paced_while_the_rest_completes() -> None:
    record = Record()
    plant(record, 60, 10)
    picky = Picky("point=p3,")
    async with RawHttp(picky) as server:
        it = sink(server.url)
        outcome = await it.deliver(record.run(), record)
        assert "paced" in outcome.held
        first = len(server.requests)
        assert first <= 60, "not paced"
        total = await drain(it, record, outcome.accepted)
        rejected = [*outcome.rejected, *total.rejected]
        assert len(rejected) == 60
        assert all("point=p3," in item.line for item in rejected)
        assert len(picky.stored) >= 60 * 9
        assert it.status()["bad_series"] == ["reading,point=p3,quantity=temperature,site=tlf-007,zone=cold1"]
        # from now on the rest goes in one request
        before = len(server.requests)
        record.tick()
        for _ in range(5):
            record.tick()
            record.batch([1.0] * 10)
        await drain(it, record, len(record.entries) - 5)
        assert len(server.requests[before].lines) == 45
        picky.bad = "nothing"
        record.tick()
        record.batch([2.0] * 10)
        await drain(it, record, len(record.entries) - 1)
        assert it.status()["bad_series"] == []
        await it.close()


async def test_cancelled_and_slow_servers_leave_nothing_behind() -> None:
    async def never(_: Request) -> bytes:
        await asyncio.sleep(60)
        return answer(204)

    record = Record()
    plant(record, 1, 1)
    async with RawHttp(never) as server:
        it = sink(server.url, timeout_s=1.0)
        with pytest.raises(Unreachable):
            await it.deliver(record.run(), record)
        task = asyncio.create_task(it.deliver(record.run(), record))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await it.close()


async def test_what_cannot_be_decoded_is_set_aside_with_a_reason() -> None:
    async def yes(_: Request) -> bytes:
        return answer(204)

    record = Record()
    plant(record, 3, 2)
    record.entries[2] = record.entries[2].replace(b'"config_seq":1', b'"config_seq":99')
    record.entries[3] = record.entries[3].replace(b'"values":[', b'"values":[7.5,')
    async with RawHttp(yes) as server:
        it = sink(server.url)
        total = await drain(it, record)
        assert [(item.seq, "decoded" in item.reason) for item in total.rejected] == [(2, True), (3, True)]
        assert sum("reading" in line for request in server.requests for line in request.lines) == 2
        await it.close()


async def test_user_and_password_travel_in_the_header_only(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("pä:ss\n")

    async def yes(_: Request) -> bytes:
        return answer(204)

    record = Record()
    plant(record, 1, 1)
    async with RawHttp(yes) as server:
        it = sink(server.url, user="writer", password_file=str(tmp_path / "secret"))
        await drain(it, record)
        (request,) = server.requests
        assert request.target == "/write?db=db&precision=u"
        assert request.headers["authorization"] == "Basic d3JpdGVyOnDDpDpzcw=="
        assert "ss" not in repr(it.status())
        await it.close()


async def test_only_other_machines_get_gzip() -> None:
    assert not Influx1Config(kind="influxdb1", url="http://127.0.0.1:8086", database="x").compresses()
    assert not Influx1Config(kind="influxdb1", url="http://localhost:8086", database="x").compresses()
    assert Influx1Config(kind="influxdb1", url="http://10.0.0.1:8086", database="x").compresses()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"url": "ftp://x"}, "is no address"),
        ({"url": "http://u:geheim@x"}, "end up in logs"),
        ({"url": "http://x?db=1"}, "keys of their own"),
        ({"user": "x"}, "go together"),
        ({"databse": "x"}, "Extra inputs"),
    ],
)
def test_configuration_mistakes(change: dict[str, str], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Influx1Config.model_validate({"kind": "influxdb1", "url": "http://x:8086", "database": "d"} | change)


def test_a_missing_secret_names_file_and_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sinks.influx.password_file"):
        sink("http://127.0.0.1:1", user="u", password_file=str(tmp_path / "none"))


def test_dropped_counts_only_whole_refusals() -> None:
    words = "partial write: field type conflict: … dropped=5"
    assert judge(Reply(400, words), 5, "x").all_dropped
    assert not judge(Reply(400, words), 6, "x").all_dropped
    assert not judge(Reply(400, "unable to parse 'a dropped=1': missing fields"), 1, "x").all_dropped
    assert Position(EPOCH, 1) < Position(EPOCH, 2)
