"""Tests on a machine that was taken away: they are taken again, alone, and it is said; knows nothing of what they test.

A deadline that broke while others had the processors says nothing about the gateway. The kernel counts for how long something that
could have run had to wait (``/proc/pressure/cpu``). A test that fails after more of that than ``SHARE`` of its own length is taken
again while no other test of this run is: one marked ``timing`` at most twice; another once, and only if it ran processes for a second or
more, because what is computed in one process hangs on no time. Beside other workers the processors are always wanted, so a worker does the latter ``MOST``
times at most. One that fails on a machine that was its own fails at once, and one that fails each time fails. The summary says
which tests were taken again, what each had failed with, and how it ended. A test marked ``alone`` is alone the first time too.
"""

from __future__ import annotations

import re
import resource
import shutil
import tempfile
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from tests.turns import Turns

#: Of a test's length, from which on its failure says nothing; how often one of real deadlines is tried, and one of processes.
SHARE, TRIES, TRIES_OF_PROCESSES = 0.15, 3, 2
#: So many tests of processes are taken again by a worker, and none that took less time (s).
MOST, LEAST_S = 3, 1.0
AGAIN = "taken again"
_before = pytest.StashKey[list[str]]()  # how a test ended, each time before


def waited_s() -> float:
    """Seconds since the start in which something that could run did not; 0.0 where the kernel does not count them."""
    try:
        told = Path("/proc/pressure/cpu").read_text()
    except OSError:
        return 0.0
    found = re.search(r"^some .*total=(\d+)", told, re.MULTILINE)
    return int(found[1]) / 1e6 if found else 0.0


def register(config: pytest.Config) -> None:
    """To be called where the run is configured."""
    repeats = Repeats(config)
    config.pluginmanager.register(repeats)
    config.pluginmanager.register(InTurn(config, repeats))


class InTurn:
    """Waits for a test's turn around everything else, and lets what is to be taken again begin anew."""

    def __init__(self, config: pytest.Config, repeats: Repeats) -> None:
        given = getattr(config, "workerinput", None)
        self._own = Path(tempfile.mkdtemp(prefix="edge-gateway-turns-")) if given is None else None
        self._turns = Turns(self._own or Path(given["turns"]))
        self._repeats = repeats

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """A worker is about to start."""
        node.workerinput["turns"] = str(self._own)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
        """Waiting is no part of a test: its time limit begins after it."""
        again = bool(item.stash.setdefault(_before, []))
        with self._turns.taken(alone=again or item.get_closest_marker("alone") is not None):
            done = yield
        if self._repeats.wanted(item):
            return item.config.hook.pytest_runtest_protocol(item=item, nextitem=nextitem)
        return done

    def pytest_unconfigure(self) -> None:
        """Nothing is left behind."""
        self._turns.close()
        if self._own:
            shutil.rmtree(self._own)


class Repeats:
    """Runs a test as pytest does, but holds its reports back where it is to be taken again."""

    def __init__(self, config: pytest.Config) -> None:
        self._again: pytest.Item | None = None
        self._spent = 0  # tests of processes that were taken again
        self._told: list[str] = []

    def wanted(self, item: pytest.Item) -> bool:
        """Whether it is to be taken again; asked once after each time."""
        again, self._again = self._again, None
        return again is item

    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Once, with what it used made anew; reported when nothing is to come after it."""
        before = item.stash[_before]
        if before:
            item._initrequest()  # type: ignore[attr-defined]  # fixtures of its own are made anew
        else:
            item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        began_s, lost_s, children_s = time.monotonic(), waited_s(), _children_s()
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
        took_s, lost_s = time.monotonic() - began_s, waited_s() - lost_s
        failed = next((report for report in reports if report.failed), None)
        if failed and lost_s >= SHARE * took_s and self._may(item, processes=took_s >= LEAST_S and _children_s() > children_s):
            before.append(f"the machine was busy for {lost_s:.1f} of {took_s:.1f} s: {_why(failed)}")
            self._again = item
            return True
        if before:
            ended = "failed" if failed else "passed"
            reports[-1].user_properties.append((AGAIN, f"{item.nodeid}, {ended} then; before: {'; '.join(before)}"))
        for report in reports:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def _may(self, item: pytest.Item, *, processes: bool) -> bool:
        """``processes``: some ended meanwhile."""
        times = len(item.stash[_before]) + 1
        if item.get_closest_marker("timing") is not None:
            return times < TRIES
        if times >= TRIES_OF_PROCESSES or self._spent >= MOST or not processes:
            return False
        self._spent += 1
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Also what workers report."""
        self._told += [str(why) for name, why in report.user_properties if name == AGAIN]

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Each by its name, so that nobody overlooks one."""
        if self._told:
            terminalreporter.section(f"{len(self._told)} taken again: the machine was busy with something else")
            for line in self._told:
                terminalreporter.write_line(line)


def _why(report: pytest.TestReport) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    lines = (crash.message if crash else report.longreprtext).strip().splitlines() or ["?"]
    return f"{report.when}: {lines[0][:160]}"


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
