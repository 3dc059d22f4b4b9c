"""Every figure of docs/reference/performance.md for this machine: `make bench`, in a shorter form with `ARGS=--quick`.

Runs the programs beside it one after the other, prints the table and writes it between the markers of the page.
`--only cpu,peak` runs some parts and keeps the others' figures of the last run (bench/_out/results.json).
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.util
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference" / "performance.md"
RESULTS = ROOT / "bench" / "_out" / "results.json"
BEGIN, END = "<!-- table: written by `make bench` -->", "<!-- end of table -->"
Found = dict[str, Any]
Row = tuple[str, str, str, str]  # figure, goal, measured, method


def program(name: str, *options: object) -> Found:
    """A benchmark's last line of output, as JSON."""
    command = [sys.executable, str(ROOT / "bench" / f"{name}.py"), *map(str, options)]
    print("$", " ".join(command[1:]), file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, text=True)
    try:
        found: Found = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise SystemExit(f"{name} ended with {done.returncode} and no result") from None
    return found


def cpu(quick: bool) -> Found:
    """CPU and memory at 1,000/s with either InfluxDB, CPU at 20,000/s."""
    slow = ["--windows", 2, "--seconds", 10, "--page", 10] if quick else ["--windows", 5, "--seconds", 30, "--page", 60]
    fast = ["--windows", 2, "--seconds", 5] if quick else ["--windows", 5, "--seconds", 10]
    found = {
        "v1": program("gateway", *slow),
        "v2": program("gateway", "--influx", 2, *slow),
        "fast": program("gateway", "--interval", 0.05, *fast),
    }
    if importlib.util.find_spec("uvloop"):
        found["v1_uvloop"] = program("gateway", "--uvloop", *slow)
        found["fast_uvloop"] = program("gateway", "--uvloop", "--interval", 0.05, *fast)
    return found


def record(quick: bool) -> Found:
    """What signing and checking cost; the whole gateway signed and not, turn by turn, so that both meet the same hour."""
    turns = [[program("gateway", *sign, "--windows", 2, "--seconds", 10) for sign in ([], ["--sign"])] for _ in range(1 if quick else 4)]
    plain, signed = ([each["cpu_s_per_1000"][0] for each in half] for half in zip(*turns, strict=True))
    found = program("record", "--segments", 4 if quick else 20)
    return found | {"plain": sorted(plain), "signed": sorted(signed)}


def rules(quick: bool) -> Found:
    """What rules cost: the engine alone, and their share of the whole gateway's CPU at 1,000 readings/s."""
    shape = ["--windows", 2, "--seconds", 10] if quick else ["--windows", 5, "--seconds", 30]
    return {"engine": program("rules", "--json"), "gateway": program("gateway", "--rules", *shape)}


PARTS: dict[str, Callable[[bool], Found]] = {
    "cpu": cpu,
    "rules": rules,
    "peak": lambda quick: program("peak", "--seconds", 10 if quick else 60),
    "latency": lambda quick: program("latency", "--seconds", 20 if quick else 100),
    "rtu": lambda quick: program("rtu_line", "--seconds", 2 if quick else 5),
    "sizes": lambda quick: program("sizes", "--segments", 1 if quick else 3),
    "startup": lambda quick: program("startup", "--readings", 1e6 if quick else 52e6, "--starts", 3 if quick else 6),
    "record": record,
    "export": lambda quick: program("export", "--days", 1 if quick else 30),
}


def rows(found: Found) -> list[Row]:
    """The table, part by part, for what was measured."""
    made: list[Row] = []
    for name, make in (
        ("cpu", _cpu), ("rules", _rules), ("peak", _peak), ("latency", _latency), ("rtu", _rtu), ("sizes", _sizes), ("startup", _startup),
        ("record", _record), ("export", _export),
    ):  # fmt: skip
        if name in found:
            made += make(found[name])
    return made


def _times(three: list[float], digits: int) -> str:
    middle, least, most = (f"{each:.{digits}f}" for each in three)
    return f"{middle} ({least}–{most})"


def _cpu(part: Found) -> list[Row]:
    v1, v2, fast = part["v1"], part["v2"], part["fast"]
    windows = "{windows} windows of {seconds:.0f} s; CPU of all the gateway's threads"
    made = [
        (
            "CPU-s per 1,000 readings at 1,000/s, aligned", "≤ 0.012", _times(v1["cpu_s_per_1000"], 4),
            f"50 devices × 20 float32 at 1 s; {windows.format(**v1)}",
        ),
        ("the same with a v2 sink", "–", _times(v2["cpu_s_per_1000"], 4), windows.format(**v2)),
        (
            "the same (v1), the page open in one browser", "–", f"{v1['cpu_s_per_1000_page_open']:.4f}",
            "every row changes every second",
        ),
        (
            "CPU-s per 1,000 readings at {asked_per_s:,.0f}/s asked, {readings_per_s:,}/s taken".format(**fast), "≤ 0.010",
            _times(fast["cpu_s_per_1000"], 4),
            f"the same at 0.05 s; {windows.format(**fast)}",
        ),
    ]  # fmt: skip
    if "fast_uvloop" in part:
        made += [
            ("with uvloop at 1,000/s", "–", _times(part["v1_uvloop"]["cpu_s_per_1000"], 4), "as above"),
            ("with uvloop at 20,000/s", "–", _times(part["fast_uvloop"]["cpu_s_per_1000"], 4), "as above"),
        ]
    else:
        made.append(("with uvloop", "–", "not measured", "it is not installed"))
    note = "millions of bytes, {segments_sealed} segments sealed by then; without a reader of the page {rss_mb}"
    made += [
        ("RSS with the page open, 1,000 points, v1 sink", "≤ 90 MB", f"{v1['rss_mb_page_open']} MB", note.format(**v1)),
        (
            "RSS with the page open, 1,000 points, v2 sink",
            "≤ 105 MB",
            f"{v2['rss_mb_page_open']} MB",
            note.format(**v2),
        ),
    ]
    return made


def _rules(part: Found) -> list[Row]:
    per_s, gateway = part["engine"]["limit_evaluations_per_s"], part["gateway"]
    method = "`limit` rules, batches of 20, values on a 0.01 grid; CPU of one thread, the best of five rounds: {quiet:,} quiet, {one_of_20_beyond:,} with one of 20 beyond"
    share = _times([each * 100 for each in gateway["rules_share"]], 1)
    return [
        ("rule evaluations a second on one core, all 20 points beyond their limits", "≥ 1,000,000", f"{per_s['all_beyond']:,}", method.format(**per_s)),
        (
            "the rules' share of the gateway's CPU at 1,000/s", "–", f"{share} %",
            "each point under a limit, an exposure, a silence and a rate rule; engine calls by their thread's CPU clock; {windows} windows of {seconds:.0f} s".format(**gateway),
        ),
    ]  # fmt: skip


def _peak(part: Found) -> list[Row]:
    best = part["best"]
    last = part["tries"][-1] if best is not None else max(part["tries"], key=lambda each: each["taken_per_s"])
    shares = ", ".join(f"{name} {share:.2f}" for name, share in last["share"].items())
    if best is None:
        taken = f"none of the rates tried; {last['taken_per_s']:,} taken"
        return [("highest ingest on one core, nothing lost", "≥ 100,000/s", taken, f"shares of a core: {shares}")]
    method = (
        f"50 connections × 5 units × 20 float32; {best['seconds']:.0f} s, {best['batches']:,} slots all accounted for in the "
        f"journal, 0 bad, sinks done {best['sinks_s']} s after. At {last['asked_per_s']:,}/s {last['missing']:,} of "
        f"{last['missing'] + last['batches']:,} slots missed; full was {part['saturated']}; shares there: {shares}"
    )
    measured = f"{best['taken_per_s']:,}/s at {best['share']['gateway']:.2f} of a core"
    return [("highest ingest on one core, nothing lost", "≥ 100,000/s", measured, method)]


def _latency(part: Found) -> list[Row]:
    violation, hub = part["violations"]["violation_ms"], part["calm"]["hub_ms"]
    text = "p99 {p99} ms (median {p50}, worst {max})"
    return [
        (
            "register change → violation committed", "p99 ≤ 50 ms", text.format(**violation),
            f"N = {violation['n']}, 0.46 s apart, beside 1,000/s; from the plant's answer to the commit's word",
        ),
        (
            "register change → telemetry at the hub", "p99 ≤ 1,100 ms", text.format(**hub),
            f"N = {hub['n']}; a unit polled every 0.23 s, commits every 1 s; to the hub's receipt",
        ),
    ]  # fmt: skip


def _rtu(part: Found) -> list[Row]:
    made = []
    for row in part["rows"]:
        figure = f"RTU line use, {row['registers']} registers at {row['baud']:,} baud"
        measured = f"{row['use'] * 100:.1f} % ({row['per_s']} of {row['limit_per_s']} polls/s)"
        method = f"pty paced as a UART would; turnaround {part['turnaround_s'] * 1000:.0f} ms, {part['bits']} bits a character"
        made.append((figure, f"≥ {row['goal'] * 100:.0f} %", measured, method))
    return made


def _sizes(part: Found) -> list[Row]:
    made: list[Row] = []
    for name, each in part.items():
        goal = "≤ 12" if "two-point" in name else "≤ 4" if "int16" in name else "≤ 6"
        made += [
            (
                f"bytes on disk a reading, sealed: {name}", goal, _times(each["disk"], 2),
                f"{each['segments']} segments of the running gateway, {each['gaps']} gap entries in them",
            ),
            (
                "– on the wire to the hub, backlog", goal, f"{each['wire_backlog']:.2f}",
                f"{each['entries_a_message']:,} entries a message",
            ),
            ("– on the wire to the hub, live", "–", f"{each['wire_live']:.2f}", "one message a round of polls"),
        ]  # fmt: skip
    return made


def _startup(part: Found) -> list[Row]:
    method = (
        f"{part['readings'] / 1e6:.1f} M readings in {part['segments']} segments ({part['journal_mb']:,} MB) and an open tail of "
        f"4,000 entries; {part['starts']} starts, every other one after SIGKILL; from exec to the first commit, polls every 1 s"
    )
    figure = f"start → first reading, {part['readings'] / 1e6:.0f} M readings in the journal"
    return [(figure, "≤ 3 s", _times(part["first_reading_s"], 2) + " s", method)]


def _export(part: Found) -> list[Row]:
    made, seen = part["export"], part["verify"]
    about = f"{part['readings'] / 1e6:.1f} M readings in {part['entries']:,} entries, one thread"
    method = f"{about}; hours of every point, both tables, a pack of {made['bytes'] / 1e6:.0f} MB; {made['peak_mb']} MB of memory"
    return [
        (f"an evidence pack of {part['days']:.0f} days of 200 points at 10 s", "≤ 60 s", f"{made['wall_s']} s ({made['cpu_s']} s of CPU)", method),
        (
            "readings verified a second, from a pack", "≥ 200,000", f"{part['verified_per_s']:,} ({part['verified_per_cpu_s']:,} a second of CPU)",
            f"{about}; every hash, both signatures; {seen['peak_mb']} MB of memory",
        ),
    ]  # fmt: skip


def _record(part: Found) -> list[Row]:
    signing, bare, checking = part["signing"], part["without_disk"], part["checking"]
    plain, signed = (sum(part[half]) / len(part[half]) for half in ("plain", "signed"))
    each = "{times} checkpoints of 1,000 entries after {segments_before:,} segments; p99 {ms_p99} ms; CPU {cpu_ms} ms here, {signer_cpu_ms} ms in the signer"
    return [
        (
            "CPU-s per 1,000 readings at 1,000/s, signed and witnessed, against unsigned", "≤ 15 % more",
            f"{signed:.4f} against {plain:.4f} ({signed / plain - 1:+.0%})", f"{len(part['plain'])} turns of each, one after the other, 2 windows of 10 s a turn",
        ),
        ("checkpoint and signature, the ledger in memory", "≤ 1 ms", f"{bare['ms']} ms", each.format(**bare)),
        ("– with the ledger's sync to the disk", "≤ 1 ms", f"{signing['ms']} ms", each.format(**signing)),
        (
            "`journal verify`, readings a second on one core", "≥ 200,000", f"{checking['readings_per_s']:,}",
            f"{checking['readings'] / 1e6:.1f} M readings, 50 devices × 20 float32, sealed",
        ),
    ]  # fmt: skip


def machine() -> str:
    """This machine and its load, in a sentence."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1e6
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return (
        f"{model}, {os.cpu_count()} cores, {memory:.0f} GB, Linux {platform.release()}, Python {platform.python_version()}; "
        f"{dt.datetime.now(tz=dt.UTC).date().isoformat()}. Load average when done: {load}."
    )


def table(found: Found) -> str:
    """Markdown."""
    lines = [f"Machine: {found['machine']}", "", "| figure | goal | measured | method |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows(found))])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="minutes instead of half an hour; the page is not written")
    parser.add_argument("--only", default=",".join(PARTS), help="parts, with commas between: " + " ".join(PARTS))
    options = parser.parse_args()
    found: Found = json.loads(RESULTS.read_text()) if RESULTS.exists() and not options.quick else {}
    for name in options.only.split(","):
        found[name] = PARTS[name](options.quick)
        found["machine"] = machine()
        if not options.quick:
            RESULTS.parent.mkdir(exist_ok=True)
            RESULTS.write_text(json.dumps(found, indent=1, ensure_ascii=False))
    print(table(found))
    if not options.quick:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{table(found)}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
