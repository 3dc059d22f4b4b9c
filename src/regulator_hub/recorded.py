"""Records of lots as a gateway's entries tell them, for whoever looks from the hub; pure: judges nothing, adds nothing up.

What is in an entry comes from outside: each value is taken as what it should be, or left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_gateway.record.photo import photos_of
from regulator_hub.outside import is_whole

#: Records remembered of one gateway, the newest; characters of a text; lots that one is made from.
MAX_RECORDS, MAX_TEXT, MAX_FROM = 500, 300, 12
_TEXTS = (
    "record", "type", "lot", "product", "supplier", "receiver", "certificate", "slip", "vehicle", "zone", "expires", "document", "number", "holder", "note",
    "by", "reason", "corrects",
)  # fmt: skip
_TEMPERATURE = ("point", "value", "unit", "quality", "age_us", "entry")


def recorded(known: dict[str, Any], at: tuple[str, int], content: Mapping[str, Any]) -> None:
    """A ``record`` entry into ``known``, by its id; the one that it corrects says so (``replaced_by``). Raises ValueError."""
    name, wall_us = content.get("record"), content.get("wall_us")
    if not isinstance(name, str) or not is_whole(wall_us):
        raise ValueError("no record")
    found: dict[str, Any] = {key: content[key][:MAX_TEXT] for key in _TEXTS if isinstance(content.get(key), str)}
    found |= {key: True for key in ("disposal", "void") if content.get(key) is True}
    if is_whole(content.get("grams")):
        found["grams"] = content["grams"]
    if isinstance(content.get("from"), dict):
        found["from"] = {str(lot)[:64]: part for lot, part in list(content["from"].items())[:MAX_FROM] if part is None or is_whole(part)}
    if isinstance(content.get("temperature"), dict):
        found["temperature"] = {key: _plain(content["temperature"].get(key)) for key in _TEMPERATURE}
    if isinstance(content.get("lacking"), list):
        found["lacking"] = [str(each)[:64] for each in content["lacking"][:MAX_FROM]]
    found["photos"] = [photo.sha256 for photo in photos_of(content)]
    before = known.pop(name[:MAX_TEXT], {})
    known[name[:MAX_TEXT]] = found | {key: before[key] for key in ("replaced_by",) if key in before} | {"epoch": at[0], "seq": at[1], "wall_us": wall_us}
    if (old := known.get(found.get("corrects", ""))) is not None:
        old["replaced_by"] = name[:MAX_TEXT]
    while len(known) > MAX_RECORDS:
        del known[next(iter(known))]


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value[:2]]
    return value[:MAX_TEXT] if isinstance(value, str) else value if isinstance(value, int | float) else None
