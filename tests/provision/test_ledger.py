"""Every simulated slave notes requests that write, and a note outside of provision's tests is a failure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.servers import write_ledger
from tests.servers.process import REPOSITORY

TESTS = REPOSITORY / "tests"
#: What makes a file look like a slave: it answers frames, or runs somebody's server.
SLAVE = re.compile(
    r"ModbusTcpServer\(|ModbusSerialServer\(|modbus_tcp\.TcpServer\(|def answer\(self, (?:pdu|unit)|def serve\(self|unpack\(\">BBHH"
)
#: Files that look so and need no note, with the reason.
KNOWN = {
    "demo/test_fieldbus.py": "asks the demonstration's plant, which refuses other functions, itself",
    "demo/test_parts.py": "the same",
    "fuzz/lines.py": "virtual: judged by what the line accepts; lines refuse to send such requests before",
    "fuzz/question.py": "the same",
    "provision/test_ledger.py": "this file",
}


def test_every_slave_of_the_suite_keeps_the_ledger() -> None:
    slaves = {
        path.relative_to(TESTS).as_posix(): path.read_text("utf-8")
        for path in TESTS.rglob("*.py")
        if SLAVE.search(path.read_text("utf-8")) and "odbus" in path.read_text("utf-8")
    }
    assert len(slaves) > 10
    silent = [name for name, text in slaves.items() if "saw(" not in text and "heard" not in text and name not in KNOWN]
    assert silent == [], "call tests.servers.write_ledger.saw() with each request, or say above why not"


@pytest.mark.parametrize("pdu", ["050000ff00", "0600000001", "0f00000001010f", "100000000102000a", "16000000f20025", "5a", "08"])
def test_what_could_change_a_slave_is_noted_and_fails_other_tests(pdu: str) -> None:
    before = len(write_ledger.entries())
    assert write_ledger.saw("planted", 1, bytes.fromhex(pdu))
    assert write_ledger.forbidden(before, "tests/provision/test_ledger.py::x") == []
    assert write_ledger.forbidden(before, "tests/links/test_modbus.py::x") == [f"planted unit 1 {pdu}"]


@pytest.mark.parametrize("pdu", ["0300000001", "0400000001", "11", "2b0e0100"])
def test_what_only_reads_is_not(pdu: str) -> None:
    before = len(write_ledger.entries())
    assert not write_ledger.saw("planted", 1, bytes.fromhex(pdu))
    assert len(write_ledger.entries()) == before


def test_the_ledger_is_each_workers_own() -> None:
    assert Path(write_ledger.os.environ[write_ledger.VARIABLE]).parent.name.startswith("edge-gateway-writes-")
