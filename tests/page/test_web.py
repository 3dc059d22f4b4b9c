"""The page's doors over real sockets: a running gateway with a dead unit and a dead sink, asked as browsers and Prometheus ask."""

from __future__ import annotations

import gzip
import http.client
import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.responses import PlainTextResponse
from starlette.types import Message

from edge_gateway.page.web import Paced
from tests.cli.site import FROZEN, THAWED, Gateway, Plant, config_text
from tests.page import site
from tests.servers.process import REPOSITORY, free_port


@pytest.fixture(scope="module")
def plant() -> Iterator[Plant]:
    with Plant() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, plant: Plant) -> Iterator[Gateway]:
    with site.gateway(tmp_path_factory.mktemp("gateway"), plant.port, free_port()) as running:
        running.wait(lambda: states(running).get("cold2-air") == "normal", "readings are there")
        yield running


def ask(gateway: Gateway, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    while (answer := ask_once(gateway, path, method, **headers))[0] == 429:
        time.sleep(0.2)  # these tests ask more than people do
    return answer


def ask_once(gateway: Gateway, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.page, timeout=10)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def states(gateway: Gateway) -> dict[str, str]:
    return {row["point"]: row["state"] for row in json.loads(ask(gateway, "/api/v1/points")[2])["points"]}


def events(gateway: Gateway, count: int, language: str = "zh") -> list[tuple[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", gateway.page, timeout=15)
    connection.request("GET", "/events", headers={"Accept-Language": language})
    answer, name = connection.getresponse(), ""
    found: list[tuple[str, Any]] = []
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    while len(found) < count:
        line = answer.readline().decode().rstrip("\n")
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        if line.startswith("data: "):
            found.append((name, json.loads(line.removeprefix("data: "))))
    connection.close()
    return found


def test_the_page_is_whole_without_scripts(gateway: Gateway) -> None:
    status, headers, body = ask(gateway, "/", Accept_Language="zh-CN,zh;q=0.9,en;q=0.8")
    page = body.decode()
    assert status == 200
    assert '<html lang="zh-CN">' in page
    for word in (
        "示例站",
        "冷库2 空气",
        "−19.0",
        "°C",
        "≤\N{NO-BREAK SPACE}−18",
        "未核实",
        "北京时间 (UTC+8)",
        "远端探头",
        "时钟由配置声明可信",
        "记录",
        "连不上，数据留存",
        "1 条规则没有测点，未监测",
    ):
        assert word in page, word
    assert page.index('id="p-lost-air"') < page.index('id="p-cold2-air"'), "abnormal first"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert not re.search(r"<script(?![^>]*(src=\"/static/|application/json))", page), "no inline script"
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", page), "no inline style or handler"
    assert not re.search(r"(src|href)=\"(https?:)?//", page), "nothing from elsewhere"
    assert "<b>冷库3</b>" not in page, "names are text"


def test_the_language_is_the_readers_and_is_remembered(gateway: Gateway) -> None:
    _, headers, body = ask(gateway, "/?lang=en", Accept_Language="zh-CN")
    assert '<html lang="en">' in body.decode()
    assert "Cold store 2 air" in body.decode()
    cookie = headers["set-cookie"].split(";")[0]
    assert '<html lang="en">' in ask(gateway, "/", Accept_Language="zh-CN", Cookie=cookie)[2].decode()
    assert '<html lang="zh-CN">' in ask(gateway, "/", Accept_Language="fr")[2].decode(), "the site's own"


def test_it_is_light(gateway: Gateway) -> None:
    page = ask(gateway, "/")[2]
    links = re.findall(r'(?:src|href)="(/static/[^"]+)"', page.decode())
    files = {path: ask(gateway, path)[2] for path in links}
    assert len(files) >= 3
    assert sum(len(gzip.compress(body)) for body in (page, *files.values())) < 60_000
    assert sum(len(gzip.compress(body)) for path, body in files.items() if path.endswith(".js")) < 40_000


def test_the_stream_begins_whole_and_then_says_what_changed(gateway: Gateway, plant: Plant) -> None:
    first, second = events(gateway, 2, "en")
    assert first[0] == "full"
    assert set(first[1]) >= {"now_us", "speed", "offset_s", "rows", "values", "parts"}
    assert "Cold store 2 air" in first[1]["rows"]["cold2-air"]
    assert first[1]["offset_s"] == 8 * 3600
    assert second[0] in ("delta", "beat")
    if second[0] == "delta":
        assert len(json.dumps(second[1].get("values", {}))) < 120 * 5, "what moves is short"
        assert "cold2-air" not in second[1].get("rows", {}), "a row that only moves is not sent again"


def test_it_is_conflated_to_two_events_a_second(gateway: Gateway) -> None:
    started_s = time.monotonic()
    found = events(gateway, 6)
    assert [name for name, _ in found[1:]] == ["delta"] * 5, "readings come five times a second"
    assert time.monotonic() - started_s >= 1.9


def test_beyond_then_notice_then_violation_then_recovered_but_open(gateway: Gateway, plant: Plant) -> None:
    plant.set(1, THAWED)
    seen: list[str] = []

    def step() -> str:
        now = states(gateway)["cold1-air"]
        if not seen or seen[-1] != now:
            seen.append(now)
        return now

    gateway.wait(lambda: step() == "violation", "the violation")
    assert [state for state in seen if state != "normal"] == ["beyond", "notice", "violation"]
    page = ask(gateway, "/", Accept_Language="zh")[2].decode()
    assert re.search(r"<title>■1 ", page)
    assert page.index('id="p-cold1-air"') < page.index('id="p-lost-air"'), "the violation stands above no data"
    assert "冻库温度过高" in page
    assert "关门" in page
    plant.set(1, FROZEN)
    gateway.wait(lambda: step() == "normal", "the recovery")
    page = ask(gateway, "/", Accept_Language="zh")[2].decode()
    assert "读数已恢复，但尚未关闭" in page
    assert json.loads(ask(gateway, "/api/v1/status")[2])["violations"][0]["condition"] == "recovered"


def test_healthy_and_ready(gateway: Gateway) -> None:
    assert ask(gateway, "/healthz")[::2] == (200, b"ok\n")
    assert ask(gateway, "/readyz")[::2] == (200, b"ready\n")


def test_status_and_points_are_json_with_everything_a_value_needs(gateway: Gateway) -> None:
    status = json.loads(ask(gateway, "/api/v1/status")[2])
    assert status["schema"] == "edge-gateway/status/1"
    assert status["clock"] == {"trusted": True, "trust": "declared", "speed": 1.0, "rtc": status["clock"]["rtc"]}  # whether this machine has a real-time clock
    assert status["sinks"]["influx"]["state"] == "unreachable"
    assert status["not_monitored"] == ["house-turbidity"]
    assert any("lost-air" in problem for problem in status["problems"])
    answer = json.loads(ask(gateway, "/api/v1/points")[2])
    assert answer["schema"] == "edge-gateway/points/1"
    for row in answer["points"]:
        assert set(row) >= {
            "point",
            "value",
            "unit",
            "unit_shown",
            "limits",
            "age_s",
            "quality",
            "state",
            "since_us",
            "stale",
        }
    by_id = {row["point"]: row for row in answer["points"]}
    assert by_id["cold2-air"]["value"] == -19.0
    assert by_id["cold2-air"]["limits"][0]["verified"] == "no"
    assert by_id["lost-air"]["value"] is None
    assert by_id["lost-air"]["quality"].startswith("bad:")
    assert by_id["cold1-rh"]["limits"] == []


def test_metrics_are_named_and_bounded(gateway: Gateway) -> None:
    gateway.wait(
        lambda: b'edge_gateway_sink_up{sink="influx"} 0.0' in ask(gateway, "/metrics")[2], "the sink is seen down"
    )
    status, headers, body = ask(gateway, "/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    families = {family.name: family for family in text_string_to_metric_families(body.decode())}
    assert all(name.startswith("edge_gateway") for name in families)

    def value(name: str, **labels: str) -> float:
        for family in families.values():
            for sample in family.samples:
                if sample.name == f"edge_gateway_{name}" and labels.items() <= sample.labels.items():
                    return float(sample.value)
        raise AssertionError(f"no {name} {labels}")

    assert value("points", state="no-data") >= 1
    assert value("point_age_seconds", point="cold2-air") < 10
    assert value("point_known", point="lost-air") == 0
    assert value("sink_backlog_entries", sink="influx") > 0
    assert value("sink_state", sink="influx", state="unreachable") == 1
    assert value("bus_up", bus="plc") == 1
    assert value("bus_events_total", bus="plc", what="answers") > 0
    assert 0 < value("bus_busy_ratio", bus="plc", what="predicted") < 1
    assert value("device_answers", bus="plc", device="lost-th") == 0
    assert value("device_answers", bus="plc", device="cold2-th") == 1
    assert value("clock_trusted") == 1
    assert value("journal_max_bytes") == 200e6
    assert value("journal_committed_seq") > 0
    assert value("config_reload_success") == 1
    assert value("rules_not_monitored") == 1
    assert value("entries_total") > 0
    allowed = {"sink", "state", "bus", "what", "device", "point", "level", "step", "code", "le", "version", "site", "unit", "finding"}
    assert {label for family in families.values() for sample in family.samples for label in sample.labels} <= allowed


def test_every_metric_is_documented_and_every_documented_one_exists(gateway: Gateway) -> None:
    families = text_string_to_metric_families(ask(gateway, "/metrics")[2].decode())
    suffix = {"counter": "_total", "info": "_info"}
    served = {family.name + suffix.get(family.type, "") for family in families if not family.name.endswith("_created")}
    documented = set(re.findall(r"`(edge_gateway_\w+)`", (REPOSITORY / "docs/reference/page.md").read_text("utf-8")))
    served = {"edge_gateway_info" if name == "edge_gateway_info_info" else name for name in served}
    assert served == documented


@pytest.mark.parametrize(
    ("path", "method", "status"), [("/api/v1/nothing", "GET", 404), ("/api/v1/points", "POST", 405)]
)
def test_errors_of_the_api_are_problems(gateway: Gateway, path: str, method: str, status: int) -> None:
    found, headers, body = ask(gateway, path, method)
    problem = json.loads(body)
    assert (found, problem["status"]) == (status, status)
    assert headers["content-type"] == "application/problem+json"
    assert set(problem) >= {"type", "title", "detail"}


def test_an_unknown_page_leads_back(gateway: Gateway) -> None:
    status, headers, body = ask(gateway, "/nothing?lang=en")
    assert status == 404
    assert "Back to the live page" in body.decode()
    assert "content-security-policy" in headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed_here(gateway: Gateway, method: str) -> None:
    for path in ("/", "/events", "/full", "/healthz", "/api/v1/status", "/metrics"):
        assert ask(gateway, path, method)[0] == 405, path


def test_bad_requests_are_refused_and_harm_nothing(gateway: Gateway) -> None:
    assert ask(gateway, "/?lang=" + "x" * 3000)[0] == 200
    for path in ("/static/../../gateway.toml", "/static/%2e%2e/%2e%2e/pages.py", "/static//etc/passwd"):
        assert ask(gateway, path)[0] == 404
    connection = http.client.HTTPConnection("127.0.0.1", gateway.page, timeout=10)
    connection.putrequest("GET", "/")
    try:
        for number in range(100):
            connection.putheader(f"X-{number}", "y" * 1000)
        connection.endheaders()
        assert connection.getresponse().status in (200, 400, 429)
    except (BrokenPipeError, ConnectionResetError):
        pass  # refused before it was all sent
    assert ask(gateway, "/healthz")[0] == 200


def test_a_refused_reload_is_told_everywhere(gateway: Gateway) -> None:
    good = gateway.config.read_text()
    try:
        gateway.write(good.replace("[buses.plc]", "[buses.plc]\nprot = 1"))
        gateway.signal(signal.SIGHUP)
        gateway.wait(lambda: "被拒绝" in ask(gateway, "/", Accept_Language="zh")[2].decode(), "the page says so")
        page = ask(gateway, "/", Accept_Language="en")[2].decode()
        assert "REJECTED" in page
        assert "prot" in page, "and why"
        metrics = ask(gateway, "/metrics")[2].decode()
        assert "edge_gateway_config_reload_success 0.0" in metrics
        (why,) = re.findall(r'edge_gateway_config_rejected\{why="(.*)"\} 1\.0', metrics)
        assert "unknown key 'prot'" in why
        assert json.loads(ask(gateway, "/api/v1/status")[2])["config"]["rejected"]
        assert states(gateway)["cold2-air"] == "normal", "the old configuration goes on"
    finally:
        gateway.write(good)
        gateway.signal(signal.SIGHUP)
    gateway.wait(lambda: b"edge_gateway_config_reload_success 1.0" in ask(gateway, "/metrics")[2], "it is taken again")
    assert "REJECTED" not in ask(gateway, "/?lang=en")[2].decode()
    assert b"edge_gateway_config_rejected{" not in ask(gateway, "/metrics")[2]


async def test_readers_are_paced() -> None:
    paced = Paced(PlainTextResponse("ok"), rate_per_s=0.001, burst=3.0)

    async def get(path: str, reader: str = "10.0.0.1") -> tuple[int, bytes]:
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "http.request"}

        await paced({"type": "http", "path": path, "method": "GET", "client": (reader, 1)}, receive, send)
        return sent[0]["status"], sent[1]["body"]

    assert [(await get("/"))[0] for _ in range(5)] == [200, 200, 200, 429, 429]
    assert json.loads((await get("/api/v1/points"))[1])["status"] == 429
    assert (await get("/", "10.0.0.2"))[0] == 200, "another reader is not hindered"
    assert (await get("/healthz"))[0] == 200, "signs of life are never refused"
    assert (await get("/static/app.css"))[0] == 200


def test_who_gets_no_stream_can_poll_the_same(gateway: Gateway) -> None:
    whole = json.loads(ask(gateway, "/full", Accept_Language="en")[2])
    assert "Cold store 2 air" in whole["rows"]["cold2-air"]
    assert whole["parts"]["counts"]


def test_the_page_may_be_turned_off(tmp_path: Path, plant: Plant) -> None:
    with Gateway(tmp_path, config_text(plant.port, page="")) as running:
        assert running.status()["version"]
