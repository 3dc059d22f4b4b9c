"""Each real server starts, does its work as the other tests assume, and is missed loudly."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest
import serial
from line_protocol_parser import LineFormatError, parse_line
from paho.mqtt.enums import CallbackAPIVersion
from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient

from tests.servers import libmodbus
from tests.servers.certificates import CertificateAuthority, TlsFiles
from tests.servers.chromium import PHONE, chromium, fonts_of
from tests.servers.fault_proxy import FaultProxy
from tests.servers.influxd import Influxd
from tests.servers.libmodbus import LibmodbusRtu, LibmodbusTcp
from tests.servers.modbus_tk_slave import ModbusTkSlave
from tests.servers.mosquitto import Mosquitto, MosquittoSettings
from tests.servers.prism import Prism
from tests.servers.process import MissingServer, ServerFailed, ServerProcess, find_program, free_port, wait_until
from tests.servers.serial_line import PacedLine, SocatPair
from tests.servers.victoriametrics import VictoriaMetrics

# -- processes ---------------------------------------------------------------------------------------------------------


def test_a_missing_program_fails_and_says_what_to_run() -> None:
    with pytest.raises(MissingServer, match="make servers"):
        find_program("no-such-server")


def test_a_missing_server_fails_the_test_and_is_never_skipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    for start in (Mosquitto, Influxd, VictoriaMetrics, Prism):
        with pytest.raises(MissingServer):
            start(tmp_path / "x")


def test_a_server_that_ends_at_once_shows_its_output(tmp_path: Path) -> None:
    broken = ServerProcess("broken", ["sh", "-c", "echo it hurts; exit 3"], tmp_path, lambda: False)
    with pytest.raises(ServerFailed, match="code 3:\nit hurts"):
        broken.start()


def test_children_end_with_their_server(tmp_path: Path) -> None:
    child = tmp_path / "child"
    parent = ServerProcess("parent", ["sh", "-c", f"sleep 60 & echo $! > {child}; wait"], tmp_path, child.exists)
    parent.start()
    wait_until(lambda: child.read_text().strip() != "", "the child's id")
    parent.kill()
    wait_until(lambda: not _lives(int(child.read_text())), "the child's end")


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


# -- mosquitto ---------------------------------------------------------------------------------------------------------


class _Client:
    """A paho client that collects what it receives; a witness, not the product's bridge."""

    def __init__(
        self, port: int, name: str, *, clean: bool = True, login: str = "", tls: TlsFiles | None = None
    ) -> None:
        self.received: list[bytes] = []
        self.connected = threading.Event()
        self.refused: list[str] = []
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=name, clean_session=clean, protocol=paho.MQTTv311
        )
        if login:
            self._client.username_pw_set(login, f"{login}-password")
        if tls is not None:
            self._client.tls_set(str(tls.ca_file), str(tls.certificate_file), str(tls.key_file))
        self._client.on_connect = self._on_connect
        self._client.on_message = lambda _c, _u, message: self.received.append(bytes(message.payload))
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def _on_connect(self, _c: object, _u: object, _f: object, reason: object, _p: object) -> None:
        if str(reason) == "Success":
            self.connected.set()
        else:
            self.refused.append(str(reason))

    def subscribe(self, topic: str) -> None:
        done = threading.Event()
        self._client.on_subscribe = lambda *_: done.set()
        self._client.subscribe(topic, qos=1)
        assert done.wait(5)

    def publish(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, qos=1).wait_for_publish(5)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def _connect(broker: Mosquitto, name: str, **how: object) -> _Client:
    client = _Client(broker.port, name, **how)  # type: ignore[arg-type]
    assert client.connected.wait(5), client.refused
    return client


def test_mosquitto_carries_a_message(mosquitto: Mosquitto) -> None:
    listener = _connect(mosquitto, "listener")
    listener.subscribe("servers/plain")
    speaker = _connect(mosquitto, "speaker")
    speaker.publish("servers/plain", b"21.5")
    wait_until(lambda: listener.received == [b"21.5"], "the message")
    speaker.close()
    listener.close()


@pytest.mark.parametrize("persistence", [True, False])
def test_mosquitto_keeps_a_queue_over_a_kill_only_with_persistence(tmp_path: Path, persistence: bool) -> None:
    with Mosquitto(tmp_path, MosquittoSettings(persistence=persistence)) as broker:
        _subscribed_and_away(broker)
        speaker = _connect(broker, "speaker")
        speaker.publish("queued", b"kept?")
        if persistence:
            database = tmp_path / "state" / "mosquitto.db"
            wait_until(lambda: database.exists() and b"kept?" in database.read_bytes(), "the autosave")
        speaker.close()
        broker.restart()
        again = _connect(broker, "sleeper", clean=False)
        probe = _connect(broker, "probe")
        again.subscribe("after")
        probe.publish("after", b"after")
        wait_until(lambda: b"after" in again.received, "the message after the restart")
        assert (b"kept?" in again.received) is persistence
        probe.close()
        again.close()


def _subscribed_and_away(broker: Mosquitto) -> None:
    sleeper = _connect(broker, "sleeper", clean=False)
    sleeper.subscribe("queued")
    sleeper.close()


def test_mosquitto_asks_for_the_password_and_obeys_its_access_list(tmp_path: Path) -> None:
    settings = MosquittoSettings(
        users={"gw": "gw-password", "hub": "hub-password"},
        acl="user gw\ntopic write up\nuser hub\ntopic read up\ntopic read no\n",
    )
    with Mosquitto(tmp_path, settings) as broker:
        stranger = _Client(broker.port, "stranger")
        wait_until(lambda: stranger.refused != [], "the refusal")
        assert "uthori" in stranger.refused[0]
        hub = _connect(broker, "hub", login="hub")
        hub.subscribe("up")
        hub.subscribe("no")
        gateway = _connect(broker, "gw", login="gw")
        gateway.publish("no", b"forbidden")  # 3.1.1: acknowledged all the same
        gateway.publish("up", b"allowed")
        wait_until(lambda: hub.received != [], "the allowed message")
        assert hub.received == [b"allowed"]
        for client in (stranger, hub, gateway):
            client.close()


def test_mosquitto_over_tls_takes_its_own_authority_only(tmp_path: Path, authority: CertificateAuthority) -> None:
    settings = MosquittoSettings(tls=authority.issue("broker"), require_certificate=True)
    with Mosquitto(tmp_path / "broker", settings) as broker:
        friend = _connect(broker, "friend", tls=authority.issue("friend"))
        friend.close()
        foreign = CertificateAuthority(tmp_path / "foreign").issue("foreign")
        mixed = TlsFiles(authority.ca_file, foreign.certificate_file, foreign.key_file)
        with contextlib.suppress(OSError):
            stranger = _Client(broker.port, "stranger", tls=mixed)
            assert not stranger.connected.wait(0.5)
            stranger.close()
        wait_until(lambda: "certificate" in broker.output(), "the broker's complaint")


# -- InfluxDB and its stand-ins ----------------------------------------------------------------------------------------


def test_influxd_gives_back_what_was_written(influxd: Influxd) -> None:
    influxd.create_database("servers")
    assert influxd.write("servers", b"reading,point=p1 value=1.5,seq=7i 1700000000000001\n") == (204, "")
    stored = influxd.points("servers", "reading", "point = 'p1'")
    assert stored == [{"time": 1700000000000001, "point": "p1", "seq": 7, "value": 1.5}]


def test_influxd_stores_the_good_lines_of_a_refused_batch(influxd: Influxd) -> None:
    influxd.create_database("partial")
    status, body = influxd.write("partial", b"m value=1 1\nbroken line here\nm value=2 2\n")
    assert status == 400
    assert "unable to parse" in body
    assert [point["value"] for point in influxd.points("partial", "m")] == [1, 2]


def test_influxd_keeps_acknowledged_points_over_a_kill(tmp_path: Path) -> None:
    with Influxd(tmp_path) as server:
        server.create_database("d")
        lines = b"".join(b"m value=%d %d\n" % (number, number + 1) for number in range(500))
        assert server.write("d", lines) == (204, "")
        server.restart()
        assert len(server.points("d", "m")) == 500


def test_influxd_with_authentication_refuses_strangers(tmp_path: Path) -> None:
    with Influxd(tmp_path, auth=True) as server:
        server.query("CREATE USER root WITH PASSWORD 'secret' WITH ALL PRIVILEGES")
        assert server.write("d", b"m value=1 1")[0] == 401
        server.login = ("root", "secret")
        server.create_database("d")
        assert server.write("d", b"m value=1 1")[0] == 204


def test_victoriametrics_gives_back_what_was_written(victoriametrics: VictoriaMetrics) -> None:
    request = urllib.request.Request(
        f"{victoriametrics.url}/write?precision=u", data=b"servers,point=p1 value=2.5 1700000000000000", method="POST"
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 204
    (series,) = victoriametrics.export("servers_value")
    assert series["metric"]["point"] == "p1"
    assert (series["values"], series["timestamps"]) == ([2.5], [1700000000000])


def _write_v2(prism: Prism, query: str, headers: dict[str, str]) -> int:
    body = gzip.compress(b"m value=1 1")
    always = {"Content-Type": "text/plain; charset=utf-8", "Content-Encoding": "gzip", "Accept": "application/json"}
    request = urllib.request.Request(
        f"{prism.url}/api/v2/write?{query}", data=body, headers={**always, **headers}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as refused:
        return refused.code


def test_prism_accepts_the_contract_and_refuses_what_breaks_it(prism: Prism) -> None:
    token = {"Authorization": "Token t"}
    assert _write_v2(prism, "org=o&bucket=b&precision=us", token) == 204
    assert _write_v2(prism, "org=o&bucket=b&precision=us", {}) == 401
    assert _write_v2(prism, "org=o&precision=us", token) == 400
    assert _write_v2(prism, "org=o&bucket=b&precision=microseconds", token) == 400
    assert _write_v2(prism, "org=o&bucket=b", {**token, "Prefer": "code=503"}) == 503
    assert any("bucket" in line for line in prism.violations())


def test_the_line_protocol_judge_tells_good_from_bad() -> None:
    assert parse_line("m,a=b value=1.5,n=3i 12")["fields"] == {"value": 1.5, "n": 3}
    with pytest.raises(LineFormatError):
        parse_line("m,a= value=1.5 12")


# -- Modbus ------------------------------------------------------------------------------------------------------------


async def test_libmodbus_over_tcp(libmodbus_tcp: LibmodbusTcp) -> None:
    client = AsyncModbusTcpClient("127.0.0.1", port=libmodbus_tcp.port, timeout=2, retries=0, reconnect_delay=0)
    assert await client.connect()
    inputs = await client.read_input_registers(libmodbus.INPUT_ADDRESS, count=1, device_id=libmodbus.UNIT)
    assert inputs.registers == [libmodbus.INPUT_VALUE]
    refused = await client.read_holding_registers(libmodbus.HOLDING_ADDRESS + 0x10, count=1, device_id=libmodbus.UNIT)
    assert refused.exception_code == 6
    client.close()


async def _read_rtu(terminal: Path) -> float:
    """Seconds that one good exchange took."""
    client = AsyncModbusSerialClient(
        str(terminal), framer=FramerType.RTU, baudrate=9600, timeout=2, retries=0, reconnect_delay=0
    )
    assert await client.connect()
    await client.read_input_registers(libmodbus.INPUT_ADDRESS, count=1, device_id=libmodbus.UNIT)
    began = time.perf_counter()
    inputs = await client.read_input_registers(libmodbus.INPUT_ADDRESS, count=1, device_id=libmodbus.UNIT)
    took_s = time.perf_counter() - began
    assert inputs.registers == [libmodbus.INPUT_VALUE]
    client.close()
    return took_s


async def test_libmodbus_over_rtu_on_a_plain_pair(serial_pair: SocatPair, tmp_path: Path) -> None:
    with LibmodbusRtu(tmp_path, serial_pair.b):
        assert await _read_rtu(serial_pair.a) < 1


async def test_libmodbus_over_rtu_on_a_paced_line_takes_the_wires_time(paced_line: PacedLine, tmp_path: Path) -> None:
    with LibmodbusRtu(tmp_path, paced_line.b):
        took_s = await _read_rtu(paced_line.a)
    assert took_s >= (8 + 7) * 10 / 9600, "request and reply cannot be faster than the wire"


def test_a_paced_line_takes_the_time_of_its_bytes_and_loses_none(tmp_path: Path) -> None:
    sent = bytes(range(256)) * 2
    with (
        PacedLine(tmp_path, baud=19200) as line,
        serial.Serial(str(line.a)) as a,
        serial.Serial(str(line.b), timeout=5) as b,
    ):
        began = time.perf_counter()
        a.write(sent)
        assert b.read(len(sent)) == sent
        took_s = time.perf_counter() - began
    wire_s = len(sent) * 10 / 19200
    assert wire_s <= took_s < wire_s * 3


def test_a_paced_line_survives_that_a_client_closes_and_opens_again(paced_line: PacedLine) -> None:
    with serial.Serial(str(paced_line.b), timeout=5) as b:
        for text in (b"one", b"two"):
            with serial.Serial(str(paced_line.a)) as a:
                a.write(text)
                assert b.read(3) == text


def test_modbus_tk_is_read_by_mbpoll(tmp_path: Path) -> None:
    with ModbusTkSlave(tmp_path, [215, 480, 65535], unit=3, address=10) as slave:
        command = [find_program("mbpoll"), "-m", "tcp", "-a", "3", "-0", "-r", "10", "-c", "3", "-t", "4", "-1"]
        shown = subprocess.run(
            [*command, "-p", str(slave.port), "127.0.0.1"], check=True, capture_output=True, text=True
        )
    assert "[10]: \t215" in shown.stdout
    assert "[12]: \t65535" in shown.stdout


# -- the fault proxy ---------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _echo_behind_proxy() -> AsyncIterator[FaultProxy]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(4096):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, FaultProxy(server.sockets[0].getsockname()[1]) as proxy:
        yield proxy


async def _say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> bytes:
    writer.write(data)
    await writer.drain()
    return await asyncio.wait_for(reader.readexactly(len(data)), 5)


async def test_the_proxy_forwards_and_delays() -> None:
    async with _echo_behind_proxy() as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await _say(reader, writer, b"hello") == b"hello"
        proxy.latency_s = 0.1
        began = time.perf_counter()
        assert await _say(reader, writer, b"later") == b"later"
        assert time.perf_counter() - began >= 0.2
        assert proxy.connections == 1
        writer.close()


async def test_the_proxy_holds_everything_in_a_black_hole_and_lets_it_through_when_healed() -> None:
    async with _echo_behind_proxy() as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await _say(reader, writer, b"hello") == b"hello"
        proxy.black_hole()
        writer.write(b"lost?")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(5), 0.3)
        proxy.heal()
        assert await asyncio.wait_for(reader.readexactly(5), 5) == b"lost?"
        writer.close()


async def test_the_proxy_resets_refuses_and_serves_again() -> None:
    async with _echo_behind_proxy() as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        await _say(reader, writer, b"hello")
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.readexactly(1), 5)
        await proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", proxy.port)
        await proxy.serve()
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await _say(reader, writer, b"again") == b"again"
        writer.close()


async def test_the_proxy_cuts_after_its_byte_limit() -> None:
    async with _echo_behind_proxy() as proxy:
        proxy.limit_bytes = 15  # ten there, five back
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"0123456789")
        arrived = bytearray()
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(_read_until_reset(reader, arrived), 5)
        assert len(arrived) <= 5
        writer.close()


async def _read_until_reset(reader: asyncio.StreamReader, arrived: bytearray) -> None:
    while chunk := await reader.read(100):
        arrived += chunk


# -- the browser -------------------------------------------------------------------------------------------------------


async def test_chromium_draws_chinese_at_phone_width_and_reaches_no_other_host() -> None:
    async with chromium() as browser:
        page = await browser.new_page(viewport=PHONE, locale="zh-CN")
        await page.set_content('<html lang="zh-CN"><p id="t">冷库温度</p></html>')
        assert await page.evaluate("[innerWidth, navigator.language]") == [360, "zh-CN"]
        assert any("WenQuanYi" in family for family in await fonts_of(page, "#t"))
        with pytest.raises(Exception, match="ERR_NAME_NOT_RESOLVED"):
            await page.goto("http://cdn.example/")


def test_free_ports_are_outside_the_range_of_clients() -> None:
    lowest_ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    port = free_port()
    assert port < lowest_ephemeral
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
