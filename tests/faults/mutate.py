"""Mutants of the decision cores: small faults in rules, violations, phases and marks, one at a time; how many the tests notice.

``python -m tests.faults.mutate --n 1000 --seed 1 [--jobs 2] [--budget 7200]``: N sites are drawn, with a seed, from a copy of the sources.
One process collects ``TESTS`` against that copy (of a test with very many seeds ``SEEDS``) and forks a child for each thing to try. The first child
runs everything without a fault, each test for ``LONGEST_S`` at most; coverage.py notes which test comes by which line, and what each costs. Then each
mutant's child takes the fault into its functions' code, in memory, and runs the tests that come by its statement (a fault that acts when a module is
imported: it imports all of ours anew). A mutant is killed when a test fails or takes ``SLOWER`` times its time (it hangs); it survived when all pass, and
where no test comes by it (uncovered). A child runs for ``MOST_S``: what it let pass by then counts as survived. At the end every test that killed runs
once more, whole and without a fault: if one fails, the run proves nothing. The last line is JSON, kept in ``bench/results`` too; exit 1 below 85 % killed.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import pickle
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import accumulate, zip_longest
from pathlib import Path
from types import FrameType, FunctionType
from typing import Any

import coverage
import pytest

from tests.faults import results
from tests.faults.judged import Judged
from tests.faults.mutants import CORES, PACKAGE, ROOT, Faulty, Mutant, draw, functions, mutant, replace_code

#: What may notice a fault: the cores' own tests, and quick ones of their neighbours.
TESTS = (
    "tests/rules", "tests/violations", "tests/phases", "tests/marks", "tests/config/test_overrides.py", "tests/config/test_packs.py",
    "tests/cli/test_rules.py", "tests/cli/test_rules_cards.py", "tests/cli/test_rules_explain.py", "tests/cli/test_rules_list.py",
)  # fmt: skip
GOAL = 0.85
#: CPU time (s): a test hangs beyond so many times what it takes without a fault, and this; what one mutant's tests get together, and one
#: test when it is measured.
SLOWER, LEAST_S, MOST_S, LONGEST_S = 5.0, 2.0, 4.0, 1.0
#: A test with more than ``MANY`` parameters (they are seeds) takes part with so many of them.
MANY, SEEDS = 99, 12
#: So many of the tests that killed others in its file lately run before all others.
LATELY = 12
#: Address space of a child: an endless list ends there.
MOST_BYTES = 4 << 30
_OURS = ("edge_gateway", "regulator_hub", "tests")
#: Times are CPU time, so that a busy machine kills nothing; the wall's only end what waits for ever.
#: Tests that a planted fault is caught, or would be, hold other tests to it: they notice no fault themselves, and take long.
_NOT = "not caught and not would_be"
_WAY = ("-q", "-s", "-k", _NOT, "-p", "no:cacheprovider", "-o", "timeout=900", f"--rootdir={ROOT}", f"--config-file={ROOT / 'pyproject.toml'}")


@dataclass(slots=True)
class Measured:
    """A run without a fault: what each test cost (CPU s), and which come by each line of each core's file."""

    cost_s: dict[str, float] = field(default_factory=dict)
    lines: dict[str, dict[int, list[str]]] = field(default_factory=dict)


class Bench:
    """A plugin of pytest that runs the campaign in place of the tests that were collected, each trial in a child of its own."""

    def __init__(self, source: Path, asked: argparse.Namespace) -> None:
        self.source, self.asked = source, asked
        self.items: dict[str, pytest.Item] = {}
        self.measured = Measured()
        #: file -> the tests that killed there, the last first; file -> its living functions
        self.killers = defaultdict[str, list[str]](list)
        self.functions = dict[str, list[FunctionType]]()
        self.most_s = MOST_S
        self.report: dict[str, Any] = {}
        self.failed = ""

    # --- pytest -----------------------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:  # a file of tests cannot be imported
            raise session.Failed("the tests cannot be collected without any fault")
        self.items = {each.nodeid: each for each in some(session.items)}
        self.functions = functions(str(self.source / "edge_gateway"))
        self.report = campaign(self)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = self.failed or report.nodeid

    # --- children -------------------------------------------------------------------------------------------------

    def child(self, job: Callable[[], Any]) -> int:
        """A forked process that does a job and leaves what it has to say; its id."""
        sys.stdout.flush()
        if pid := os.fork():
            return pid
        with suppress(BaseException):  # whatever it is, a child never goes on as its parent
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1), os.dup2(silent, 2)
            resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
            with ExitStack() as end:
                end.push(self.last_words)
                (self.source / f"said-{os.getpid()}").write_bytes(pickle.dumps(job()))
        os._exit(0)

    def last_words(self, _: Any, error: BaseException | None, _traceback: Any) -> None:
        """Why a child ends without having said anything."""
        if error is not None:
            (self.source / "died.txt").write_text("".join(traceback.format_exception(error)), encoding="utf-8")

    def wait(self) -> tuple[int, int, Any]:
        """The next child that ends: its id, its exit code (a signal: below 0), what it said (None: nothing)."""
        pid, status = os.wait()
        path = self.source / f"said-{pid}"
        said = pickle.loads(path.read_bytes()) if path.exists() else None
        path.unlink(missing_ok=True)
        return pid, os.waitstatus_to_exitcode(status), said

    def run(self, names: Sequence[str]) -> str:
        """In a child: run these tests until one fails or the time is over, each with its own; the one that failed, or ""."""
        chosen = [self.items[name] for name in names if name in self.items]
        until_s = time.process_time() + self.most_s
        for item, following in zip_longest(chosen, chosen[1:]):
            hangs_s, left_s = LEAST_S + SLOWER * self.measured.cost_s[item.nodeid], until_s - time.process_time()
            if left_s <= 0:
                break
            if self.measured.cost_s[item.nodeid] < LONGEST_S / 4:
                signal.signal(signal.SIGPROF, signal.SIG_DFL)  # ends the process
            else:
                signal.signal(signal.SIGPROF, self.nothing_failed)
                hangs_s = left_s
            signal.setitimer(signal.ITIMER_PROF, hangs_s)
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            if self.failed:
                break
        signal.setitimer(signal.ITIMER_PROF, 0)
        return self.failed

    def nothing_failed(self, *_: Any) -> None:
        """The child's time is over within a test."""
        (self.source / f"said-{os.getpid()}").write_bytes(pickle.dumps(""))
        os._exit(0)

    # --- without a fault --------------------------------------------------------------------------------------------

    def measure(self) -> None:
        """Run all tests without a fault, files of them beside each other, or take what the log has of it. Ends the run where one fails."""
        kept = self.asked.log and self.asked.log.with_suffix(".measured")
        if kept and kept.exists():
            self.measured = pickle.loads(kept.read_bytes())
            return
        files = sorted({item.path for item in self.items.values()}, key=lambda path: -sum(item.path == path for item in self.items.values()))
        shares = [{item.nodeid for item in self.items.values() if item.path in files[n :: self.asked.jobs]} for n in range(self.asked.jobs)]
        running = {self.child(lambda share=share: self._measuring(share)): share for share in shares}  # type: ignore[misc]
        while running:
            pid, _, said = self.wait()
            if not isinstance(said, Measured):
                died = self.source / "died.txt"
                pytest.exit(f"the tests fail without any fault: {died.read_text('utf-8') if died.exists() else said}", returncode=1)
            self.measured.cost_s |= said.cost_s
            for file, lines in said.lines.items():
                for line, names in lines.items():
                    self.measured.lines.setdefault(file, {}).setdefault(line, []).extend(names)
            if left := running.pop(pid) - set(said.cost_s):  # it ended within a test that took long enough
                running[self.child(lambda left=left: self._measuring(left))] = left  # type: ignore[misc]
        if kept:
            kept.write_bytes(pickle.dumps(self.measured))

    def _measuring(self, share: set[str]) -> Measured | str:
        """In a child: all of these tests, or until one takes longer than any is measured."""
        package, cost_s = self.source / "edge_gateway", dict[str, float]()
        noted = coverage.Coverage(data_file=None, config_file=False, include=[f"{package / core}{end}" for core in CORES for end in (".py", "/*")])
        noted.set_option("run:core", "ctrace")  # the only one that knows contexts on every Python

        def found() -> Measured:
            noted.stop()
            data = noted.get_data()
            return Measured(cost_s, {str(Path(file).relative_to(package)): data.contexts_by_lineno(file) for file in data.measured_files()})

        def long_enough(_: int, frame: FrameType | None) -> None:
            if frame is not None and Path(frame.f_code.co_filename).parent == Path(coverage.__file__).parent:  # which holds a lock there
                signal.setitimer(signal.ITIMER_PROF, LONGEST_S / 100)
                return
            cost_s[item.nodeid] = LONGEST_S
            (self.source / f"said-{os.getpid()}").write_bytes(pickle.dumps(found()))
            os._exit(0)

        signal.signal(signal.SIGPROF, long_enough)
        noted.start()
        every = [item for item in self.items.values() if item.nodeid in share]
        for item, following in zip(every, [*every[1:], None], strict=True):
            noted.switch_context(item.nodeid)
            began_s = time.process_time()
            signal.setitimer(signal.ITIMER_PROF, LONGEST_S)
            item.ihook.pytest_runtest_protocol(item=item, nextitem=following)
            signal.setitimer(signal.ITIMER_PROF, 0)
            cost_s[item.nodeid] = time.process_time() - began_s
            if self.failed:
                return self.failed
        return found()

    def tests_of(self, fault: Mutant) -> list[str]:
        """The tests that come by a fault: first those that killed in its file lately, then whose function has cost least so far.

        What acts at the import (a table, a default, a model's field) is noticed by whoever comes by its file, or by no line of any
        core (it looks at what stands there), or by any test where nothing of the file runs later.
        """
        cost_s, lines = self.measured.cost_s, self.measured.lines.get(fault.file, {})
        first, last = fault.statement if fault.within else (0, max(lines, default=0))
        names = {name for line in range(first, last + 1) for name in lines.get(line, ()) if name}
        if not fault.within:
            names = names | (set(cost_s) - self.moving()) if names else set(cost_s)
        spent, order = defaultdict[str, float](float), list[tuple[float, str]]()
        for name in sorted(names, key=lambda each: (cost_s[each], each)):
            spent[name.partition("[")[0]] += cost_s[name]
            order.append((spent[name.partition("[")[0]], name))
        lately = [name for name in self.killers[fault.file] if name in names and cost_s[name] < LONGEST_S / 10][:LATELY]
        found = list(dict.fromkeys([*lately, *(name for _, name in sorted(order))]))
        return found if fault.within else [name for name, until_s in zip(found, accumulate(cost_s[name] for name in found), strict=True) if until_s < MOST_S / 2]

    def moving(self) -> set[str]:
        """The tests that come by any line of the cores."""
        return {name for lines in self.measured.lines.values() for names in lines.values() for name in names}

    # --- with a fault -----------------------------------------------------------------------------------------------

    def attempt(self, names: Sequence[str], fault: Mutant) -> str:
        """In a child: the first of these tests that fails with the fault, or ""."""
        path = self.source / "edge_gateway" / fault.file
        code = compile(fault.tree, str(path), "exec")  # type: ignore[call-overload]
        if fault.within:
            replace_code(code, self.functions[str(path)])
            return self.run(names)
        for name in [each for each in sys.modules if each.split(".")[0] in _OURS]:
            del sys.modules[name]
        sys.meta_path.insert(0, Faulty("edge_gateway." + fault.file.removesuffix(".py").replace("/", "."), path, code))
        anew = Anew(self, names)
        ended = pytest.main([*_WAY, *sorted({str(self.items[name].path) for name in names})], plugins=[anew])
        return anew.failed or ("what cannot be imported" if ended == pytest.ExitCode.INTERRUPTED else "")

    def judge(self, faults: Iterator[Mutant], jobs: int) -> Iterator[tuple[Mutant, str, str]]:
        """Each mutant, what became of it, and the test that killed it."""
        running, more = dict[int, Mutant](), True
        while more or running:
            if more and len(running) < jobs:
                fault = next(faults, None)
                more = fault is not None
                if fault is None:
                    continue
                if names := self.tests_of(fault):
                    running[self.child(lambda names=names, fault=fault: self.attempt(names, fault))] = fault  # type: ignore[misc]
                else:
                    yield fault, "uncovered", ""
                continue
            pid, code, said = self.wait()
            hung = "hung" if code == -signal.SIGPROF else "unclear"  # unclear: pytest itself broke, no test noticed
            yield running.pop(pid), hung if said is None else "killed" if said else "survived", said or ""

    def killed(self, file: str, killer: str) -> None:
        """A test killed a mutant of a file ("": none did)."""
        if killer in self.items:
            self.killers[file] = [killer, *(name for name in self.killers[file] if name != killer)]

    def confirm(self, killers: set[str]) -> bool:
        """Whether all tests that killed pass without a fault, in a child like those of the mutants."""
        names = sorted(killers & set(self.items), key=lambda each: self.measured.cost_s[each])
        self.most_s = 3600.0
        self.child(lambda: self.run(names))
        return self.wait()[2] == ""


class Anew:
    """A plugin of pytest in a child: the chosen tests only, as ``Bench`` runs them."""

    def __init__(self, bench: Bench, names: Sequence[str]) -> None:
        self.bench, self.names = bench, names
        self.failed = ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        if session.testsfailed:
            return None
        self.bench.items = {each.nodeid: each for each in session.items}
        self.failed = self.bench.run(self.names)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.bench.pytest_runtest_logreport(report)


def some(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """All tests; of one with many seeds some."""
    by_function = defaultdict[str, list[pytest.Item]](list)
    for item in items:
        by_function[item.nodeid.partition("[")[0]].append(item)
    return [item for each in by_function.values() for item in (each if len(each) <= MANY else each[:SEEDS])]


def campaign(bench: Bench) -> dict[str, Any]:
    """The whole run, as the line that is kept."""
    asked, began_s = bench.asked, time.monotonic()
    judged = Judged(asked.log)
    bench.measure()
    print(f"measured {len(bench.measured.cost_s)} tests in {time.monotonic() - began_s:.0f} s", flush=True)
    gc.collect(), gc.freeze()  # children leave alone what is there: they share it

    for file, killer in judged.killers():
        bench.killed(file, killer)

    def faults() -> Iterator[Mutant]:
        for file, number in draw(asked.n, asked.seed, asked.only):
            if not judged.has(file, number) and (asked.budget is None or time.monotonic() - began_s < asked.budget):
                yield mutant(file.read_text("utf-8"), str(file.relative_to(PACKAGE)), number)

    for fault, end, killer in bench.judge(faults(), asked.jobs):
        judged.add(fault, end, killer)
        bench.killed(fault.file, killer)
    confirmed, figures = bench.confirm({killer for _, killer in judged.killers()}), judged.figures()
    return {"seed": asked.seed, **figures, "tests": len(bench.measured.cost_s), "confirmed": confirmed, "seconds": round(time.monotonic() - began_s, 1)} | {
        "passed": figures["n"] > 0 and figures["killed"] >= GOAL * figures["n"] and confirmed
    }


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="children beside each other")
    parser.add_argument("--log", type=Path, default=None, help="where each mutant's end is kept: the run goes on from there")
    parser.add_argument("--budget", type=float, default=None, help="begin no mutant after so many seconds")
    parser.add_argument("--only", default="", help="files whose path below the package has this in it")
    parser.add_argument("--tests", nargs="+", default=TESTS, help="other tests than those of the cores")
    parser.add_argument("--unkept", action="store_true", help="keep no line in bench/results")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        tempfile.tempdir = folder  # children that are ended leave nothing elsewhere
        source = copy(Path(folder))
        sys.dont_write_bytecode, sys.path[:0] = True, [str(source), str(ROOT)]
        os.environ |= {"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1", "TRACES": "60", "COURSES": "50"}
        os.chdir(ROOT)
        bench = Bench(source, asked)
        pytest.main([*_WAY, *asked.tests], plugins=[bench])
    report = bench.report
    if report and not asked.unkept:
        results.append("mutate", report)
    print(json.dumps({"campaign": "mutate"} | report))
    return 0 if report.get("passed") else 1


def copy(folder: Path) -> Path:
    """The sources as they are now, beside the data that they look for; where the copy is."""
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for data in ("rules", "drivers"):
        (folder / data).symlink_to(ROOT / data)
    return folder / "src"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
