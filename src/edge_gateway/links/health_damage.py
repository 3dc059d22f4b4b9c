"""Answers with wrong bits, or mixed with others: which units, hours and bits are hit tells the causes apart; pure."""

from __future__ import annotations

from edge_gateway.links import health_bytes as look
from edge_gateway.links.health_rates import (
    MIN_FAULTS,
    MIN_RATE,
    MIN_SILENT,
    NOISY_HOUR,
    RINGING_BAUD,
    Finding,
    Rates,
    is_rate,
    sum_of,
    with_ringing,
)
from edge_gateway.links.modbus_trace import LineRecord


def disturbed(line: LineRecord, rates: list[Rates], *, quiet: bool) -> list[Finding]:
    """Wrong bits and rubbish around answers: which units, which hours and which bits tell the causes apart.

    ``quiet``: something else explains the rubbish around right answers.
    """
    hit = {unit.record.unit: unit.damaged + (0 if quiet else unit.padded) for unit in rates}
    asked, all_hit = sum(unit.asked for unit in rates), sum(hit.values())
    hours = noisy_hours(line)
    if not is_rate(all_hit, asked) and not any(is_rate(hit[u.record.unit], u.asked) for u in rates):
        return [Finding("noise", "warn", ("noise",), figures=sum_of(rates), hours=hours)] if hours else []
    worst = max(rates, key=lambda unit: hit[unit.record.unit] / unit.asked)
    its = hit[worst.record.unit]
    rest_asked, rest = asked - worst.asked, all_hit - its
    alone = its >= 6 and (len(rates) == 1 or its / worst.asked > 4 * (rest + 1) / (rest_asked + 1))
    if ringing := _ringing(line, rates, alone):
        return [Finding("ringing", "fail", ("termination", "stub", "noise"), figures=ringing | sum_of(rates))]
    if alone and not is_rate(rest, rest_asked) and not (hours and len(rates) == 1):
        causes: tuple[str, ...] = ("noise", "loose", "termination", "duplicate", "swapped-unit", "baud")
        if its > 0.25 * worst.asked:
            causes = ("duplicate", *(cause for cause in causes if cause != "duplicate"))
        return [Finding("damaged", "fail", causes, (worst.record.unit,), worst.figures(), hours)]
    causes = ("noise", "termination", "bias", "loose") if line.baud >= RINGING_BAUD else ("noise", "bias", "loose")
    if len(rates) == 1:
        causes = (*causes, "duplicate", "baud")
    return [Finding("noise", "fail", causes, figures=sum_of(rates), hours=hours)]


def doubled(line: LineRecord, unit: Rates) -> Finding | None:
    """Two devices answer: a second answer behind the first, more bytes than one has, or a clean beginning and then a mixture."""
    number = unit.record.unit
    second = [
        frame for run in line.strangers for question, frame in look.frames(run) if not question and frame[0] == number
    ]
    kept = unit.damage
    longer = sum(look.is_long(exchange) or look.has_answer_twice(exchange) for exchange in kept)
    figures = unit.figures() | {"second_answers": len(second), "longer_than_one_answer": longer}
    if len(second) >= MIN_SILENT and unit.late < len(second):
        return Finding("doubled", "fail", ("duplicate",), (number,), figures)
    if len(kept) < 3 or not is_rate(unit.damaged, unit.asked):
        return None
    often = unit.damaged >= 0.15 * unit.asked
    if often and 3 * longer >= len(kept):
        return Finding("doubled", "fail", with_ringing(line, ("duplicate", "noise")), (number,), figures)
    beginnings = sum(map(look.begins_right, kept))
    single = sum(len(look.flipped(exchange)) == 1 for exchange in kept)
    if often and 10 * beginnings >= 7 * len(kept) and 4 * single < len(kept):
        causes = with_ringing(line, ("duplicate", "noise", "loose"))
        return Finding("mixed", "fail", causes, (number,), figures)
    return None


def garbled(line: LineRecord, units: list[Rates]) -> Finding:
    """Something comes, and is never understood."""
    kept = [exchange for unit in units for exchange in unit.damage]
    figures = sum_of(units)
    parity = sum(exchange.parity for exchange in kept if exchange.parity > 0)
    framing = sum(exchange.framing for exchange in kept if exchange.framing > 0)
    if parity or framing:
        figures |= {"parity_errors": parity, "framing_errors": framing}
    causes: tuple[str, ...] = ("baud", "parity", "duplicate", "swapped-unit", "noise")
    if parity > framing:
        causes = ("parity", "baud", "duplicate", "swapped-unit", "noise")
    if line.baud >= RINGING_BAUD:
        causes = ("termination", *causes)
    return Finding("garbled", "fail", causes, tuple(unit.record.unit for unit in units), figures)


def _ringing(line: LineRecord, rates: list[Rates], alone: bool) -> dict[str, float]:
    """A fast line whose wrong bits stand behind a change of level, or whose units fare ever worse (with their distance)."""
    if line.baud < RINGING_BAUD:
        return {}
    located = [after for unit in rates for exchange in unit.damage for _, after in look.flipped(exchange)]
    behind = sum(located)
    figures: dict[str, float] = {"located_bits": len(located), "behind_a_change": behind}
    if len(located) >= 6 and 4 * behind >= 3 * len(located):
        return figures
    shares = sorted((u.damaged + u.padded + u.silent) / u.asked for u in rates)
    return figures if len(located) < 6 and (alone or shares[-1] > 3 * shares[0] + 0.05) else {}


def noisy_hours(line: LineRecord) -> tuple[int, ...]:
    """The hours (since 1970) that are far noisier than the others of the last day; empty if there are none."""
    rows: dict[int, list[int]] = {}  # hour -> asked, bad, of which disturbed, units concerned
    for unit in line.units:
        silent = sum(hour[3] for hour in unit.hours)
        dead = 2 * silent > sum(hour[1] for hour in unit.hours)
        for hour, asked, hit, missed in unit.hours:
            if dead:
                continue
            row = rows.setdefault(hour, [0, 0, 0, 0])
            bad = hit + missed
            for place, more in enumerate((asked, bad, hit, int(bad > 0))):
                row[place] += more
    noisy = [hour for hour, (asked, bad, _, _) in rows.items() if asked >= 8 and bad >= 2 and bad > NOISY_HOUR * asked]
    calm = [row for hour, row in rows.items() if hour not in noisy]
    asked, bad, hit = (sum(rows[hour][place] for hour in noisy) for place in range(3))
    calm_asked, calm_bad = sum(row[0] for row in calm), sum(row[1] for row in calm)
    spread = any(rows[hour][3] > 1 for hour in noisy)
    if bad < 2 * MIN_FAULTS or len(calm) < 3 or calm_asked < MIN_RATE or not is_rate(bad, asked):
        return ()
    if bad / asked < 5 * (calm_bad + 1) / (calm_asked + 1) or hit < 0.2 * bad or (len(line.units) > 1 and not spread):
        return ()
    return tuple(sorted(noisy))
