"""``drivers show``: a device profile as a person reads it; asks no device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from unicodedata import east_asian_width

import click

from edge_gateway.cli.main import OK
from edge_gateway.cli.raw import CLASSIC
from edge_gateway.cli.verbs import Context, verb
from edge_gateway.profiles.load import Loaded, load, read_cases
from edge_gateway.profiles.model import Channel, ModbusProfile, PayloadProfile, Profile
from edge_gateway.profiles.registers import IdentityPlace
from edge_gateway.units import symbol

#: How well a fact is known.
KNOWN = {
    "primary": ("the maker's or a maintained project's text", "厂家或有人维护的项目原文"),
    "secondary": ("other people's texts, unverified", "他人资料，未核实"),
    "no": ("nobody confirms it: unverified", "无人证实：未核实"),
}
_ASKS = {
    "write": ("measures only after a write to it, which the gateway never sends", "须先被写入才会测量，而网关从不写入现场总线"),
    "zero-quantity": ("measures only after a request for 0 registers, which Modbus does not have", "须先收到读取 0 个寄存器的请求才会测量，而 Modbus 没有这种请求"),
}


@verb(
    "show",
    zh="把一个设备档案写成便于阅读的样子：寄存器或字段、类型、换算、来源、存疑之处、试用到什么程度。",
    examples=["edge-gateway drivers show generic/xy-md02", "edge-gateway drivers show shelly/gen2 --lang zh"],
)
@click.argument("profile")
@click.pass_obj
def command(ctx: Context, profile: str) -> int:
    """A device profile as a person reads it: registers or fields, types, scales, sources, doubts, how far it was tried."""
    loaded = load(profile, [ctx.config.parent / "drivers"])
    for line in _shown(ctx, loaded):
        click.echo(line)
    return OK


def _shown(ctx: Context, loaded: Loaded) -> Iterator[str]:
    profile = loaded.profile
    yield f"{profile.id}  {name_of(ctx, profile)}  ({profile.vendor} {profile.model})"
    if why := refusal(ctx, profile):
        yield f"  {ctx.say('REFUSED', '拒用')}  {why}"
    yield from _facts(ctx, loaded)
    notes = profile.notes_zh if ctx.language == "zh" else profile.notes_en
    if notes:
        yield f"  {ctx.say('notes', '说明')}  {notes}"
    yield ""
    heads = [ctx.say(*head) for head in (("channel", "通道"), ("what", "内容"), ("unit", "单位"), ("where", "位置"), ("type", "类型"), ("value", "换算"), ("no data", "无数据"), ("range", "量程"))]
    yield from columns([heads, *(_channel(ctx, profile, name) for name in profile.channels)])
    for name, channel in profile.channels.items():
        note = channel.note_zh if ctx.language == "zh" and channel.note_zh else channel.note_en
        if note:
            yield f"  {name}: {note}"
    yield ""
    yield ctx.say("sources", "来源")
    for source in profile.sources:
        note = f" — {source.note}" if source.note else ""
        yield f"  [{ctx.say(*KNOWN[source.verified])}] {source.cite}{note}"


def _facts(ctx: Context, loaded: Loaded) -> Iterator[str]:
    profile = loaded.profile
    cases, _ = read_cases(loaded.file)
    captured = sum(case.kind == "captured" for case in cases)
    tried = profile.tried or ctx.say("never with a real device", "从未用真实设备试过")
    rows = [
        (ctx.say("by", "方式"), _way(ctx, profile)),
        (ctx.say("known from", "依据"), ctx.say(*KNOWN[profile.verified])),
        (ctx.say("tried", "试用"), tried),
        (ctx.say("cases", "用例"), ctx.say(f"{captured} captured, {len(cases) - captured} constructed", f"实录 {captured} 个，构造 {len(cases) - captured} 个")),
        (ctx.say("file", "文件"), f"{loaded.file}  sha256:{loaded.sha256[:12]}"),
    ]
    rows += [(ctx.say("known by", "识别"), said) for said in _identity(profile)]
    yield from columns([["", *row] for row in rows])


def _way(ctx: Context, profile: Profile) -> str:
    if isinstance(profile, PayloadProfile):
        said = profile.payload
        partial = ctx.say("; what a message does not tell is no reading", "；消息未提到的字段没有读数") if said.partial else ""
        own = f"{said.time_path} ({said.time_format})" if said.time_path else ctx.say("none", "无")
        return ctx.say(f"MQTT, {said.format}; own time: {own}{partial}", f"MQTT，{said.format}；自带时间：{own}{partial}")
    assert isinstance(profile, ModbusProfile)
    traits = profile.modbus
    line = f"{traits.baud}-8{traits.parity}{traits.stopbits}"
    most = ctx.say(f"at most {traits.max_registers} registers a request", f"每次最多 {traits.max_registers} 个寄存器")
    return ctx.say(f"Modbus; leaves the factory with {line}, unit {traits.unit}; {most}", f"Modbus；出厂设置 {line}，地址 {traits.unit}；{most}")


def _identity(profile: Profile) -> Iterator[str]:
    if not isinstance(profile, ModbusProfile):
        return
    identify = profile.identify
    if identify.device_id:
        yield f'FC43/14 "{identify.device_id.vendor}" "{identify.device_id.product}"'
    if identify.server_id:
        yield f'FC17 "{identify.server_id}"'
    for name, place in (("serial", identify.serial), ("model", identify.model)):
        if place is not None:
            yield f"{name}: {_place(place)}"
    for sign in identify.signature:
        wanted = f"= {sign.equals!r}" if sign.between is None else f"{sign.between[0]:g}…{sign.between[1]:g}"
        yield f"{_place(sign)} {wanted}"


def _place(place: IdentityPlace) -> str:
    return f"FC{place.function:02d} {place.register_} {place.type}" + (f"[{place.length}]" if place.length else f" {place.order}")


def _channel(ctx: Context, profile: Profile, name: str) -> list[str]:
    channel = profile.channels[name]
    where, kind = _located(profile, name)
    scale = "" if channel.scale == 1 else f"× {channel.scale}"
    offset = "" if channel.offset == 0 else f"{channel.offset:+}"
    bounds = (channel.range_low, channel.range_high)
    low, high = ("" if bound is None else f"{bound:g}" for bound in bounds)
    return [
        name,
        name_of(ctx, channel),
        symbol(channel.unit) or "1",
        where,
        kind,
        f"{scale} {offset}".strip() or ctx.say("as it is", "原值"),
        " ".join(_word(sentinel, kind) for sentinel in channel.sentinels),
        f"{low}…{high}" if low or high else "",
    ]


def _located(profile: Profile, name: str) -> tuple[str, str]:
    """Where a channel stands, and its type: ``FC04 1 (30002)`` and ``float32 CDAB``; a path and JSON."""
    if isinstance(profile, ModbusProfile):
        place = profile.channels[name]
        bits = _bits(place.bit, place.bits)
        order = f" {place.order}" if place.width > 1 or place.order != "ABCD" else ""
        return f"FC{place.function:02d} {place.register_} ({CLASSIC[place.function] + place.register_}){bits}", place.type + order
    assert isinstance(profile, PayloadProfile)
    field = profile.channels[name]
    if field.at is not None:
        return f"byte {field.at}{_bits(field.bit, field.bits)}", str(field.type)
    return field.path or "—", profile.payload.format


def _bits(bit: int | None, bits: int | None) -> str:
    if bit is None:
        return ""
    return f" bit {bit}" if (bits or 1) == 1 else f" bits {bit}-{bit + (bits or 1) - 1}"


def _word(sentinel: float, kind: str) -> str:
    return f"0x{int(sentinel) & 0xFFFF:04X}" if kind.startswith(("int16", "uint16", "bcd16")) else f"{sentinel:g}"


def name_of(ctx: Context, of: Profile | Channel) -> str:
    """Its name in the reader's language."""
    return (of.name_zh if ctx.language == "zh" else of.name_en) or of.name_en or of.name_zh


def refusal(ctx: Context, profile: Profile) -> str:
    """Why no device of this type is read; "" where nothing stands against it."""
    if not isinstance(profile, ModbusProfile) or profile.modbus.needs == "nothing":
        return ""
    told = profile.modbus.needs_zh if ctx.language == "zh" else profile.modbus.needs_en
    return f"{ctx.say(*_ASKS[profile.modbus.needs])}{ctx.say(': ', '：')}{told}"


# --- columns ----------------------------------------------------------------------------------------------------


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Rows as lines whose columns stand below each other, Chinese characters counted as two."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)] if rows else []
    for row in rows:
        yield "  ".join(cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()


def _width(text: str) -> int:
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)
