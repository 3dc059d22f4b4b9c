"""Tests of real deadlines on a machine that was taken away: they are taken again, and it is said; knows nothing of what they test.

A deadline that broke while others had the processors says nothing about the gateway. The kernel counts for how long something that
could have run had to wait (``/proc/pressure/cpu``); a test marked ``timing`` that fails after more of that than ``SHARE`` of its own
length is repeated, at most twice. One that fails on a machine that was its own fails at once.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

#: Of a test's length, from which on its failure says nothing; how often it is tried.
SHARE, TRIES = 0.15, 3
_again = pytest.StashKey[list[str]]()


def waited_s() -> float:
    """Seconds since the start in which something that could run did not; 0.0 where the kernel does not count them."""
    try:
        told = Path("/proc/pressure/cpu").read_text()
    except OSError:
        return 0.0
    found = re.search(r"^some .*total=(\d+)", told, re.MULTILINE)
    return int(found[1]) / 1e6 if found else 0.0


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """As pytest runs a test; one of real deadlines up to ``TRIES`` times."""
    if item.get_closest_marker("timing") is None:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    for attempt in range(1, TRIES + 1):
        if attempt > 1:
            item._initrequest()  # type: ignore[attr-defined]  # fixtures of its own are made anew
        began_s, before_s = time.monotonic(), waited_s()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        took_s, lost_s = time.monotonic() - began_s, waited_s() - before_s
        failed = any(report.failed for report in reports)
        if not failed or attempt == TRIES or lost_s < SHARE * took_s:
            break
        item.config.stash.setdefault(_again, []).append(f"{item.nodeid}: {lost_s:.1f} of {took_s:.1f} s")
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Which, and how much of their time the machine was busy with something else."""
    again = config.stash.get(_again, [])
    if again:
        terminalreporter.section("taken again: the machine was busy with something else")
        for line in again:
            terminalreporter.write_line(line)
