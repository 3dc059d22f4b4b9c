"""The hub as people and systemd meet it: command line, exit codes, readers, health, durability, speed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import aiohttp
import apsw
import pytest

from edge_gateway.errors import ConfigError, JournalTooNew
from edge_gateway.wire import hub as wire
from regulator_hub import app
from regulator_hub.config import HubToml, MqttTable, load
from regulator_hub.store import ingest, schema
from regulator_hub.store.schema import open_writer
from regulator_hub.store.writer import StoreFailed, Writer
from tests.regulator_hub import record
from tests.regulator_hub.harness import EPOCH, GATEWAY, HubProcess, gateway, registered, running_hub
from tests.servers.process import wait_until

HUB = [sys.executable, "-m", "regulator_hub.cli"]


def hub_cli(*arguments: str, language: str = "C") -> subprocess.CompletedProcess[str]:
    spoken = {**os.environ, "REGULATOR_HUB_LANG": language}
    return subprocess.run([*HUB, *arguments], capture_output=True, text=True, timeout=60, check=False, env=spoken)


def test_gateways_are_added_listed_and_their_token_shown_once(tmp_path: Path) -> None:
    state = ["--state-dir", str(tmp_path)]
    added = hub_cli("gateways", "add", GATEWAY, *state)
    token = added.stdout.strip()
    assert (added.returncode, len(token), token[:3]) == (0, 46, "rh_")
    assert hub_cli("gateways", "add", "by-mqtt", "--mqtt", *state).returncode == 0
    again = hub_cli("gateways", "add", GATEWAY, *state)
    assert again.returncode == 1
    assert "registered already" in again.stderr
    assert "no gateway id" in hub_cli("gateways", "add", "Not_An_Id", *state).stderr
    listed = json.loads(hub_cli("gateways", "list", "--json", *state).stdout)["gateways"]
    assert [(g["gateway"], g["mqtt"]) for g in listed] == [("by-mqtt", True), (GATEWAY, False)]
    assert token not in hub_cli("gateways", "list", *state).stdout
    folder = tmp_path / "gateways"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert token not in (folder / f"{GATEWAY}.json").read_text()


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ('listen = "0.0.0.0:8090"', "TLS is needed"),
        ('listen = "[::]:8090"', "TLS is needed"),
        ('listen = "hub.example.org:80"', "TLS is needed"),
        ('listen = "8090"', "listen"),
        ('cert_file = "a.pem"', "come together"),
        ('lisen = "127.0.0.1:1"', "lisen"),
        ("[mqtt]\nport = 1883", "mqtt.host"),
        ("listen = ", "not TOML"),
        ('readers = "all"', "readers"),
    ],
)
def test_a_refused_configuration_says_where_and_what(tmp_path: Path, toml: str, says: str) -> None:
    file = tmp_path / "hub.toml"
    file.write_text(toml)
    with pytest.raises(ConfigError, match=says) as caught:
        load(file)
    assert str(file) in str(caught.value)


def test_every_fault_of_the_configuration_has_its_line_and_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "hub.toml"
    file.write_text('name = ""\nlisen = "127.0.0.1:1"\n\n[mqtt]\nhost = "127.0.0.1"\nport = 99999\n')
    refused = hub_cli("run", "--config", str(file))
    assert refused.returncode == 78
    said = refused.stderr.splitlines()
    assert [line.split(":")[2] for line in said] == ["1", "2", "6"], said
    assert all(line.startswith(f"regulator-hub: {file}:") for line in said)
    assert "did you mean 'listen'?" in said[1]
    file.write_text('[mqtt]\nhost = "h"\n')
    elsewhere = hub_cli("run", "--config", str(file), "--listen", "0.0.0.0:80")
    assert (elsewhere.returncode, "command line:listen" in elsewhere.stderr) == (78, True), elsewhere.stderr
    file.write_bytes(b'name = "\xff"')
    assert "UTF-8" in hub_cli("run", "--config", str(file)).stderr


def test_faults_are_told_in_chinese_to_who_reads_chinese(tmp_path: Path) -> None:
    file = tmp_path / "hub.toml"
    file.write_text('lisen = "127.0.0.1:1"\ncert_file = "c"\n')
    said = hub_cli("run", "--config", str(file), language="zh_CN.UTF-8").stderr.splitlines()
    assert any("未知的键“lisen”" in line and "是否想写“listen”？" in line for line in said), said
    assert any("cert_file 和 key_file 须同时填写" in line for line in said), said
    (tmp_path / "state").mkdir()
    state = ["--state-dir", str(tmp_path / "state")]
    assert "不是网关标识" in hub_cli("gateways", "add", "NO", *state, language="zh").stderr
    hub_cli("gateways", "add", GATEWAY, *state)
    assert "已登记" in hub_cli("gateways", "add", GATEWAY, *state, language="zh").stderr


def test_exit_codes(tmp_path: Path) -> None:
    bad = tmp_path / "hub.toml"
    bad.write_text("wrong = 1")
    assert hub_cli("run", "--config", str(bad)).returncode == 78
    assert hub_cli("run", "--config", str(tmp_path / "none.toml")).returncode == 78
    assert hub_cli("run", "--speed", "-1").returncode == 2
    with HubProcess(tmp_path / "a") as hub:
        busy = hub_cli("run", "--state-dir", str(hub.state_dir), "--listen", "127.0.0.1:0")
        assert (busy.returncode, "another hub" in busy.stderr) == (7, True)
        taken = hub_cli("run", "--state-dir", str(tmp_path / "b"), "--listen", f"127.0.0.1:{hub.port}")
        assert (taken.returncode, "choose another port" in taken.stderr) == (78, True)
        assert hub.stop() == 0
    assert "Traceback" not in hub.output()


def test_systemd_hears_ready_watchdog_and_stopping(tmp_path: Path) -> None:
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(str(tmp_path / "notify"))
    manager.settimeout(10)
    hub = HubProcess(tmp_path / "hub")
    hub.environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000"}
    with hub:
        heard = b""
        while b"READY=1" not in heard or heard.count(b"WATCHDOG=1") < 3:
            heard += manager.recv(4096) + b"\n"
    while b"STOPPING=1" not in heard:
        heard += manager.recv(4096) + b"\n"
    manager.close()


async def test_health_metrics_and_who_may_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = registered(tmp_path)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.entries(0, record.start(3))
        await site.post(b"broken")
        for path, status in (("/healthz", 200), ("/readyz", 200), ("/", 200), ("/nothing", 404)):
            async with site.http.get(running.url + path) as response:
                assert response.status == status
        async with site.http.get(running.url + "/metrics") as response:
            text = await response.text()
        assert "regulator_hub_entries_total 3.0" in text
        assert 'regulator_hub_refused_total{code="not-gzip"} 1.0' in text
        assert f'regulator_hub_dark{{gateway="{GATEWAY}"}} 0.0' in text
        with monkeypatch.context() as stuck:  # a writer that hears nothing
            stuck.setattr(running.hub.writer._jobs, "put", lambda _job: None)
            stuck.setattr(app, "WRITER_S", 0.1)
            async with site.http.get(running.url + "/readyz") as response:
                status = response.status
        assert status == 503
        # Somebody from elsewhere may deliver and may ask whether we live, and nothing more.
        monkeypatch.setattr(app, "is_loopback", lambda _host: False)
        for path, status in (("/healthz", 200), ("/", 403), ("/api/v1/gateways", 403), ("/metrics", 403), ("/events", 403)):
            async with site.http.get(running.url + path) as response:
                assert response.status == status
        assert (await site.entries(3, [record.batch(3, -20.0)]))["receipt"]["size"] == 4


async def test_requests_that_ask_wrongly_get_a_sentence(tmp_path: Path) -> None:
    token = registered(tmp_path)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.entries(0, record.start(3))
        base = f"{running.url}/api/v1/gateways/{GATEWAY}"
        for path, status, code in (
            (f"{running.url}/api/v1/gateways/nobody/points", 404, "no-gateway"),
            (f"{base}/readings?epoch=x", 404, "no-epoch"),
            (f"{base}/entries", 400, "no-epoch"),
            (f"{base}/readings?first=-1", 400, "bad-number"),
            (f"{base}/entries?epoch={EPOCH}&count=9{'9' * 30}", 400, "bad-number"),
        ):
            async with site.http.get(path) as response:
                problem = json.loads(await response.read())
                assert (response.status, problem["code"]) == (status, code)


async def test_readings_come_page_by_page_and_none_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = registered(tmp_path)
    other = "f" * 16
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        await site.text(record.TEXT)
        await site.hello([[EPOCH, 40], [other, 10]])
        await site.entries(0, record.start(40))
        await site.entries(0, [record.snapshot(0, 1), *(record.batch(seq, -1.0 * seq) for seq in range(1, 10))], other)
        path = f"/api/v1/gateways/{GATEWAY}"
        await site.eventually("/api/v1/gateways", lambda a: all(e["interpreted"] == e["size"] for e in a["gateways"][0]["epochs"]))
        found, query = [], ""
        while True:
            answer = await site.get(f"{path}/readings?point=cold1-air&limit=7{query}")
            found += answer["readings"]
            if answer["next"] is None:
                break
            query = "".join(f"&{key}={value}" for key, value in answer["next"].items())
        assert [(r["epoch"], r["seq"]) for r in found] == [
            *((EPOCH, seq) for seq in range(2, 40)), *((other, seq) for seq in range(1, 10))
        ]  # fmt: skip
        assert {(r["value"], r["quality"]) for r in found[:2]} == {(-22.0, "good"), (-23.0, "good")}
        everything = (await site.get(f"{path}/readings"))["readings"]
        assert len(everything) == 2 * len(found)


async def test_the_view_survives_a_restart_and_a_crash(tmp_path: Path) -> None:
    with HubProcess(tmp_path) as hub:
        token = registered(hub.state_dir)
        async with gateway(hub.url, token) as site:
            await site.text(record.TEXT)
            await site.entries(0, [*record.start(20), record.violation(20, "violated")])
            await site.live({30: record.batch(30, -11.0)})
            path = f"/api/v1/gateways/{GATEWAY}"
            await site.eventually(path + "/points", lambda a: a["points"] and a["points"][0]["value"] == -11.0)
            for end in (hub.stop, hub.kill):
                end()
                hub.start()
                found = await site.eventually(path + "/points", lambda a: a["points"] and a["points"][0]["value"] == -11.0)
                assert (found["points"][0]["state"], found["points"][0]["in_order"]) == ("violation", False)


#: A hub that tells of what it has not yet committed: the window in which a kill takes a receipt back.
TELLS_TOO_EARLY = """
import time
import tomllib
from regulator_hub.store import writer
def commit(self, jobs):
    self._db.execute("BEGIN IMMEDIATE")
    done = [(future, *self._attempt(job)) for job, future in jobs]
    self._loop.call_soon_threadsafe(writer._tell, done)
    time.sleep(0.02)
    self._db.execute("COMMIT")
writer.Writer._commit = commit
"""


async def taken_back(folder: Path, *, patch: str = "", kills: int = 6) -> int:
    """Kill -9 under load again and again; how many receipted entries were missing, other or doubled afterwards."""
    choose, entries, receipted, missing = random.Random(7), record.start(4000), 0, 0
    with HubProcess(folder, patch=patch) as hub:
        token = registered(hub.state_dir)
        for _ in range(kills):
            async with gateway(hub.url, token) as site:
                size = (await site.hello([[EPOCH, len(entries)]]))["sizes"][EPOCH]
                missing, receipted = missing + max(0, receipted - size), size
                killer = asyncio.get_running_loop().call_later(choose.uniform(0.02, 0.3), hub.kill)
                try:
                    while size < len(entries):
                        answer = await site.entries(size, entries[size : size + 50])
                        receipted = size = answer["receipt"]["size"]
                except aiohttp.ClientError:
                    pass
                killer.cancel()
                hub.kill()
                hub.start()
        assert receipted > 100
        async with gateway(hub.url, token) as site:
            address = f"{hub.url}/api/v1/gateways/{GATEWAY}/entries?epoch={EPOCH}&count=5000"
            async with site.http.get(address) as response:
                held = (await response.read()).splitlines()
    other = sum(a != b for a, b in zip(held, entries, strict=False))
    return missing + max(0, receipted - len(held)) + other


async def test_a_receipt_is_never_taken_back_by_a_kill(tmp_path: Path) -> None:
    assert await taken_back(tmp_path) == 0


async def test_planted_a_receipt_before_the_commit_is_caught(tmp_path: Path) -> None:
    assert await taken_back(tmp_path, patch=TELLS_TOO_EARLY) > 0


def test_the_store_syncs_every_commit_and_refuses_a_newer_file(tmp_path: Path) -> None:
    db = open_writer(tmp_path / "hub.sqlite")
    assert (db.pragma("journal_mode"), db.pragma("synchronous")) == ("wal", 2)  # FULL
    db.pragma("user_version", schema.SCHEMA + 1)
    db.close()
    with pytest.raises(JournalTooNew):
        open_writer(tmp_path / "hub.sqlite")


async def test_a_full_disk_gives_no_receipt_and_loses_none(tmp_path: Path) -> None:
    token = registered(tmp_path)
    entries = record.start(3000)
    async with running_hub(tmp_path) as running, gateway(running.url, token) as site:
        size = (await site.entries(0, entries[:10]))["receipt"]["size"]
        await running.hub.writer.run(lambda db: db.pragma("max_page_count", db.pragma("page_count") + 20))
        answer: dict[str, Any] = {}
        while "problem" not in answer:
            answer = await site.entries(size, entries[size : size + 100])
            size = answer.get("receipt", {}).get("size", size)
        assert (answer["problem"]["code"], answer["problem"]["status"]) == ("storage", 503)
        assert (await site.hello([[EPOCH, 3000]]))["sizes"][EPOCH] == size  # to meet needs no room
        await running.hub.writer.run(lambda db: db.pragma("max_page_count", 1 << 30))
        while size < 3000:
            size = (await site.entries(size, entries[size : size + 1000]))["receipt"]["size"]


async def test_jobs_that_fail_undo_only_themselves(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "hub.sqlite")

    def good(db: apsw.Connection) -> int:
        return ingest.gateway_of(db, "good", 1)

    def bad(db: apsw.Connection) -> None:
        ingest.gateway_of(db, "bad", 1)
        raise wire.WireError("bad-sha256", "no")

    def broken(db: apsw.Connection) -> None:
        db.execute("INSERT INTO nowhere VALUES (1)")

    results = await asyncio.gather(writer.run(good), writer.run(bad), writer.run(good), return_exceptions=True)
    assert (results[0], type(results[1]), results[2]) == (results[2], wire.WireError, results[0])
    with pytest.raises(StoreFailed):
        await writer.run(broken)
    async with asyncio.timeout(5):
        with pytest.raises(StoreFailed, match="fault of the hub's own"):
            await writer.run(lambda db: [][ingest.gateway_of(db, "worse", 1)])
    assert await writer.run(lambda db: db.execute("SELECT group_concat(name) FROM gateways").get) == "good"
    await writer.close()


def test_storing_is_fast_enough(tmp_path: Path) -> None:
    """1,000-entry messages: at least 5,000 entries a second, at most 0.1 ms of CPU an entry (start-up taken off)."""
    with HubProcess(tmp_path) as hub:
        token = registered(hub.state_dir)

        async def deliver() -> tuple[float, float]:
            entries = record.start(20_000)
            async with gateway(hub.url, token) as site:
                await site.text(record.TEXT)
                cpu_s, since_s = _cpu_s(hub.pid), time.monotonic()
                for first in range(0, len(entries), 1000):
                    await site.entries(first, entries[first : first + 1000])
                took_s = time.monotonic() - since_s
                await site.eventually("/api/v1/gateways", lambda a: a["gateways"][0]["epochs"][0]["interpreted"] == 20_000)
                return took_s, _cpu_s(hub.pid) - cpu_s

        took_s, cpu_s = asyncio.run(deliver())
        assert 20_000 / took_s >= 5_000
        assert cpu_s / 20_000 <= 0.0001


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_scaled_clock_is_the_same_for_all(tmp_path: Path) -> None:
    """The demonstration runs hub and gateway at one scaled time."""
    origin = time.time_ns() // 1000
    hub = HubProcess(tmp_path)
    hub.command += ["--speed", "60", "--clock-origin-us", str(origin)]
    with hub:
        time.sleep(1.0)

        async def now() -> int:
            async with gateway(hub.url, "") as site:
                return int((await site.get("/api/v1/gateways"))["now_us"])

        ahead_us = asyncio.run(now()) - time.time_ns() // 1000
        assert ahead_us > 30_000_000
    wait_until(lambda: not hub.running, "ended")


def test_the_shipped_file_and_the_page_show_the_defaults(tmp_path: Path) -> None:
    """hub.toml as shipped, also with every commented key switched on, is what HubToml takes and documents."""
    shipped = (Path(app.__file__).parent / "hub.toml").read_text(encoding="utf-8")
    file = tmp_path / "hub.toml"
    file.write_text(shipped)
    assert load(file) == load(None, state_dir=Path("/var/lib/regulator-hub"))
    keys = re.sub(r"^# (?=\[mqtt\]|[a-z_]+ = )", "", shipped, flags=re.MULTILINE)
    file.write_text(keys)
    table = load(file)
    assert table.mqtt is not None
    assert table.mqtt.client_id == "regulator-hub"
    page = (Path(__file__).parents[2] / "docs/reference/hub.md").read_text(encoding="utf-8")
    block = tomllib.loads(page.partition("```toml\n")[2].partition("```")[0])
    mqtt = block.pop("mqtt")
    defaults = HubToml().model_dump(mode="json", exclude={"mqtt"})
    assert block == defaults
    assert mqtt == MqttTable(host="127.0.0.1").model_dump()
