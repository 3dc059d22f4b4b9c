"""``scan`` and ``inbox`` as programs, on a pseudo terminal in real time, without a gateway and through the running one."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_gateway.journal.reading import Reading
from edge_gateway.links.modbus_pdu import crc16
from tests.cli.site import PROGRAM, Gateway, Plant, config_text
from tests.servers.process import free_port
from tests.servers.read_only import assert_read_only
from tests.servers.sim_bus import SimUnit
from tests.servers.unknown_bus import UnknownBus

SITE = '[site]\nid = "s"\norigin = "example.org/s"\nname_zh = "站"\nname_en = "Site"\n[clock]\ntrust = "declared"\n[rules]\npacks = []\n'
LINE = ("--line", "9600-8N1", "--addresses", "1-6", "--listen", "0.2")


@pytest.fixture
def bus() -> Iterator[UnknownBus]:
    units = [SimUnit(2, {(4, 1): 213, (4, 2): 456}), SimUnit(5, {(3, 0x40): 0x3F00, (3, 0x41): 0})]
    with UnknownBus(units) as running:
        yield running
        assert_read_only(running.functions.elements())


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    return Gateway(tmp_path, SITE + f'[page]\nlisten = "127.0.0.1:{free_port()}"\n')


def test_without_a_gateway(bus: UnknownBus, gateway: Gateway) -> None:
    scanned = gateway.verb("scan", bus.path, *LINE)
    assert scanned.returncode == 0, scanned.stderr
    assert "addr   2" in scanned.stdout
    assert "NEW #1" in scanned.stdout
    assert "generic/xy-md02" in scanned.stdout
    assert "21.3 °C" in scanned.stdout
    assert "est. " in scanned.stderr
    assert "frames sent" in scanned.stderr
    listed = json.loads(gateway.verb("inbox", "list", "--json").stdout)["items"]
    assert [item["found"]["unit"] for item in listed] == [2, 5]
    added = gateway.verb("inbox", "add", "1", "--as", "cold1", "--zone", "cold1", "--kind", "frozen-store")
    assert added.returncode == 0, added.stderr
    read = gateway.verb("read", "cold1-temperature")
    assert "21.3 °C" in read.stdout, read.stderr
    again = gateway.verb("scan", *LINE, "--json")  # the bus that the inbox made is the only line there is
    units = json.loads(again.stdout)["units"]
    assert {unit["unit"]: unit.get("known") for unit in units} == {2: ["cold1"], 5: []}
    assert gateway.verb("scan", "--lang", "zh", *LINE).stdout.count("已配置") == 1


def test_through_the_running_gateway(bus: UnknownBus, gateway: Gateway) -> None:
    with gateway:
        assert gateway.verb("scan", bus.path, *LINE).returncode == 0
        refused = gateway.verb("inbox", "add", "2", "--as", "hall", "--zone", "hall", "--kind", "cleaning-line")
        assert (refused.returncode, "likely: zw/rcl101" in refused.stderr) == (1, True)
        wish = ("--zone", "cold1", "--kind", "frozen-store", "--every", "0.5")
        assert gateway.verb("inbox", "add", "1", "--as", "cold1", *wish).returncode == 0
        gateway.wait(lambda: gateway.status()["rows"][0]["value"] is not None, "a reading")
        again = gateway.verb("scan", "line1", *LINE)
        assert "known: cold1" in again.stdout, again.stderr
        assert "polling goes on in between: cold1" in again.stderr
        assert gateway.verb("inbox", "ignore", "2").returncode == 0
        assert gateway.verb("inbox", "list").stdout == ""
        gateway.wait(lambda: gateway.status()["rows"][0]["age_s"] < 2, "a reading after the scan")
    reading = Reading(gateway.state)
    entries = [entry for _, entry in reading.entries()]
    reading.close()
    (added,) = [entry for entry in entries if entry.get("event") == "inbox-added"]
    assert added["points"] == ["cold1-temperature", "cold1-humidity"]
    assert added["by"]
    slots = [entry["slot_us"] for entry in entries if entry["kind"] == "batch"]
    assert [b - a for a, b in itertools.pairwise(slots) if b - a != 500_000] == [], "a slot was missed"


def test_another_master_is_not_disturbed_without_a_word(bus: UnknownBus, gateway: Gateway) -> None:
    request = bytes((9, 3, 0, 0, 0, 1))
    asking = subprocess.Popen(
        [PROGRAM, "scan", bus.path, "--addresses", "1-3", "--listen", "3", "--state", gateway.state, "--config", gateway.config],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert asking.stderr is not None
    for line in asking.stderr:
        if line.startswith(("Ctrl-C", "Ctrl-C 停止")):
            break
    while asking.poll() is None:
        bus.say(request + crc16(request))
        try:
            asking.wait(0.3)
        except subprocess.TimeoutExpired:
            continue
    said = asking.stderr.read()
    assert asking.returncode == 7, said
    assert "--yes" in said
    assert not bus.functions, "something was asked"


def begun(gateway: Gateway, bus: UnknownBus) -> subprocess.Popen[str]:
    """A scan that has found its first unit."""
    command = [PROGRAM, "scan", bus.path, "--listen", "0", "--state", gateway.state, "--config", gateway.config]
    scanning = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert scanning.stdout is not None
    while "xy-md02" not in scanning.stdout.readline():
        assert scanning.poll() is None
    return scanning


def test_whoever_hangs_up_ends_the_scan_and_so_does_the_gateways_end(bus: UnknownBus, gateway: Gateway) -> None:
    with gateway:
        first = begun(gateway, bus)
        busy = gateway.verb("scan", bus.path, *LINE)
        assert (busy.returncode, "a scan is under way" in busy.stderr) == (7, True)
        first.kill()
        first.communicate(timeout=10)
        assert gateway.verb("scan", bus.path, *LINE).returncode == 0, "the line was not given back"
        second = begun(gateway, bus)
        assert gateway.stop() == 0
        _, said = second.communicate(timeout=20)
        assert (second.returncode, "the gateway ended" in said) == (1, True), said
    assert "Traceback" not in gateway.log()


def test_ctrl_c_keeps_what_was_found(bus: UnknownBus, gateway: Gateway) -> None:
    scanning = begun(gateway, bus)
    scanning.send_signal(signal.SIGINT)
    _, said = scanning.communicate(timeout=20)
    assert scanning.returncode == 130, said
    assert "Traceback" not in said
    assert gateway.verb("inbox", "list").stdout.count("generic/xy-md02") == 1


def test_settings_that_a_port_refuses_are_passed_over(bus: UnknownBus, gateway: Gateway) -> None:
    """A Linux pseudo terminal has no parity: it refuses one when there is nothing else to be set up."""
    even = ("--line", "9600-8E1", "--addresses", "2-2", "--listen", "0")
    scanned = gateway.verb("scan", bus.path, "--line", "9600-8N1", *even)
    assert scanned.returncode == 0, scanned.stderr
    assert "9600-8E1 is passed over" in scanned.stderr
    assert "generic/xy-md02" in scanned.stdout
    nothing = gateway.verb("scan", bus.path, *even)
    assert nothing.returncode == 4
    assert "cannot be set up so" in nothing.stderr


def test_hosts_that_a_person_names_and_no_others(gateway: Gateway) -> None:
    with Plant(units=2) as plant:
        scanned = gateway.verb("scan", f"127.0.0.1:{plant.port}", "--addresses", "1-2", "--json")
        assert scanned.returncode == 0, scanned.stderr
        units = json.loads(scanned.stdout)["units"]
        assert [unit["matches"][0]["profile"] for unit in units] == ["generic/xy-md02"] * 2
    assert gateway.verb("scan", "10.0.0.0/8").returncode == 1
    assert "at most 256" in gateway.verb("scan", "10.0.0.0/8").stderr
    nobody = gateway.verb("scan", f"127.0.0.0/30:{free_port()}", "--addresses", "1")
    assert nobody.returncode == 4


def test_the_one_socket_of_a_polled_device_is_lent(tmp_path: Path) -> None:
    """Units 1 to 3 are polled every 2 s over the same endpoint that is scanned; 4 is new, and joins that bus."""
    with Plant(units=4) as plant:
        gateway = Gateway(tmp_path, config_text(plant.port, interval_s=2.0, page=f"127.0.0.1:{free_port()}"))
        with gateway:
            gateway.wait(lambda: gateway.status().get("points", {}).get("normal") == 3, "readings")
            scanned = gateway.verb("scan", "plc", "--addresses", "1-4")
            assert scanned.returncode == 0, scanned.stderr
            assert [f"known: cold{n}-th" in scanned.stdout for n in (1, 2, 3)] == [True] * 3
            assert "addr   4" in scanned.stdout
            added = gateway.verb("inbox", "add", "1", "--as", "cold4", "--zone", "cold3", "--channels", "temperature")
            assert added.returncode == 0, added.stderr
            gateway.wait(lambda: len(gateway.status()["rows"]) == 4, "the new point")
            gateway.wait(lambda: gateway.status()["points"]["no-data"] == 0, "its reading", 30)
        reading = Reading(gateway.state)
        entries = [entry for _, entry in reading.entries()]
        reading.close()
    for group in ("cold1-th.0", "cold2-th.0", "cold3-th.0"):
        slots = [entry["slot_us"] for entry in entries if entry["kind"] == "batch" and entry["group"] == group]
        assert {b - a for a, b in itertools.pairwise(slots)} <= {2_000_000}, group
