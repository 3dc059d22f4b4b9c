"""Priorities for journald, times for people: an error must not look like a warning to whoever filters by priority."""

from __future__ import annotations

import subprocess
import sys

import pytest

_PROGRAM = """
import logging
from edge_gateway.links.logs import set_up_logging
set_up_logging("warning")
log = logging.getLogger("regulator_hub")
log.info("unheard")
log.warning("first")
log.error("second\\nline")
"""


@pytest.mark.parametrize(
    ("environment", "lines"),
    [
        ({"JOURNAL_STREAM": "8:1"}, ["<4>regulator_hub: first", "<3>regulator_hub: second", " line"]),
        ({}, ["WARNING regulator_hub: first", "ERROR   regulator_hub: second", "line"]),
    ],
)
def test_lines(environment: dict[str, str], lines: list[str]) -> None:
    said = subprocess.run([sys.executable, "-c", _PROGRAM], env=environment, capture_output=True, text=True, check=True)
    found = said.stderr.splitlines()
    assert len(found) == len(lines)
    assert all(line.endswith(wanted) for line, wanted in zip(found, lines, strict=True)), found
