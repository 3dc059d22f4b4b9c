"""InfluxDB v2 through its own client: the published contract under prism judges the requests, a parser and influxd the bytes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from line_protocol_parser import parse_line

from edge_gateway.errors import NotAuthorised, Unreachable
from edge_gateway.sinks.influxdb import Influx2Config
from edge_gateway.sinks.influxdb_sink import InfluxSink
from tests.servers.influxd import Influxd
from tests.servers.prism import Prism
from tests.servers.victoriametrics import VictoriaMetrics
from tests.sinks.influx_record import SITE, START_US, Record, StillClock
from tests.sinks.raw_http import RawHttp, Request, answer
from tests.sinks.test_influxdb_v1 import Picky, drain, plant, stored


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    path = tmp_path / "token"
    path.write_text("my-token\n")
    return path


def sink(url: str, token_file: Path, **more: Any) -> InfluxSink:
    config = Influx2Config(kind="influxdb2", url=url, org="xj 1", bucket="edge/1", token_file=str(token_file), **more)
    return config.build("cloud", site=SITE, clock=StillClock(), hold_us=0)


@pytest.mark.parametrize("gzip", [False, True])
async def test_the_contract_is_kept(prism: Prism, token_file: Path, gzip: bool) -> None:
    before = len(prism.violations())
    record = Record()
    plant(record, 120)
    it = sink(prism.url, token_file, gzip=gzip)
    assert (await drain(it, record)).accepted == len(record.entries)
    await it.close()
    assert prism.violations()[before:] == []
    assert it.status()["lines"] == 120 * 20 + 2


async def test_the_contract_sees_a_missing_bucket(prism: Prism, token_file: Path) -> None:
    """Planted fault: the judge must be awake."""
    before = len(prism.violations())
    record = Record()
    plant(record, 1, 1)
    it = sink(prism.url, token_file)
    target = it._transport._target  # type: ignore[attr-defined]
    object.__setattr__(target, "org", "")
    object.__setattr__(target, "bucket", "")
    with pytest.raises(Unreachable):
        await drain(it, record)
    await it.close()
    assert len(prism.violations()) > before


async def test_bytes_are_line_protocol_to_a_parser_and_to_influxd(influxd: Influxd, token_file: Path) -> None:
    async def yes(_: Request) -> bytes:
        return answer(204)

    record = Record()
    truth = plant(record, 60)
    async with RawHttp(yes) as server:
        it = sink(server.url, token_file, gzip=True)
        await drain(it, record)
        await it.close()
        assert {request.target for request in server.requests} == {"/api/v2/write?org=xj+1&bucket=edge/1&precision=us"}
        for request in server.requests:
            assert request.headers["authorization"] == "Token my-token"
            assert request.headers["content-encoding"] == "gzip"
            assert request.headers["accept"] == "application/json"
            assert len(request.lines) <= 1000
            for line in request.lines:
                assert parse_line(line)["time"] > 0
        database = f"db{uuid4().hex}"
        influxd.create_database(database)
        for request in server.requests:
            assert influxd.write(database, "\n".join(request.lines).encode()) == (204, "")
    assert stored(influxd, database) == sorted(truth)


async def test_victoriametrics_takes_v2_too(victoriametrics: VictoriaMetrics, token_file: Path) -> None:
    record = Record(epoch=uuid4().hex[:16], wall_us=START_US + 86_400_000_000)  # a day that no other test uses
    truth = plant(record, 5, 2, seed=uuid4().int)
    it = sink(victoriametrics.url, token_file)
    await drain(it, record)
    await it.close()
    series = victoriametrics.export('reading_value{point="p1"}')
    read = {time: value for one in series for time, value in zip(one["timestamps"], one["values"], strict=True)}
    wanted = {row[4] // 1000: row[2] for row in truth if row[1] == "p1" and row[2] is not None}
    assert {time: read.get(time) for time in wanted} == wanted


@pytest.mark.parametrize(
    ("said", "kind", "retry_s"),
    [
        (answer(429, b"", "Retry-After: 7"), Unreachable, 7),
        (answer(503, b"", "Retry-After: 8"), Unreachable, 8),
        (answer(401, b'{"code":"unauthorized","message":"unauthorized access"}'), NotAuthorised, None),
        (answer(403), NotAuthorised, None),
        (answer(404, b'{"code":"not found","message":"bucket \\"edge\\" not found"}'), NotAuthorised, None),
        (answer(500, b"{"), Unreachable, None),
        (answer(200, b"<html>"), Unreachable, None),
        (answer(302, b"", "Location: http://127.0.0.1:1/"), Unreachable, None),
        (None, Unreachable, None),
        (b"garbage", Unreachable, None),
        (b"HTTP/1.1 400 x\r\nContent-Length: 9999999999\r\n\r\n" + b"x" * (3 << 20), Unreachable, None),
    ],
)
async def test_answers(said: bytes | None, kind: type[Exception], retry_s: float | None, token_file: Path) -> None:
    async def say(_: Request) -> bytes | None:
        return said

    record = Record()
    plant(record, 1, 1)
    async with RawHttp(say) as server:
        it = sink(server.url, token_file, timeout_s=1.0)
        with pytest.raises(kind) as caught:
            await it.deliver(record.run(), record)
        assert getattr(caught.value, "retry_after_s", None) == retry_s
        assert "my-token" not in str(caught.value)
        assert len(server.requests) == 1
        await it.close()


async def test_one_bad_line_costs_at_most_21_requests(token_file: Path) -> None:
    record = Record()
    plant(record, 49)
    picky = Picky("point=p7,quantity=temperature,site=tlf-007,zone=cold1 value=1e+300")
    record.entries[20] = record.entries[20].replace(b'"quality"', b'"was"')
    values = record.entries[20].partition(b'"values":[')[2].partition(b"]")[0].split(b",")
    changed = [*values[:7], b"1e300", *values[8:]]
    record.entries[20] = record.entries[20].replace(b",".join(values), b",".join(changed))
    async with RawHttp(picky) as server:
        it = sink(server.url, token_file)
        total = await drain(it, record)
        await it.close()
        assert [item.seq for item in total.rejected] == [20]
        assert total.rejected[0].reason == "422 no"
        assert len(server.requests) <= 21
        assert len(picky.stored) == 49 * 20 + 2 - 1


def test_the_client_is_imported_only_when_such_a_sink_writes() -> None:
    program = "import sys, edge_gateway.sinks.influxdb; print('influxdb_client' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
