"""The beginning of a profile and its cases, out of registers or a message as a device sent them; pure: writes TOML text, knows no meaning.

What it cannot know it does not guess silently: every channel is raw, ``verified`` is "no", and each place that wants a person says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_gateway.profiles.plausible import decodings

#: More registers or fields than this are no beginning that a person reads.
MOST_CHANNELS = 64

_HEAD = """\
#:schema ../profile.schema.json
# Profile of {id}, begun from what a device sent. Lines with TODO want you; editors that know TOML check them by the schema.
# What every key means: docs/reference/device-profiles.md. Try it: edge-gateway drivers test {id}
id = {quoted_id}
vendor = {vendor}
model = {model}
name_zh = "TODO 名称"
name_en = "TODO name"
verified = "no"                   # TODO "primary" when you read it in the maker's own text, "secondary" in somebody else's
tried = ""                        # TODO how far you tried it with a real device: which, against what, when

[[sources]]
cite = "TODO the manual: title, edition, page"
verified = "no"
note = "begun from what a device sent; its meaning is unverified"
"""

_CASES = """\
#:schema ../cases.schema.json
# What the device sent, and the readings that must come of it. TODO: write into `expect` what its own display or a reference
# instrument showed at that moment; the raw numbers stand there now. Add cases: below zero, a broken probe, out of range.

[[cases]]
name = "as captured"
kind = "captured"
source = "TODO which device, firmware, when and by whom: captured while writing this profile"
"""

#: What a field's name suggests: (in the name, quantity, unit, decimals).
_NAMES = (
    ("temp", "temperature", "Cel", 2),
    ("humid", "humidity", "%", 1),
    ("battery", "battery", "%", 0),
    ("contact", "contact", "1", 0),
    ("rssi", "signal", "dB[mW]", 0),
    ("linkquality", "signal", "1", 0),
)
_TIMES = ("time", "last_seen", "received_at", "timestamp", "ts")


@dataclass(frozen=True, slots=True)
class Captured:
    """Registers (or ``count`` packed bits) as they came from ``start`` on."""

    function: int
    start: int
    data: bytes
    count: int


def of_registers(id_: str, blocks: Sequence[Captured]) -> tuple[str, str]:
    """Profile and cases with a raw channel for each register. Raises ValueError: nothing, or too much."""
    places = [place for block in blocks for place in _places(block)]
    if not 0 < len(places) <= MOST_CHANNELS:
        raise ValueError(f"{len(places)} registers: give 1 to {MOST_CHANNELS}")
    if len({place[:2] for place in places}) < len(places):
        raise ValueError("a register stands in two of the blocks")
    text = _head(id_) + "\n[modbus]                          # TODO as the maker ships it\n"
    text += 'baud = 9600\nparity = "N"\nstopbits = 1\nunit = 1\n'
    for function, register, name, _, hints in places:
        kind = "bool" if function <= 2 else "uint16"
        text += f"\n[channels.{name}]\nfunction = {function}\nregister = {register}\ntype = {_text(kind)}\n"
        text += "".join(f"# {hint}\n" for hint in hints)
        text += 'quantity = "state"                # TODO what it measures, and in which unit (UCUM)\nunit = "1"\ndecimals = 0\n'
        what = "输入" if function <= 2 else "寄存器"
        text += f'name_zh = "{what} {register}"\nname_en = "{"Input" if function <= 2 else "Register"} {register}"\n'
    shown = ", ".join(
        f'{{ function = {b.function}, start = {b.start}, data = "{b.data.hex().upper()}" }}' for b in blocks
    )
    expected = ", ".join(f"{name} = {value}" for _, _, name, value, _ in places)
    return text, _CASES + f"blocks = [{shown}]\nexpect = {{ {expected} }}\n"


def _places(block: Captured) -> Iterator[tuple[int, int, str, int, list[str]]]:
    """(function, address, channel, raw value, what it may mean) of each register or bit."""
    if block.function <= 2:
        for index in range(block.count):
            yield block.function, block.start + index, f"f{block.function}-b{block.start + index}", block.data[index >> 3] >> (index & 7) & 1, []
        return
    readings = decodings(block.data, block.start)
    for at in range(0, len(block.data) - 1, 2):
        register = block.start + at // 2
        likely = [d for d in readings if d.register == register and d.plausible and d.kind != "string"]
        hints = [f"plausible by its size: {_reading(d.kind, d.order, d.scale)} = {d.text}" for d in likely]
        yield block.function, register, f"f{block.function}-r{register}", int.from_bytes(block.data[at : at + 2], "big"), hints


def _reading(kind: str, order: str, scale: float) -> str:
    return f'type = "{kind}"' + (f', order = "{order}"' if order else "") + (f', scale = "{scale:g}"' if scale != 1 else "")


def of_message(id_: str, payload: str) -> tuple[str, str]:
    """Profile and cases with a channel for each number in the message. Raises ValueError: none, or too many."""
    try:
        content = json.loads(payload)
    except ValueError:
        content = None
    if not isinstance(content, dict | list):
        return _of_plain(id_, payload)
    fields = list(dict(_fields(content)).items())
    if not 0 < len(fields) <= MOST_CHANNELS:
        raise ValueError(f"{len(fields)} numbers in the message: give 1 to {MOST_CHANNELS}")
    text = _head(id_) + '\n[payload]\nformat = "json"\n'
    for name in (key for key in content if isinstance(key, str) and key.lower() in _TIMES):
        text += f"# time_path = {_text(name)}          # TODO if that is the measurement's time, with a zone\n"
    names = _channel_names([path for path, _ in fields])
    for (path, value), name in zip(fields, names, strict=True):
        quantity, unit, decimals, mark = _guess(path)
        text += f"\n[channels.{name}]\npath = {_text(path)}                 # was {value}\n"
        text += f"quantity = {_text(quantity)}{mark}\nunit = {_text(unit)}\ndecimals = {decimals}\n"
        text += f"name_zh = {_text(path)}\nname_en = {_text(path)}\n"
    expected = ", ".join(f"{name} = {value}" for name, (_, value) in zip(names, fields, strict=True))
    return text, _CASES + f"payload = {_text(payload)}\nexpect = {{ {expected} }}\n"


def _of_plain(id_: str, payload: str) -> tuple[str, str]:
    shown = payload.strip()
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,2})?", shown, re.ASCII | re.IGNORECASE):
        raise ValueError("the message is neither a JSON object nor a number")
    text = _head(id_) + '\n[payload]\nformat = "plain"\n\n[channels.value]\n'
    text += 'quantity = "state"                # TODO what it measures, and in which unit (UCUM)\nunit = "1"\ndecimals = 2\n'
    text += 'name_zh = "数值"\nname_en = "Value"\n'
    return text, _CASES + f"payload = {_text(shown)}\nexpect = {{ value = {float(shown)!r} }}\n"


def _fields(content: Any, path: str = "") -> Iterator[tuple[str, int | float]]:
    """Every number (true and false are 1 and 0) that a path can name."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in pairs:
        if isinstance(key, str) and (not key or re.search(r"[.\[\]*{}=]", key)):
            continue
        below = f"{path}.{key}" if path else str(key)
        if isinstance(value, bool):
            yield below, int(value)
        elif isinstance(value, int | float) and abs(value) < 2**53:
            yield below, value
        else:
            yield from _fields(value, below)


def _channel_names(paths: Sequence[str]) -> list[str]:
    """Identifiers of the paths' last parts, each once."""
    names: list[str] = []
    for path in paths:
        plain = re.sub(r"[^a-z0-9]+", "-", path.rpartition(".")[2].lower())[:24].strip("-") or "field"
        name, number = plain, 2
        while name in names:
            name, number = f"{plain}-{number}", number + 1
        names.append(name)
    return names


def _guess(path: str) -> tuple[str, str, int, str]:
    last = path.rpartition(".")[2].lower()
    for part, quantity, unit, decimals in _NAMES:
        if part in last:
            return quantity, unit, decimals, "           # TODO guessed from the field's name, with its unit"
    return "state", "1", 3, '                # TODO what it measures, and in which unit (UCUM)'


def _head(id_: str) -> str:
    vendor, _, model = id_.partition("/")
    return _HEAD.format(id=id_, quoted_id=_text(id_), vendor=_text(vendor), model=_text(model.upper()))


def _text(text: str) -> str:
    """A TOML basic string. Raises ValueError for what TOML cannot hold (half a surrogate pair)."""
    text.encode()
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def captured(raw: Mapping[str, Any]) -> Captured:
    """From ``{function, register|start, data}`` as ``read --json`` and scans tell it. Raises ValueError."""
    try:
        function, data = int(raw["function"]), bytes.fromhex(str(raw["data"]))
        start = int(raw["register"] if "register" in raw else raw["start"])
        count = int(raw.get("count", len(data) * 8)) if function <= 2 else len(data) // 2
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not function, register and data in hex: {error}") from error
    if function not in (1, 2, 3, 4) or not data or (function > 2 and len(data) % 2):
        raise ValueError("function 1 to 4, and at least one whole register")
    if not 0 <= start <= 0x10000 - count or not 0 < count <= len(data) * 8:
        raise ValueError(f"register {start} and what follows is not within 0 to 65535, or 'count' is not that of the data")
    return Captured(function, start, data, count)
