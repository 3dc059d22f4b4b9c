"""What is wrong with a line and its units, judged from their trace: a pure judge; time, words and what to do live elsewhere.

A finding names every cause that looks like this, likeliest first. The model of each fault, its sources and how often the
judge is right: docs/explanation/link-health.md. Words: ``links.health_words``.
"""

from __future__ import annotations

from dataclasses import replace

from edge_gateway.links import health_bytes as look
from edge_gateway.links import health_damage as damage
from edge_gateway.links.health_rates import (
    ALWAYS,
    MIN_FAULTS,
    MIN_RATE,
    MIN_SILENT,
    RINGING_BAUD,
    Finding,
    Rates,
    is_rate,
    sum_of,
    with_ringing,
)
from edge_gateway.links.modbus_trace import CODES, DAMAGED, Exchange, LineRecord

__all__ = ["Finding", "judge"]

_SILENT = CODES["silence"]
#: Failures of a line whose bytes are looked at, shared by its units: a judgement must not hold up the polling.
_LOOKED_AT = 96
#: Findings that leave nothing to say of single units.
_WHOLE = frozenset(
    (
        "silent-line",
        "breaks",
        "babble",
        "garbled",
        "echo",
        "foreign",
        "floating",
        "one-socket",
        "refused",
        "unreachable",
    )
)
_NO_ANSWER = ("no-power", "swapped-unit", "address", "baud", "parity")


def judge(line: LineRecord) -> list[Finding]:
    """The findings about a line, gravest first; a single one with the code ``healthy`` or ``unknown`` if there is none."""
    most = max(4, _LOOKED_AT // max(1, len(line.units)))
    units = tuple(replace(unit, kept=unit.kept[-most:]) for unit in line.units if unit.recent)
    line = replace(line, units=units)
    rates = [Rates.of(unit) for unit in units]
    found = _line(line, rates) if line.kind == "rtu" else _endpoint(line)
    if not any(finding.level == "fail" and finding.code in _WHOLE for finding in found):
        found += [finding for unit in rates if (finding := _unit(line, unit)) is not None]
        told = {unit for finding in found for unit in finding.units}
        left = [unit for unit in rates if unit.record.unit not in told]
        if line.kind == "rtu":
            found += damage.disturbed(line, left, quiet=any(finding.code in ("echo", "floating") for finding in found))
        else:
            found += [_wrong(unit) for unit in left if is_rate(unit.damaged, unit.asked)]
        if not any(finding.code in ("noise", "ringing", "floating") for finding in found):
            told = {unit for finding in found for unit in finding.units}
            found += [f for u in left if u.record.unit not in told and (f := _gappy(line, u)) is not None]
    if found:
        return sorted(found, key=lambda finding: (finding.level != "fail", finding.units))
    enough = sum(unit.asked for unit in rates) >= MIN_SILENT
    return [Finding("healthy" if enough else "unknown", "ok", figures=sum_of(rates))]


# --- TCP: the way to the host -----------------------------------------------------------------------------------------


def _endpoint(line: LineRecord) -> list[Finding]:
    ends = line.ends[-16:]
    opened = sum(what == "opened" for _, what, _ in ends)
    refused = sum(what == "refused" for _, what, _ in ends)
    unreachable = sum(what == "unreachable" for _, what, _ in ends)
    barren = sum(what == "closed" and detail == "0" for _, what, detail in ends)
    figures: dict[str, float] = {
        "opened": opened,
        "refused": refused,
        "unreachable": unreachable,
        "closed_at_once": barren,
    }
    last = ends[-1][1] if ends else ""
    if barren >= 3 and 2 * barren >= opened:
        return [Finding("one-socket", "fail", ("one-socket", "firewall", "not-modbus"), figures=figures)]
    if refused >= 2 and opened >= 2 and last != "opened":
        return [Finding("one-socket", "fail", ("one-socket", "restarting"), figures=figures)]
    if last == "refused":
        return [Finding("refused", "fail", ("refused", "one-socket", "not-modbus", "firewall"), figures=figures)]
    if last == "unreachable":
        return [Finding("unreachable", "fail", ("unreachable", "no-power", "firewall"), figures=figures)]
    return []


# --- serial: what concerns the whole line -------------------------------------------------------------------------------


def _line(line: LineRecord, rates: list[Rates]) -> list[Finding]:
    answered = sum(unit.answered for unit in rates)
    kept = [exchange for unit in rates for exchange in unit.record.kept]
    found = []
    if (echoes := sum(map(look.is_echo, kept))) >= 3 and 2 * echoes >= sum(e.outcome != "silence" for e in kept):
        found.append(
            Finding("echo", "warn" if answered else "fail", ("echo",), figures={"echoes": echoes} | sum_of(rates))
        )
        if not answered:
            return found
    if foreign := _foreign(line, kept, {unit.record.unit for unit in rates}):
        return [*found, foreign]
    if rates and not answered and all(unit.asked >= MIN_SILENT and not unit.late for unit in rates):
        return [*found, _dead(line, rates, kept)]
    if not found and (floating := _floating(line, rates)):
        found.append(floating)
    if not found and (speaker := _second_speaker(line, rates)):
        found.append(speaker)
    if line.uart is not None and line.uart[1] >= max(MIN_FAULTS, 0.2 * line.answers) and line.uart[1] > 2 * line.uart[0]:
        found.append(Finding("parity", "warn", ("parity",), figures={"parity_errors": line.uart[1]} | sum_of(rates)))
    return found


def _foreign(line: LineRecord, kept: list[Exchange], ours: set[int]) -> Finding | None:
    """Another master speaks: whole questions that are not ours, or answers of units that we do not ask."""
    sent = {exchange.sent for exchange in kept}
    runs = list(line.strangers) + [e.received for e in kept if e.received and not look.is_echo(e)]
    strange = [
        f for run in runs for question, f in look.frames(run) if (question and f not in sent) or f[0] not in ours
    ]
    if len(strange) < 2:
        return None
    figures: dict[str, float] = {"foreign_frames": len(strange), "foreign_units": len({frame[0] for frame in strange})}
    return Finding("foreign", "fail", ("foreign",), figures=figures)


def _dead(line: LineRecord, rates: list[Rates], kept: list[Exchange]) -> Finding:
    """No unit has answered at all."""
    heard = [exchange.received for exchange in kept if exchange.received] + list(line.strangers)
    figures = sum_of(rates)
    if heard and 10 * sum(run.count(0) == len(run) for run in heard) >= 7 * len(heard):
        return Finding("breaks", "fail", ("swapped-line", "bias", "short-circuit", "no-power"), figures=figures)
    damaged, asked = sum(unit.damaged for unit in rates), sum(unit.asked for unit in rates)
    if 2 * damaged >= asked:
        return damage.garbled(line, rates)
    if len(heard) >= MIN_SILENT:
        return Finding("babble", "fail", ("baud", "parity", "foreign", "noise", "swapped-line"), figures=figures)
    alone = len(rates) == 1
    causes: tuple[str, ...] = ("no-power", "swapped-unit", "swapped-line", "address", "baud", "parity")
    if not alone:
        causes = ("swapped-line", "no-power", "baud", "parity", "cable", "address")
    units = (rates[0].record.unit,) if alone else ()
    return Finding("silent-line", "fail", with_ringing(line, causes), units, figures)


def _floating(line: LineRecord, rates: list[Rates]) -> Finding | None:
    """About every answer has the rubbish of a badly resting line before or behind it."""
    kept = [e for unit in rates for e in unit.record.kept if e.outcome == "padded" or e.outcome in DAMAGED]
    rubbish = [look.padding(exchange) for exchange in kept] + list(line.strangers)
    idle = sum(map(look.is_idle, rubbish))
    padded, asked = sum(unit.padded for unit in rates), sum(unit.asked for unit in rates)
    times = sum(sum(unit.record.totals.values()) for unit in rates)
    often = padded >= 0.5 * asked or line.strange >= 0.5 * times
    if idle < MIN_FAULTS or 3 * idle < 2 * sum(map(bool, rubbish)) or asked < MIN_RATE or not often:
        return None
    level = "fail" if is_rate(sum(unit.damaged for unit in rates), asked) else "warn"
    figures = {"padded": padded, "strange": line.strange} | sum_of(rates)
    causes = (
        ("bias", "swapped-unit", "switching", "termination")
        if line.baud >= RINGING_BAUD
        else ("bias", "swapped-unit", "switching")
    )
    return Finding("floating", level, causes, figures=figures)


def _second_speaker(line: LineRecord, rates: list[Rates]) -> Finding | None:
    """Fragments, not of a resting line, follow right answers all the time: somebody else speaks too."""
    runs = [run for run in line.strangers if not look.is_idle(run)]
    times = sum(sum(unit.record.totals.values()) for unit in rates)
    if len(runs) < MIN_FAULTS or line.strange < 0.2 * times or any(True for run in runs for _ in look.frames(run)):
        return None
    figures = {"strange": line.strange} | sum_of(rates)
    units = (rates[0].record.unit,) if len(rates) == 1 else ()
    return Finding("second-speaker", "fail", with_ringing(line, ("duplicate", "foreign", "noise")), units, figures)


# --- units ----------------------------------------------------------------------------------------------------------


def _wrong(unit: Rates) -> Finding:
    return Finding(
        "wrong-answers", "fail", ("gateway", "two-clients", "duplicate"), (unit.record.unit,), unit.figures()
    )


def _unit(line: LineRecord, unit: Rates) -> Finding | None:
    """What concerns this unit and is not damage to bits."""
    record = unit.record
    number = (record.unit,)
    recent = record.recent[-8:]
    figures = unit.figures()
    behind = sum(e.outcome == "exception" and e.code in (10, 11) for e in record.kept)
    busy = sum(e.outcome == "exception" and e.code in (5, 6) for e in record.kept)
    refused = record.recent.count(CODES["exception"])
    if behind and 2 * behind >= len(record.kept) and (unit.asked < MIN_RATE or is_rate(refused, unit.asked)):
        causes: tuple[str, ...] = ("gateway-unit", "no-power", "swapped-unit", "baud", "parity")
        return Finding("behind-gateway", "fail", causes, number, figures | {"refused": refused})
    if unit.asked >= MIN_SILENT and not unit.answered and not unit.late and unit.silent >= ALWAYS * unit.asked:
        causes = ("no-power", "gateway-unit", "address", "swapped-unit", "baud", "parity")
        if line.kind == "rtu":
            causes = with_ringing(line, _NO_ANSWER)
        return Finding("silent", "fail", causes, number, figures)
    if unit.answered and len(recent) == 8 and all(code == _SILENT for code in recent):
        return Finding("stopped", "fail", ("no-power", "loose", "swapped-unit", "address"), number, figures)
    if is_rate(unit.late, unit.asked) or (unit.late >= MIN_SILENT and not unit.answered):
        return Finding("late", "fail" if 2 * unit.late > unit.asked else "warn", ("late", "slow"), number, figures)
    if busy and is_rate(refused, unit.asked) and 2 * busy >= refused - behind:
        return Finding("busy", "warn", ("slow",), number, figures | {"busy": refused})
    if line.kind == "rtu" and not unit.answered and unit.damaged >= MIN_SILENT:
        return damage.garbled(line, [unit])
    return damage.doubled(line, unit) if line.kind == "rtu" else None


def _gappy(line: LineRecord, unit: Rates) -> Finding | None:
    """It answers, but not always, and then nothing comes at all; or always nearly too late."""
    times_s = unit.record.took_s
    slowest_s = times_s[-1 - len(times_s) // 20] if times_s else 0.0
    figures = unit.figures() | {"slowest_ms": round(slowest_s * 1000), "timeout_ms": round(line.timeout_s * 1000)}
    number = (unit.record.unit,)
    if not is_rate(unit.silent, unit.asked):
        wire_s = 60 * 11 / line.baud if line.baud else 0.0  # the time-out begins when the bytes are through
        nearly = len(times_s) >= MIN_RATE and slowest_s > 0.8 * line.timeout_s + wire_s
        return Finding("slow", "warn", ("slow", "late"), number, figures) if nearly else None
    if slowest_s > 0.6 * line.timeout_s:
        return Finding("slow", "warn", ("slow", "late"), number, figures)
    return Finding("gappy", "warn", with_ringing(line, ("loose", "noise", "no-power", "slow")), number, figures)
