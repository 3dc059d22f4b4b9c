"""Every writing request that a simulated slave sees, noted in one file: whoever may not write must leave none there.

Slaves run in this process, in its threads and in processes of their own; the file's place travels in the environment. After
each test `conftest.py` looks whether it grew: outside ``MAY_WRITE`` that fails the test.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

#: Whose tests may send a simulated slave what could change it: those of `provision apply`, and the audit, which uses every verb once.
MAY_WRITE = ("tests/provision/", "tests/faults/test_audit.py::test_every_route_verb_and_key")
VARIABLE = "EDGE_GATEWAY_TEST_WRITES"
#: Function codes that only read or identify (17: report server id; 43/14: read device identification; 7: exception status).
READING = frozenset({1, 2, 3, 4, 7, 11, 12, 17, 20, 24, 43})


def saw(slave: str, unit: int, pdu: bytes) -> bool:
    """A slave was sent ``pdu``; notes it if it could change anything, and says so."""
    if not pdu or pdu[0] in READING:
        return False
    place = os.environ.get(VARIABLE)
    if place:
        with Path(place).open("a", encoding="ascii") as ledger:
            ledger.write(f"{slave} unit {unit} {pdu.hex()}\n")
    return True


def heard(sending: bool, pdu: Any) -> Any:
    """``trace_pdu`` of pymodbus' servers: hears every request and answer."""
    if not sending:
        saw("pymodbus", pdu.dev_id, bytes((pdu.function_code,)) + pdu.encode())
    return pdu


def forbidden(before: int, nodeid: str) -> list[str]:
    """What was noted since there were ``before`` entries, if the test ``nodeid`` may not write."""
    return [] if nodeid.startswith(MAY_WRITE) else entries()[before:]


def entries() -> list[str]:
    """What was noted so far."""
    place = Path(os.environ[VARIABLE])
    return place.read_text("ascii").splitlines() if place.exists() else []
