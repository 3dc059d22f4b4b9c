"""Journal entries as bytes: compact JSON, encoded once and never changed; format in docs/reference/journal-format.md.

Pure: everything, time included, is passed in. The bytes made here are the ones that are hashed, stored, sent.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from edge_gateway.reading import Batch, Block, GapClosed, GapOpened, Message

#: Version of the format that this release writes (key ``v``).
FORMAT = 1
#: How values come from raw bytes and configuration (``semantics.decode`` of the resolved configuration): what each version says
#: is in docs/reference/journal-format.md. A release that derives anything otherwise counts on.
DECODE = 1
#: The largest entry, in bytes: the hub takes none larger.
MAX_ENTRY_BYTES = 192 * 1024
#: A state object larger than this is kept as a content-addressed text and named by its hash.
MAX_INLINE_STATE_BYTES = 64 * 1024
#: A message payload up to this stays in the entry; beyond it only hash, size and extracted values do.
MAX_PAYLOAD_BYTES = 4096
#: Integers beyond ±(2^53 - 1) are written as strings.
MAX_INTEGER = 2**53 - 1

#: Keys that every entry has, whatever its kind.
ENVELOPE = frozenset({"v", "seq", "kind", "rule_us", "wall_us", "mono_us", "boot", "trusted"})
KINDS = frozenset({"snapshot", "config", "batch", "gap", "tick", "violation", "command", "event", "correction", "skipped", "mark", "phase", "calibration", "record"})


@dataclass(frozen=True, slots=True)
class Stamp:
    """Time as every entry carries it: rule time, wall time UTC, monotonic time (all µs), boot id, clock trust."""

    rule_us: int
    wall_us: int
    mono_us: int
    boot: str
    trusted: bool


def encode(seq: int, kind: str, stamp: Stamp, body: dict[str, Any]) -> bytes:
    """Bytes of an entry other than a batch.

    Raises ValueError when the entry would exceed ``MAX_ENTRY_BYTES`` or hold NaN: a programming error, since
    whatever can grow is named by hash.
    """
    entry = {
        "v": FORMAT,
        "seq": seq,
        "kind": kind,
        "rule_us": stamp.rule_us,
        "wall_us": stamp.wall_us,
        "mono_us": stamp.mono_us,
        "boot": stamp.boot,
        "trusted": stamp.trusted,
        **body,
    }
    data = _exact(orjson.dumps(entry))
    if len(data) > MAX_ENTRY_BYTES:
        raise ValueError(f"{kind} entry {seq} would be {len(data)} bytes, more than {MAX_ENTRY_BYTES}")
    return data


def encode_batch(seq: int, rule_us: int, boot: str, trusted: bool, config_seq: int, batch: Batch) -> bytes:
    """Bytes of a batch entry. The hot path: one dictionary and one call, whatever the number of readings."""
    values: list[Any] = batch.values
    if batch.group.wide:
        values = [str(v) if isinstance(v, int) and not -MAX_INTEGER <= v <= MAX_INTEGER else v for v in values]
    entry: dict[str, Any] = {
        "v": FORMAT,
        "seq": seq,
        "kind": "batch",
        "rule_us": rule_us,
        "wall_us": batch.wall_us,
        "mono_us": batch.mono_us,
        "boot": boot,
        "trusted": trusted,
        "config_seq": config_seq,
        "group": batch.group.id,
        "values": values,
    }
    if batch.slot_us is not None:
        entry["slot_us"] = batch.slot_us
    if batch.quality is not None:
        entry["quality"] = batch.quality
    if batch.blocks:
        entry["raw"] = [_block(block) for block in batch.blocks]
    if batch.keep is not None:
        entry["keep"] = batch.keep
    if batch.message is not None:
        entry["message"] = _message(batch.message)
    return _exact(orjson.dumps(entry))


def _exact(data: bytes) -> bytes:
    """A copy that takes no more memory than its length: orjson hands out its working buffer, 4 to 32 KiB an entry."""
    return bytes(memoryview(data))


def _block(block: Block) -> list[Any]:
    if block.offset_us:
        return [block.unit, block.function, block.start, block.data.hex(), block.offset_us]
    return [block.unit, block.function, block.start, block.data.hex()]


def _message(message: Message) -> dict[str, Any]:
    body: dict[str, Any] = {"topic": message.topic, "packet_id": message.packet_id}
    if message.duplicate:
        body["duplicate"] = True
    if message.time_us is not None:
        body["time_us"] = message.time_us
    payload = message.payload
    if len(payload) > MAX_PAYLOAD_BYTES:
        return body | {"payload_sha256": sha256(payload).hexdigest(), "payload_bytes": len(payload)}
    try:
        return body | {"payload": payload.decode()}
    except UnicodeDecodeError:
        return body | {"payload_base64": b64encode(payload).decode()}


def payload_hash(message: dict[str, Any]) -> str:
    """SHA-256 (hex) of a journaled ``message``'s payload, however it was kept."""
    if "payload" in message:
        return sha256(message["payload"].encode()).hexdigest()
    if "payload_base64" in message:
        return sha256(b64decode(message["payload_base64"])).hexdigest()
    return str(message["payload_sha256"])


def gap_body(gap: GapOpened | GapClosed) -> dict[str, Any]:
    """Body of a ``gap`` entry."""
    if isinstance(gap, GapOpened):
        body: dict[str, Any] = {
            "gap": gap.id,
            "state": "open",
            "groups": list(gap.groups),
            "reason": gap.reason,
            "since_slot_us": gap.since_slot_us,
        }
        return body | ({"detail": gap.detail} if gap.detail else {})
    return {"gap": gap.id, "state": "closed", "until_slot_us": gap.until_slot_us, "slots": gap.slots}


def decode(data: bytes) -> dict[str, Any]:
    """An entry's object. Unknown kinds and keys come through as they are. Raises ValueError on bytes that are no entry."""
    entry = orjson.loads(data)
    if not isinstance(entry, dict) or not isinstance(entry.get("seq"), int) or not isinstance(entry.get("kind"), str):
        raise ValueError("not a journal entry: an object with integer 'seq' and text 'kind' is expected")
    return entry


def has_only_integers(told: Any) -> bool:
    """Whether every number in it is an integer within ±(2⁵³ − 1): what every JSON reader reads alike."""
    waiting = [told]
    while waiting:
        each = waiting.pop()
        if isinstance(each, float) or (isinstance(each, int) and not -MAX_INTEGER <= each <= MAX_INTEGER):
            return False
        waiting.extend(each.values() if isinstance(each, dict) else each if isinstance(each, list) else ())
    return True


def canonical(obj: Any) -> bytes:
    """Canonical JSON of configuration texts and states: sorted keys, compact, UTF-8."""
    return _exact(orjson.dumps(obj, option=orjson.OPT_SORT_KEYS))


def text_hash(text: bytes) -> str:
    """SHA-256 in hex: the name of a content-addressed text."""
    return sha256(text).hexdigest()
