"""Registers of unknown meaning in every reading they could have, the believable ones marked, as lines for people; asks nobody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from edge_gateway.cli.verbs import Context
from edge_gateway.profiles.plausible import ORDERS, Decoding, decodings

#: Classic manuals number registers by kind, from 1: what PDU address 0 of each function is called there.
CLASSIC = {1: 1, 2: 10001, 3: 40001, 4: 30001}
#: A block of more registers than this is shown in 16-bit readings only; --json has all of them.
_MOST_PAIRS = 32


def raw_lines(ctx: Context, answer: Mapping[str, Any]) -> Iterator[str]:
    """The answer to a request for registers or bits."""
    first, function = answer["register"], answer["function"]
    last = first + answer["count"] - 1
    classic = ctx.say(
        f'(PDU address; "{CLASSIC[function] + first}" in many manuals)', f"（PDU 地址；许多手册写作“{CLASSIC[function] + first}”）"
    )
    where = f"{answer['where']} " if answer.get("where") else ""
    yield f"{where}unit {answer['unit']} FC{function:02d} reg {first}..{last} {classic}  {answer['round_trip_ms']} ms"
    for index, bit in enumerate(answer.get("bits", ())):
        yield f"  bit {first + index:<6} {bit}"
    if function > 2:
        data = bytes.fromhex(answer["data"])
        yield "raw  " + " ".join(f"0x{data[at : at + 2].hex().upper()}" for at in range(0, len(data), 2))
        found = decodings(data, first)
        yield from _words(ctx, found)
        yield from _pairs(ctx, found, answer["count"])
        for text in (d for d in found if d.kind == "string"):
            yield f'  {ctx.say("text", "文本")}  "{text.text}"{_mark(ctx, text)}'


def _words(ctx: Context, found: Sequence[Decoding]) -> Iterator[str]:
    for register in dict.fromkeys(d.register for d in found if d.kind == "uint16"):
        mine = {(d.kind, d.scale): d for d in found if d.register == register and d.registers == 1}
        u16, i16 = mine["uint16", 1], mine["int16", 1]
        tenth, hundredth, half = mine["int16", 0.1], mine["int16", 0.01], mine["float16", 1]
        bcd = mine.get(("bcd16", 1))
        parts = [
            f"  reg {register:<6} 0x{int(u16.value or 0):04X}",
            f"u16 {u16.text:<6}i16 {i16.text}",
            f"×0.1 = {tenth.text}{_mark(ctx, tenth)}",
            f"×0.01 = {hundredth.text}{_mark(ctx, hundredth)}",
            f"f16 {half.text}{_mark(ctx, half)}",
            *([f"bcd {bcd.text}"] if bcd else []),
            f"bits {mine['bits', 1].text}",
        ]
        yield "  ".join(parts)


def _pairs(ctx: Context, found: Sequence[Decoding], count: int) -> Iterator[str]:
    """32-bit readings of every pair: those at odd offsets too, as manuals are often off by one."""
    pairs = [d for d in found if d.registers == 2]
    if count > _MOST_PAIRS:
        yield ctx.say(
            f"  32-bit readings are shown for up to {_MOST_PAIRS} registers; --json has them all",
            f"  超过 {_MOST_PAIRS} 个寄存器时不显示 32 位读法；--json 含全部",
        )
        return
    for register in dict.fromkeys(d.register for d in pairs):
        for kind in ("float32", "int32", "uint32", "bcd32"):
            mine = {d.order: d for d in pairs if d.register == register and d.kind == kind}
            if mine:
                shown = "  ".join(f"{o} {mine[o].text}{_mark(ctx, mine[o])}" for o in ORDERS if o in mine)
                yield f"  reg {register}..{register + 1}  {kind:<8} {shown}"
    if pairs and not any(d.plausible for d in pairs):
        yield ctx.say("  32-bit: none plausible", "  32 位：均不像真实数值")


def _mark(ctx: Context, decoding: Decoding) -> str:
    return ctx.say(" ← plausible", " ← 可信") if decoding.plausible else ""


def as_json(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The same, for programs."""
    if answer["function"] < 3:
        return []
    names = ("register", "registers", "kind", "order", "scale", "value", "text", "plausible")
    found = decodings(bytes.fromhex(answer["data"]), answer["register"])
    return [{name: getattr(decoding, name) for name in names} for decoding in found]
