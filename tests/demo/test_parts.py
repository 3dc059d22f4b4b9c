"""The demonstration's smaller programs and files, each as a process or over a real socket where it has one."""

from __future__ import annotations

import asyncio
import gzip
import json
import signal
import socket
import struct
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_gateway.config.load import load
from edge_gateway.demo.children import Child, ChildFailed, module
from edge_gateway.demo.cut import Line
from edge_gateway.demo.follow import Teller
from edge_gateway.demo.publishers import tasmota_payload, zigbee_payload
from edge_gateway.demo.run import Options, _report
from edge_gateway.demo.scene import DEVICES
from edge_gateway.demo.site_config import Places, gateway_toml, hub_toml
from edge_gateway.demo.truthlog import read_truth
from edge_gateway.record.note import COSIGNATURE, ED25519, Key
from regulator_hub import config as hub_config

SPEED = 30.0


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    file = tmp_path / "lines"
    process = subprocess.Popen(module("receiver", "--file", str(file)), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = json.loads(process.stdout.readline())["ready"]["port"]
    yield f"http://127.0.0.1:{port}", file
    process.terminate()
    assert process.wait(5) == 0
    process.stdout.close()


def post(url: str, body: bytes, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def test_the_receiver_keeps_lines_before_it_answers(receiver: tuple[str, Path]) -> None:
    url, file = receiver
    assert post(f"{url}/write?db=demo&precision=u", b"m v=1 1") == 204
    packed = {"Content-Encoding": "gzip"}
    assert post(f"{url}/write?db=demo&precision=u", gzip.compress(b"m v=2 2\n"), **packed) == 204
    assert file.read_text() == "m v=1 1\nm v=2 2\n"
    assert post(f"{url}/write?db=demo&precision=ns", b"m v=3 3") == 400
    assert post(f"{url}/write?db=demo&precision=u", b"no gzip", **packed) == 400
    assert file.read_text() == "m v=1 1\nm v=2 2\n"


async def test_a_cut_line_refuses_and_resets_and_a_mended_one_has_the_same_port() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    far = await asyncio.start_server(echo, "127.0.0.1", 0)
    line = Line()
    line.target_port = far.sockets[0].getsockname()[1]
    await line.mend()
    port = line.port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"hello")
    assert await asyncio.wait_for(reader.readexactly(5), 2) == b"hello"
    line.cut()
    with pytest.raises(ConnectionError):
        await asyncio.wait_for(reader.readexactly(1), 2)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    await line.mend()
    assert line.port == port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"again")
    assert await asyncio.wait_for(reader.readexactly(5), 2) == b"again"
    writer.close()
    await line.close()
    far.close()


def test_a_tethered_process_dies_with_a_killed_parent(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    child = f"import os, pathlib, time; pathlib.Path({str(pid_file)!r}).write_text(str(os.getpid())); time.sleep(60)"
    parent = (
        "import os, subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-m', 'edge_gateway.demo.tether', str(os.getpid()), sys.executable, '-c', {child!r}])\n"
        "time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", parent])
    pid = _pid_in(pid_file)
    process.kill()
    process.wait()
    ends = time.monotonic() + 5
    while _lives(pid):
        assert time.monotonic() < ends, "the child outlived its parent"
        time.sleep(0.01)


def _pid_in(file: Path) -> int:
    ends = time.monotonic() + 10
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < ends
        time.sleep(0.01)
    return int(file.read_text())


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_a_child_that_ends_says_why(tmp_path: Path) -> None:
    child = await Child.start(
        "fails", [sys.executable, "-c", "import sys; print('{}'); sys.exit('no such thing')"], tmp_path
    )
    assert await child.hear_json() == {}
    with pytest.raises(ChildFailed, match=r"exit code 1(.|\n)*no such thing"):
        await child.hear()
    with pytest.raises(ChildFailed):
        await child.ended()
    assert await child.end() == 1


async def test_a_child_that_will_not_end_is_killed(tmp_path: Path) -> None:
    stubborn = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    )
    child = await Child.start("stubborn", [sys.executable, "-c", stubborn], tmp_path)
    assert await child.hear() == "up"
    assert await child.end(within_s=0.2) == -signal.SIGKILL


VKEY = str(Key("Demo-hub", COSIGNATURE, bytes(range(32))))
COMMAND_VKEY = str(Key("Demo-hub/commands", ED25519, bytes(range(32, 64))))


def places(tmp_path: Path, language: str = "en") -> Places:
    token = tmp_path / "token"
    token.write_text("rh_secret\n")
    return Places(
        tcp_ports={"plc": 5020, "stores": 5021}, serial={"line1": "/dev/pts/9"}, broker_port=1884, hub_url="http://127.0.0.1:8090",
        token_file=token, hub_vkey=VKEY, command_vkey=COMMAND_VKEY, signer=tmp_path / "sign.sock", receiver_url="http://127.0.0.1:8086", database="demo", page="127.0.0.1:8080", language=language,
        speed=SPEED, origin_us=1_700_000_000_000_000, interval_s=60.0, timeout_s=1.5, mqtt_protocol="3.1.1",
    )  # fmt: skip


def test_the_written_configuration_is_accepted_and_watched_by_rules(tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(gateway_toml(places(tmp_path)), encoding="utf-8")
    loaded = load(file, tmp_path / "state")
    assert loaded.config.clock.speed == SPEED
    assert len(loaded.config.points) == sum(len(device.points) for device in DEVICES)
    watched = {(rule.id, rule.point) for rule in loaded.binding.rules}
    wanted = {
        ("frozen-store-air", "cold1-air"), ("frozen-store-air", "cold2-air"), ("washing-water-chlorine", "hall-chlorine"),
        ("outlet-ph", "outlet1-ph"), ("offal-core", "offal-core1"), ("cutting-room-air", "cutting-air"),
        ("chilled-store-air", "chill1-entry-air"),
    }  # fmt: skip
    assert wanted <= watched


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_hubs_configuration_is_accepted(tmp_path: Path, language: str) -> None:
    file = tmp_path / "hub.toml"
    file.write_text(hub_toml("127.0.0.1:8090", tmp_path / "hub", language), encoding="utf-8")
    assert hub_config.load(file).language == language
    assert tomllib.loads(file.read_text(encoding="utf-8"))["state_dir"] == str(tmp_path / "hub")


def test_payloads_are_those_of_the_makers() -> None:
    text, values = zigbee_payload(1_700_000_000_123_456, lambda _: 2.345678)
    assert json.loads(text)["last_seen"] == "2023-11-14T22:13:20.123Z"
    assert values == {"chill1-entry-air": 2.35, "chill1-entry-rh": 2.35}
    text, values = tasmota_payload(1_700_000_000_123_456, lambda point: float(point[-1]))
    payload = json.loads(text)
    assert payload["Time"] == "2023-11-15T06:13:20+08:00"
    assert payload["DS18B20-2"] == {"Id": "0000059352D4", "Temperature": 1.0}
    assert values == {"offal-core1": 1.0, "offal-core2": 2.0, "offal-core3": 3.0}


async def test_the_plant_answers_logs_and_falls_quiet(tmp_path: Path) -> None:
    truth = tmp_path / "truth.jsonl"
    options = {
        "seed": 1, "speed": 60.0, "origin_us": time.time_ns() // 1000, "truth": str(truth), "broker_port": 1, "guests": {"plc": 0},
        "interval_s": 60.0, "timeout_s": 1.5,
    }  # fmt: skip
    file = tmp_path / "plant.json"
    file.write_text(json.dumps(options))
    plant = await Child.start("plant", module("plant", "--options-file", str(file)), tmp_path)
    try:
        ready = (await plant.hear_json())["ready"]
        assert Path(ready["serial"]["line1"]).exists()
        with socket.create_connection(("127.0.0.1", ready["guests"]["plc"]), timeout=5) as guest:
            guest.sendall(struct.pack(">HHHBBHH", 1, 0, 6, 1, 4, 1, 2))
            assert guest.recv(64)[7:9] == bytes([4, 4])  # answered like the gateway, but no part of the truth that must arrive
        with socket.create_connection(("127.0.0.1", ready["ports"]["plc"]), timeout=5) as asking:
            asking.sendall(struct.pack(">HHHBBHH", 1, 0, 6, 1, 4, 1, 2))
            reply = asking.recv(64)
            asking.sendall(struct.pack(">HHHBBHH", 2, 0, 6, 77, 4, 1, 2))  # nobody has this unit
            assert asking.recv(64)[7:] == bytes([0x84, 0x0B])
            plant.order("begin")
            assert (await plant.hear_json())["event"] == "chlorine-empty"
            plant.order("quiet")
            assert asking.recv(64) == b""
    finally:
        assert await plant.end() in (0, -signal.SIGTERM)
    reply_line, event, quiet = list(read_truth(truth))
    temperature, humidity = struct.unpack(">hH", reply[-4:])
    assert reply_line["values"] == {"cold1-air": temperature / 10, "cold1-rh": humidity / 10}
    assert (reply_line["bus"], reply_line["unit"], reply_line["function"], reply_line["start"]) == ("plc", 1, 4, 1)
    assert (reply_line["data"], reply_line["counts"]) == (reply[-4:].hex(), True)
    assert (event["kind"], event["what"], quiet["kind"]) == ("event", "chlorine-empty", "quiet")


@pytest.mark.parametrize(("language", "said"), [("en", "Missing: 1. Held with another value, or observed more than 2 s"), ("zh", "缺失：1。数值不同，或观测时间晚于给出 2 秒以上（机器繁忙所致）：3。")])
def test_what_differs_is_told_by_its_kind(language: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = Options(for_s=None, speed=30.0, seed=1, as_json=False, keep=None, language=language)
    hub, influx = {"examples": [], "missing": 1, "altered": 0}, {"examples": [], "missing": 0, "altered": 3}
    result = {"readings": 9, "hub_readings": 8, "influx_readings": 9, "lost": 4, "violations": 2, "hub": hub, "influx": influx}
    _report(result, options, Teller(language))
    assert said in capsys.readouterr().err
    _report(result | {"lost": 0}, options, Teller(language))
    assert said not in capsys.readouterr().err
