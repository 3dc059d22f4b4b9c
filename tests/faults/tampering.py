"""Evidence packs by seed, honest ones and every way of tampering that we know; says what must come of each, and runs no verifier.

``cases(seed)`` are for any verifier: bytes of a pack, what a person brought (keys, a checkpoint), and what must not or must be said.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from edge_gateway.evidence.manifest import Claim
from edge_gateway.record.merkle import leaf_hash
from edge_gateway.record.note import COSIGNATURE, ED25519
from tests.evidence.forging import Plan, Sheet, packed, signed
from tests.evidence.record import GATEWAY, HUB, LOG, Party, entries
from tests.journal.entries import BEGAN_US

BEGAN_S = BEGAN_US // 1_000_000
#: The forger's own keys, under the same names.
FORGER, FORGER_HUB = Party.born(LOG, ED25519, 3), Party.born("hub.example.org", COSIGNATURE, 4)


@dataclass(frozen=True)
class Case:
    """``must``: "verify" (honest), "fail" (tampered at or below the newest cosignature given), or "either" (``why`` says what is open).

    ``key``, ``witness``: verifier keys or fingerprints as a person gives them; ``against``: a checkpoint from the hub.
    """

    name: str
    pack: bytes
    must: str
    key: str | None = str(GATEWAY.key)
    witness: str | None = str(HUB.key)
    against: bytes | None = None
    why: str = ""


@dataclass(frozen=True)
class Truth:
    """An honest record and the pack that was made of it: ``newest``: epoch, size and time of the last cosigned checkpoint."""

    plan: Plan
    newest: tuple[int, int]
    hub_note: bytes

    @property
    def last(self) -> int:
        return len(self.plan.sheets) - 1


def truth(dice: random.Random) -> Truth:
    """A record of one to three epochs, the last witnessed up to some entry, those before it to their ends; and a period of it."""
    segment = dice.choice((4, 8, 16))
    sheets: list[Sheet] = []
    previous: dict[str, Any] | None = None
    began = 0
    size = time_s = 0
    born = dice.choice((1, 1, 2, 3))
    for number in range(born):
        count = dice.randint(2 * segment, 8 * segment)
        name = f"{dice.getrandbits(64):016x}"
        told = tuple(entries(count, segment=segment, previous=previous, began=began))
        size = dice.randint(segment, count)
        if number + 1 < born:
            told, count = told[:size], size
        time_s = BEGAN_S + began + size + dice.randint(0, 30)
        older = sorted(dice.sample(range(1, size), min(3, size - 1)))
        notes = [(each, BEGAN_S + began + each + 1 if dice.random() < 0.7 else None) for each in older]
        notes += [(size, time_s)] + ([(count, None)] if size < count and dice.random() < 0.5 else [])
        sheets.append(Sheet(name, told, (0, count), signed(name, told, notes), segment))
        whole = sheets[-1]
        previous = {"epoch": name, "size": size, "root": _root(whole, size), "reason": "restore"}
        began += count + dice.randint(1, 100)
    plan = _period(dice, sheets, size, time_s)
    last = plan.sheets[-1]
    return Truth(plan, (size, time_s), dict(last.notes)[size])


def _root(sheet: Sheet, size: int) -> str:
    from edge_gateway.record.merkle import tree_root

    return tree_root(map(leaf_hash, sheet.entries[:size])).hex()


def _period(dice: random.Random, sheets: Sequence[Sheet], size: int, time_s: int) -> Plan:
    """Carry the record from some segment on, up to its end, and claim what is witnessed of that."""
    chosen = list(sheets[dice.randrange(len(sheets)) :])
    last = chosen[-1]
    limit = max(each for each, data in chosen[0].notes if b" hub.example.org " in data)  # what lies beyond speaks for nothing
    first = dice.randrange(0, limit) // last.segment * last.segment
    chosen[0] = replace(chosen[0], carried=(first, len(chosen[0].entries)))
    from_us = _wall(chosen[0].entries[first])
    to_us = min(_wall(last.entries[size - 1]), time_s * 1_000_000)
    return Plan(tuple(chosen), Claim(from_us + dice.choice((0, 500_000)), max(from_us + 1_000_000, to_us)) if to_us > from_us + 1_000_000 else None)


def _wall(entry: bytes) -> int:
    return int(orjson.loads(entry)["wall_us"])


# --- honest -----------------------------------------------------------------------------------------------------------


def honest(dice: random.Random, real: Truth) -> Iterator[Case]:
    """What must be verified."""
    data = packed(real.plan)
    yield Case("honest", data, "verify")
    yield Case("honest-fingerprints", data, "verify", key=GATEWAY.key.fingerprint, witness=HUB.key.fingerprint.replace(" ", "").upper()[:32])
    yield Case("honest-against", data, "verify", against=real.hub_note)
    sheet = real.plan.sheets[-1]
    size = real.newest[0]
    older = dice.randint(1, size)
    if older >= sheet.carried[0] or older in dict(sheet.notes):
        yield Case("honest-against-older", data, "verify", against=signed(sheet.epoch, sheet.entries, [(older, BEGAN_S + 9_999)])[0][1])
    alone = tuple(replace(each, notes=signed(each.epoch, each.entries, [(len(each.entries), None)])) for each in real.plan.sheets)
    yield Case("honest-unwitnessed", packed(replace(real.plan, sheets=alone)), "verify", witness=None)
    only = tuple(replace(each, notes=signed(each.epoch, each.entries, [(len(each.entries), real.newest[1])])) for each in real.plan.sheets)
    yield Case("honest-one-checkpoint", packed(replace(real.plan, sheets=only)), "verify")
    bare = replace(real.plan, sheets=(replace(real.plan.sheets[-1], notes=()),), claim=None)
    yield Case("honest-only-the-hubs-checkpoint", packed(bare.sheet(0, carried=(0, len(sheet.entries)))), "verify", against=real.hub_note)
    yield Case("honest-extra-member", packed(replace(real.plan, extra=(("notes/inspector.txt", b"seen on site\n"),))), "verify")


# --- by someone without the keys -----------------------------------------------------------------------------------------

Change = Callable[[random.Random, list[bytes], int], list[bytes]]


def _numbered(told: list[bytes]) -> list[bytes]:
    return [orjson.dumps(orjson.loads(entry) | {"seq": seq}) for seq, entry in enumerate(told)]


def _edit(dice: random.Random, told: list[bytes], at: int) -> list[bytes]:
    entry = orjson.loads(told[at])
    name = dice.choice([key for key in ("values", "wall_us", "trusted", "state", "text") if key in entry])
    entry[name] = {"values": [-18.5, -19.0], "wall_us": entry["wall_us"] + 1, "trusted": False, "state": {"at": -1}, "text": "0" * 64}[name]
    return [*told[:at], orjson.dumps(entry), *told[at + 1 :]]


def _spaced(dice: random.Random, told: list[bytes], at: int) -> list[bytes]:
    """The same meaning in other bytes."""
    return [*told[:at], told[at].replace(b",", b", ", 1), *told[at + 1 :]]


def _delete(dice: random.Random, told: list[bytes], at: int) -> list[bytes]:
    return _numbered(told[:at] + told[at + 1 :])


def _insert(dice: random.Random, told: list[bytes], at: int) -> list[bytes]:
    return _numbered([*told[:at], told[at], *told[at:]])


def _reorder(dice: random.Random, told: list[bytes], at: int) -> list[bytes]:
    other = (at + 1) % len(told)
    changed = list(told)
    changed[at], changed[other] = changed[other], changed[at]
    return _numbered(changed)


def _splice(dice: random.Random, told: list[bytes], at: int) -> list[bytes]:
    """A stretch of another day, renumbered."""
    other = entries(len(told), began=86_400)
    return _numbered([*told[:at], *other[at : at + dice.randint(1, 8)], *told[at + 8 :]])[: len(told)] if at + 8 < len(told) else _edit(dice, told, at)


CHANGES: dict[str, Change] = {
    "edit": _edit, "spaced": _spaced, "delete": _delete, "insert": _insert, "reorder": _reorder, "splice": _splice,
}  # fmt: skip


def tampered(dice: random.Random, real: Truth) -> Iterator[Case]:
    """Entries changed at or below the newest cosigned checkpoint that is in the pack; all else made to agree by whoever has our code."""
    plan, last = real.plan, real.last
    sheet, size = plan.sheets[last], real.newest[0]
    if sheet.carried[0] >= size - 1:
        return
    at = dice.randrange(sheet.carried[0], size - 1)
    for name, change in CHANGES.items():
        told = tuple(change(dice, list(sheet.entries), at))
        forged = plan.sheet(last, entries=told, carried=(sheet.carried[0], len(told)))
        yield Case(f"entries-{name}", packed(forged), "fail")
        foreign = signed(sheet.epoch, told, [(min(size, len(told)), real.newest[1])], FORGER, FORGER_HUB)
        resigned = replace(forged.sheet(last, notes=foreign), keys=(FORGER.key, FORGER_HUB.key))
        yield Case(f"re-signed-{name}", packed(resigned), "fail", *dice.choice((_VKEYS, _FINGERPRINTS)))
        own = signed(sheet.epoch, told, [(len(told), None)])
        kept = (*(each for each in sheet.notes if each[0] == size and size <= len(told)), *own)
        with_key = forged.sheet(last, notes=tuple(dict(sorted(kept)).items()))
        yield Case(f"device-key-{name}", packed(with_key), "fail", why="the gateway's own key, used after the last cosignature")
        yield Case(f"device-key-against-{name}", packed(forged.sheet(last, notes=own)), "fail", against=real.hub_note)
    whole = plan.sheet(last, bend=lambda first, data: _flipped(dice, data) if first == sheet.segments()[0][0] else data)
    yield Case("bit-flipped", packed(whole), "either", why="a bit of gzip's own header means nothing")
    yield Case("segment-missing", packed(plan.sheet(last, dropped=frozenset({dice.choice(sheet.segments())[0]}))), "fail")
    yield Case("segment-of-another", packed(plan.sheet(last, bend=_exchanged(sheet))), "fail" if len(sheet.segments()) > 1 else "either")
    if len(sheet.segments()) > 2 and plan.claim is not None:
        hidden = dice.choice(sheet.segments()[1:-1])[0]
        yield Case("segment-hidden", packed(plan.sheet(last, hidden=frozenset({hidden}))), "fail", why="known by its root only, inside the period")


_VKEYS = (str(GATEWAY.key), str(HUB.key))
_FINGERPRINTS = (GATEWAY.key.fingerprint, HUB.key.fingerprint)


def _flipped(dice: random.Random, data: bytes) -> bytes:
    at = dice.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << dice.randrange(8)]) + data[at + 1 :]


def _exchanged(sheet: Sheet) -> Callable[[int, bytes], bytes]:
    """Two segments' files under each other's names."""
    from tests.evidence.forging import sealed

    spans = dict(sheet.segments())
    order = list(spans)
    other = dict(zip(order, order[1:] + order[:1], strict=True))
    return lambda first, data: sealed(sheet, other[first], spans[other[first]])


def signatures(dice: random.Random, real: Truth) -> Iterator[Case]:
    """Checkpoints stripped, bent and exchanged; claims that go too far; texts that are others."""
    plan, last = real.plan, real.last
    sheet, (size, time_s) = plan.sheets[last], real.newest
    bare = signed(sheet.epoch, sheet.entries, [(each, None) for each, _ in sheet.notes])
    yield Case("cosignatures-stripped", packed(plan.sheet(last, notes=bare)), "fail")
    yield Case("checkpoints-stripped", packed(plan.sheet(last, notes=())), "fail")
    for name, bend in (("bent-signature", _bent(dice)), ("bent-root", _bent_root), ("bent-time", _bent_time)):
        bent = tuple((each, bend(data)) for each, data in sheet.notes)
        yield Case(name, packed(plan.sheet(last, notes=bent)), "fail")
    moved = tuple((each, _line_moved(data, dict(bare)[each], real.hub_note)) for each, data in sheet.notes if each != size)
    yield Case("cosignature-of-another", packed(plan.sheet(last, notes=moved)), "fail")
    renamed = tuple((each + 1, data) for each, data in sheet.notes if each < len(sheet.entries))
    yield Case("checkpoint-under-another-size", packed(plan.sheet(last, notes=renamed)), "fail")
    yield Case("no-keys-given", packed(plan), "fail", None, None)
    yield Case("strangers-keys", packed(plan), "fail", str(FORGER.key), str(FORGER_HUB.key))
    yield Case("no-witness-given", packed(plan), "fail", witness=None)
    if plan.claim is not None:
        beyond = replace(plan.claim, to_us=time_s * 1_000_000 + 1)
        yield Case("claims-beyond-the-witness", packed(replace(plan, claim=beyond)), "fail")
        unseen = replace(plan.claim, to_us=_wall(sheet.entries[size - 1]) + 1)
        yield Case("claims-beyond-the-last-witnessed-entry", packed(replace(plan, claim=unseen)), "fail")
        if plan.sheets[0].carried[0] or b'"previous":{' in plan.sheets[0].entries[0]:
            yield Case("claims-from-before", packed(replace(plan, claim=replace(plan.claim, from_us=0))), "fail")
    yield Case("text-changed", packed(replace(plan, texts=((plan.texts[0][0], plan.texts[0][1] + b" "),))), "fail")
    name, photo = plan.photos[0]
    at = dice.randrange(len(photo))
    yield Case("photo-changed", packed(replace(plan, photos=((name, photo[:at] + bytes([photo[at] ^ 1]) + photo[at + 1 :]),))), "fail")
    if last and plan.claim is not None:
        earlier = plan.sheets[last - 1]
        told = (*earlier.entries, *_numbered([*earlier.entries, earlier.entries[-1]])[-1:])
        goes_on = plan.sheet(last - 1, entries=told, carried=(earlier.carried[0], len(told)))
        yield Case("earlier-epoch-goes-on", packed(goes_on), "fail", why="within the period, and nobody cosigned it")
    if last:
        yield Case("epoch-left-out", packed(replace(plan, sheets=(plan.sheets[last], *plan.sheets[:last]))), "fail", why="epochs in another order")


def _bent(dice: random.Random) -> Callable[[bytes], bytes]:
    def bend(data: bytes) -> bytes:
        """Another letter in every signature."""
        head, gap, lines = data.partition(b"\n\n")
        bent = [line[:-12] + (b"A" if line[-12:-11] != b"A" else b"B") + line[-11:] for line in lines.split(b"\n")[:-1]]
        return head + gap + b"".join(line + b"\n" for line in bent)

    return bend


def _bent_root(data: bytes) -> bytes:
    origin, size, root, rest = data.split(b"\n", 3)
    return b"\n".join((origin, size, (b"A" if root[:1] != b"A" else b"B") + root[1:], rest))


def _bent_time(data: bytes) -> bytes:
    """A later time in the witness's line."""
    import base64

    lines = data.split(b"\n")
    for number, line in enumerate(lines):
        if line.startswith(b"\xe2\x80\x94 hub.example.org "):
            name, _, text = line.rpartition(b" ")
            raw = bytearray(base64.b64decode(text))
            raw[10] ^= 1
            lines[number] = name + b" " + base64.b64encode(raw)
    return b"\n".join(lines)


def _line_moved(data: bytes, bare: bytes, other: bytes) -> bytes:
    """The hub's line of another checkpoint under this one."""
    lines = [line for line in other.split(b"\n") if b" hub.example.org " in line]
    return bare + b"".join(line + b"\n" for line in lines)


# --- against what the hub has cosigned ---------------------------------------------------------------------------------


def histories(dice: random.Random, real: Truth) -> Iterator[Case]:
    """Forks, roll-backs and clones by whoever holds the gateway's key; the person brings the hub's newest checkpoint."""
    plan, last = real.plan, real.last
    sheet, size = plan.sheets[last], real.newest[0]
    older = [(each, data) for each, data in sheet.notes if each < size and b" hub.example.org " in data]
    kept, note = older[-1] if older else (1, b"")
    at = dice.randrange(kept, size) if kept < size else size - 1
    branch = _edit(dice, list(sheet.entries), at)
    longer = dice.randint(at + 1, len(sheet.entries))
    for name, told in (
        ("fork", branch),
        ("roll-back", [*sheet.entries[:at], *_numbered([*sheet.entries[:at], *entries(longer + 8, began=50_000)[at:]])[at:]]),
        ("clone", [*entries(2, segment=sheet.segment), *_numbered(list(entries(len(sheet.entries), began=70_000)))[2:]]),
    ):
        shared = ((kept, note),) if note and name != "clone" else ()
        notes = (*shared, *signed(sheet.epoch, told, [(len(told), None)]))
        forged = plan.sheet(last, entries=tuple(told), carried=(sheet.carried[0] if sheet.carried[0] < at else 0, len(told)), notes=notes)
        yield Case(name, packed(replace(forged, claim=None)), "fail", against=real.hub_note)


def cut_backs(dice: random.Random, real: Truth) -> Iterator[Case]:
    """The record's end is left off, down to an older checkpoint that the hub cosigned: only the hub's newest one tells."""
    plan, last = real.plan, real.last
    sheet, size = plan.sheets[last], real.newest[0]
    older = [each for each, data in sheet.notes if sheet.carried[0] < each < size and b" hub.example.org " in data]
    if not older or plan.claim is None:
        return
    cut = older[-1]
    end_us = min(_wall(sheet.entries[cut - 1]), plan.claim.to_us, (BEGAN_S + 10**6) * 1_000_000)
    if end_us <= plan.claim.from_us:
        return
    kept = tuple((each, data) for each, data in sheet.notes if each <= cut)
    short = plan.sheet(last, entries=sheet.entries[:cut], carried=(sheet.carried[0], cut), notes=kept)
    data = packed(replace(short, claim=replace(plan.claim, to_us=end_us)))
    yield Case("cut-back", data, "either", why="every checkpoint that the verifier is given is kept")
    yield Case("cut-back-against", data, "fail", against=real.hub_note)


def cases(seed: int) -> Iterator[Case]:
    """Every case that one record gives: about half of them honest, none depending on another seed."""
    from tests.faults.hostile import hostile

    dice = random.Random(f"tamper-{seed}")
    real = truth(dice)
    for kind in (honest, tampered, signatures, histories, cut_backs, hostile):
        yield from kind(dice, real)
