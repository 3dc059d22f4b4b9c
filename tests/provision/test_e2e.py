"""As a person would: diff, apply with a typed word, verify; and that no other command, route or page can write."""

from __future__ import annotations

import contextlib
import getpass
import http.client
import json
import os
import pty
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from edge_gateway.cli.client import Client, Refused
from edge_gateway.cli.main import VERBS
from edge_gateway.journal.reading import Reading
from edge_gateway.page.control import control_app
from tests.cli.site import FROZEN, PROGRAM, Gateway, config_text
from tests.provision.unit import SerialUnits, SimulatedUnit, TcpUnits
from tests.servers.process import REPOSITORY, free_port

WHO = ("--by", "Li Wei", "--why", "new probe")


def xy_md02(unit: int, correction: int = 0) -> SimulatedUnit:
    holding = {0x101: unit, 0x102: 0, 0x103: correction, 0x104: 0}
    return SimulatedUnit(input={1: FROZEN, 2: 800}, holding=holding, unit=unit, address_at=0x101, later=True)


class Site:
    """Three transmitters, the first with a correction inside, and the gateway that reads them."""

    def __init__(self, folder: Path, line: TcpUnits) -> None:
        self.units = line.units
        self.gateway = Gateway(folder, config_text(line.port, page=f"127.0.0.1:{free_port()}"))

    def writes(self) -> list[str]:
        return [pdu.hex() for unit in self.units for pdu in unit.writes]

    def typed(self, *arguments: str, say: str) -> tuple[int, str]:
        """A verb on a terminal, and what a person types there; exit code and everything shown."""
        gateway = self.gateway
        master, slave = pty.openpty()
        command = [str(PROGRAM), *arguments, "--config", str(gateway.config), "--state", str(gateway.state)]
        environment = {**os.environ, "EDGE_GATEWAY_LANG": "en", "PYTHONPATH": str(REPOSITORY / "src"), "COLUMNS": "200"}
        process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True)
        os.close(slave)
        os.write(master, say.encode())
        shown = b""
        with contextlib.suppress(OSError):  # the terminal ends with the program
            while data := os.read(master, 4096):
                shown += data
        os.close(master)
        return process.wait(20), shown.decode()

    def events(self, prefix: str) -> list[dict[str, Any]]:
        with contextlib.closing(Reading(self.gateway.state)) as journal:
            found = [entry for _, entry in journal.entries() if entry["kind"] == "event"]
        return [entry for entry in found if str(entry["event"]).startswith(prefix)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with TcpUnits(xy_md02(1, correction=15), xy_md02(2), xy_md02(3)) as line:
        made = Site(tmp_path_factory.mktemp("site"), line)
        with made.gateway as gateway:
            gateway.wait(lambda: gateway.status().get("points", {}).get("normal") == 3, "all points are read")
            yield made


def test_a_difference_is_shown_and_nothing_is_written_without_a_person(site: Site) -> None:
    shown = site.gateway.verb("provision", "diff", "cold1-th")
    assert shown.returncode == 1
    assert re.search(r"temperature-correction +DIFFERS  is 1\.5 °C  should be 0 °C", shown.stdout), shown.stdout
    assert re.search(r"unit-address +same  is 1  should be 1  UNVERIFIED", shown.stdout), shown.stdout
    assert site.gateway.verb("provision", "diff", "cold2-th").returncode == 0
    refusals = [
        (2, ()),  # no name, no reason
        (2, WHO),  # no terminal
        (2, (*WHO, "--yes")),
        (1, (*WHO, "--yes", "--expect", "temperature-correction=0.7")),  # it is 1.5
        (1, (*WHO, "--yes", "--expect", "humidity-correction=0")),  # another one's value
        (1, (*WHO, "--yes", "--expect", "unit-address=1", "--set", "unit-address=9")),  # nobody confirms that register
        (1, (*WHO, "--yes", "--expect", "temperature-correction=1.5", "--set", "temperature-correction=11")),
    ]
    for code, arguments in refusals:
        answer = site.gateway.verb("provision", "apply", "cold1-th", *arguments)
        assert answer.returncode == code, (arguments, answer)
        assert "Traceback" not in answer.stderr
    for said in ("yes\n", "cold1-th temperature-correction 1.5 -> 1\n", "cold2-th temperature-correction 1.5 -> 0\n"):
        assert site.typed("provision", "apply", "cold1-th", *WHO, say=said)[0] == 1
    assert site.writes() == []


def test_a_sheet_of_ones_own_is_taken_with_its_file_and_refused_with_its_fault(site: Site, tmp_path: Path) -> None:
    shipped = (REPOSITORY / "firmware_configs" / "modbus" / "generic-xy-md02.toml").read_text("utf-8")
    own = tmp_path / "own.toml"
    own.write_text(shipped.replace("set_to = 0\n", "set_to = 1.5\n", 1), encoding="utf-8")
    shown = site.gateway.verb("provision", "diff", "cold1-th", "--sheet", str(own))
    assert (shown.returncode, "sheet own.toml" in shown.stdout) == (0, True), shown
    assert re.search(r"temperature-correction +same  is 1\.5 °C  should be 1\.5 °C", shown.stdout), shown.stdout
    for old, new, said in (
        ("address = 0x0103", "adress = 0x0103", "own.toml:14:parameter[0].address: key"),
        ('profile = "generic/xy-md02"', 'profile = "renke/rs-ws-n01"', "this sheet feeds 'renke/rs-ws-n01'"),
        ("baud = 9600", "baud = 4800", "4800 as delivered"),
    ):
        own.write_text(shipped.replace(old, new, 1), encoding="utf-8")
        refused = site.gateway.verb("provision", "diff", "cold1-th", "--sheet", str(own))
        assert (refused.returncode, said in refused.stderr) == (1, True), refused.stderr
    assert site.writes() == []


def test_what_would_lose_a_device_is_refused_with_what_to_change(site: Site) -> None:
    sure = (*WHO, "--yes", "--unverified", "--expect", "unit-address=1")
    orphan = site.gateway.verb("provision", "apply", "cold1-th", *sure, "--set", "unit-address=9")
    assert orphan.returncode == 1
    assert "the gateway would lose it" in orphan.stderr
    assert "[devices.cold1-th] unit = 9" in orphan.stderr
    assert "provision apply cold1-th --unit 1" in orphan.stderr
    sure = (*WHO, "--yes", "--unverified", "--expect", "unit-address=2")
    taken = site.gateway.verb("provision", "apply", "cold1-th", "--unit", "2", *sure)
    assert (taken.returncode, "unit 2 is 'cold2-th'" in taken.stderr) == (1, True), taken.stderr
    assert site.writes() == []


def test_no_other_command_route_or_page_writes(site: Site) -> None:
    """Everything but `provision apply`, with what would write if it could."""
    gateway, writing = site.gateway, {"bus": "plc", "unit": 1, "register": 0x103, "count": 1, "values": [9], "value": 9}
    for function in ("5", "6", "15", "16", "22", "23"):
        assert gateway.verb("read", "--bus", "plc", "--unit", "1", "--fc", function, "--reg", "259").returncode == 2
    arguments = {"read": ("cold1-air",), "check": (), "status": (), "schema": ("config",), "export": ("--from", "1h")}
    tried = {name: gateway.verb(name, *more).returncode for name, more in arguments.items()}
    assert set(tried.values()) <= {0, 1}, tried
    client = Client(gateway.state / "control.sock")
    app = control_app(mock.MagicMock())  # for its list of routes alone
    routes = [route.path for route in app.routes if "POST" in (getattr(route, "methods", None) or ())]
    assert "/v1/provision/{verb}" in routes
    for path in routes:
        verbs = ("diff", "verify", "write", "set", "retry", "ack") if "{verb}" in path else ("",)
        for verb in verbs:
            for function in (5, 6, 15, 16, 23, 90):
                with contextlib.suppress(Refused):
                    url = path.replace("{verb}", verb).replace("{id}", "x")
                    client.post(url, writing | {"function": function, "device": "cold1-th", "parameter": "temperature-correction"})
    page = http.client.HTTPConnection(re.search(r'listen = "(.+?)"', gateway.config.read_text())[1])  # type: ignore[index]
    for method in ("GET", "POST", "PUT", "DELETE"):
        for path in ("/", "/live", "/v1/provision/apply", "/api/provision/apply", "/v1/read"):
            page.request(method, path, json.dumps(writing), {"Content-Type": "application/json"})
            page.getresponse().read()
    page.close()
    assert site.writes() == []
    assert {"run", "init", "demo", "violations", "quarantine", "provision"} | set(arguments) <= set(VERBS)


def test_drift_is_reported_by_event_status_and_page(site: Site) -> None:
    gateway = site.gateway
    gateway.wait(lambda: any(item["differs"] for item in gateway.status()["drift"]), "the comparison after the start", 40)
    (item,) = [item for item in gateway.status()["drift"] if item["differs"]]
    (row,) = item["differs"]
    assert (item["device"], row["parameter"], row["value"], row["wanted"]) == ("cold1-th", "temperature-correction", "1.5", "0")
    assert any("cold1-th: temperature-correction is 1.5" in problem for problem in gateway.status()["problems"])
    assert "DRIFT    cold1-th: temperature-correction is 1.5 °C" in gateway.verb("status").stdout
    address = re.search(r'listen = "(.+?)"', gateway.config.read_text())
    assert address is not None
    page = http.client.HTTPConnection(address[1])
    page.request("GET", "/?lang=en", headers={"Accept-Language": "en"})
    text = page.getresponse().read().decode()
    page.close()
    assert "temperature-correction is 1.5 °C, the sheet says 0 °C" in text
    assert "its sheet says 0" in gateway.log()
    assert site.writes() == []


def test_a_person_sets_it_and_the_record_tells(site: Site) -> None:
    unit = site.units[0]
    code, shown = site.typed(
        "provision", "apply", "cold1-th", *WHO, say="cold1-th temperature-correction 1.5 -> 0\n"
    )
    assert code == 0, shown
    assert "1.5 → 0 °C  set, and read back" in shown
    assert (unit.holding[0x103], site.writes()) == (0, ["060103" + "0000"])
    assert site.gateway.verb("provision", "verify", "cold1-th").returncode == 0
    unit.holding[0x103] = 5  # somebody else, at the device
    again = site.gateway.verb("provision", "apply", "cold1-th", *WHO, "--yes", "--expect", "temperature-correction=0.5")
    assert (again.returncode, unit.holding[0x103]) == (0, 0)
    status = site.gateway.status()
    assert status["points"]["normal"] == 3
    assert not any(item["differs"] for item in status["drift"]), "what was set is no drift any more"
    found = site.events("provision-")
    first = next(at for at, entry in enumerate(found) if entry["event"] == "provision-started")
    started, ended, verified = found[first : first + 3]
    said = {"device": "cold1-th", "parameter": "temperature-correction", "old": "1.5", "new": "0", "by": "Li Wei",
            "user": getpass.getuser(), "why": "new probe", "unit": 1, "register": 0x103}  # fmt: skip
    assert {key: started[key] for key in said} == said
    assert {key: ended[key] for key in said} == said
    assert (started["event"], ended["event"], ended["result"], ended["read_back"]) == (
        "provision-started", "provision-ended", "applied", "0"
    )  # fmt: skip
    assert (verified["event"], verified["by"]) == ("provision-verified", getpass.getuser())
    assert ["temperature-correction", "0", "0", "same"] in verified["parameters"]


def test_a_new_unit_gets_its_address_and_a_unit_that_forgets_is_caught(tmp_path: Path) -> None:
    """A transmitter with the factory's address is made the configured one; it forgets it at power off, and verify says so."""
    fresh = xy_md02(1)
    with TcpUnits(fresh, xy_md02(3)) as line:
        text = config_text(line.port)
        text = text[: text.index("\n[zones.cold1]")] + text[text.index("\n[zones.cold2]") :]  # nobody is unit 1 here
        gateway = Gateway(tmp_path, text)
        with gateway:
            sure = (*WHO, "--yes", "--unverified", "--expect", "unit-address=1")
            done = gateway.verb("provision", "apply", "cold2-th", "--unit", "1", *sure)
            assert done.returncode == 0, done
            assert "written; it counts after power off and on" in done.stdout
            fresh.power_cycle()
            assert fresh.unit == 2
            assert gateway.verb("provision", "verify", "cold2-th").returncode == 0
            gateway.wait(lambda: gateway.status()["points"]["normal"] == 2, "the new unit is read")
            fresh.fault = "forgets"
            fresh.holding[0x103] = fresh._stored[0x103] = 7
            sure = (*WHO, "--yes", "--expect", "temperature-correction=0.7")
            assert gateway.verb("provision", "apply", "cold2-th", *sure).returncode == 0
            fresh.power_cycle()
            lost = gateway.verb("provision", "verify", "cold2-th")
            assert lost.returncode == 1
            assert re.search(r"temperature-correction +DIFFERS  is 0\.7", lost.stdout), lost.stdout


def test_a_factory_new_unit_is_brought_to_the_bus_over_a_serial_line(tmp_path: Path) -> None:
    """Delivered as unit 1 at 4800 baud; the bus speaks 9600 and the configuration says unit 5. Both move at once."""
    holding = {0: 612, 1: 0xFF42, 0x7D0: 1, 0x7D1: 1}
    fresh = SimulatedUnit(holding=holding, unit=1, baud=4800, address_at=0x7D0, baud_at=0x7D1)
    with SerialUnits(fresh) as line:
        text = config_text(9)
        text = text[: text.index("\n[zones.cold2]")].replace("generic/xy-md02", "renke/rs-ws-n01")
        tcp = 'kind = "tcp"\nhost = "127.0.0.1"\nport = 9\ntimeout_s = 1.0\n'
        assert tcp in text
        rtu = f'kind = "rtu"\nport = "{line.path}"\nbaud = 9600\ntimeout_s = 0.2\nquiet_s = 0.05\nlate_max_s = 0.2\nbackoff_most_s = 1.0\n'
        gateway = Gateway(tmp_path, text.replace(tcp, rtu).replace("unit = 1\n", "unit = 5\n").replace("interval_s = 0.2", "interval_s = 0.5"))
        with gateway:
            gateway.wait(lambda: gateway.status()["buses"]["plc"]["devices"]["cold1-th"]["state"] == "silent", "nobody answers yet")
            sure = ("--yes", "--expect", "unit-address=1", "--expect", "baud-rate=4800")
            done = gateway.verb("provision", "apply", "cold1-th", "--unit", "1", "--line", "4800-8N1", *WHO, *sure)
            assert done.returncode == 0, done
            assert "unit-address  1 → 5  set, and read back" in done.stdout
            assert "baud-rate  4800 → 9600  set, and read back" in done.stdout
            assert (fresh.unit, fresh.baud) == (5, 9600)
            gateway.wait(lambda: gateway.status()["points"]["normal"] == 1, "the unit is read where it now is")
            assert gateway.verb("provision", "verify", "cold1-th").returncode == 0
    assert [pdu.hex() for pdu in fresh.writes] == ["0607d00005", "0607d10002"]


def test_refusals_are_chinese_for_who_reads_chinese(site: Site) -> None:
    sure = (*WHO, "--yes", "--unverified", "--expect", "unit-address=1", "--lang", "zh")
    orphan = site.gateway.verb("provision", "apply", "cold1-th", *sure, "--set", "unit-address=9")
    assert "配置中“cold1-th”的 unit 为 1：改为 9 后网关将找不到它" in orphan.stderr
    assert "请先在配置中写 [devices.cold1-th] unit = 9 并重新加载" in orphan.stderr
    shown = site.gateway.verb("provision", "diff", "cold2-th", "--lang", "zh")
    assert "一致  现为 0 °C  应为 0 °C" in shown.stdout
