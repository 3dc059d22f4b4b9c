"""Ways to spoil a good pack, each with the outcome, the code and the entries that section 8 of journal-format.md gives it; knows neither verifier."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from random import Random
from typing import Any

from tests.vectors import oracle
from tests.vectors.packs import PHOTO, Epoch, Site, Spoilt, any_segment, cut, flipped, repacked, walls, zipped
from tests.vectors.packs import site as another

CANNOT = "cannot-decide"


def _altered(entry: bytes) -> bytes:
    return entry.replace(b'"mono_us":', b'"mono_us":1', 1)


def _behind(epoch: Epoch, at: int) -> list[int]:
    """The checkpoint that an altered entry ``at`` breaks: from which entry on, and to which."""
    size = min(each for each in epoch.heads if each > at)
    return [max((each for each in epoch.heads if each <= at), default=0), size - 1]


def altered_entry(rng: Random, site: Site) -> Spoilt:
    """In a segment that is whole in itself."""
    epoch, first, end, name = any_segment(rng, site)
    at = rng.randrange(first, end)
    told = [*epoch.entries[:at], _altered(epoch.entries[at]), *epoch.entries[at + 1 :]]
    data = repacked(site, lambda members: members.update({name: oracle.segment(epoch.epoch, first, told[first:end], 8)}))
    return data, {}, ("broken", "checkpoint", [epoch.epoch, *_behind(epoch, at)])


def altered_and_signed_by_a_stranger(rng: Random, site: Site) -> Spoilt:
    """Who has no key makes all new, and its own keys lie in keys.json; of the person's keys nothing is signed."""
    stranger = replace(site, gateway=oracle.Signer(rng.randbytes(32), site.gateway.name, 1), witness=oracle.Signer(rng.randbytes(32), site.witness.name, 4))
    return zipped(stranger.members()), {"gateway": site.gateway.vkey, "witness": site.witness.vkey}, (CANNOT, "unknown-key", None)


def altered_under_the_old_root(rng: Random, site: Site) -> Spoilt:
    epoch, first, end, name = any_segment(rng, site)
    at = rng.randrange(first, end)
    told = [*epoch.entries[first:at], _altered(epoch.entries[at]), *epoch.entries[at + 1 : end]]
    root = oracle.root_of(epoch.leaves[first:end]).hex()
    data = repacked(site, lambda members: members.update({name: oracle.segment(epoch.epoch, first, told, 8, root=root)}))
    return data, {}, ("broken", "segment-root", [epoch.epoch, first, end - 1])


def renumbered_entry(rng: Random, site: Site) -> Spoilt:
    epoch, first, end, name = any_segment(rng, site)
    at = rng.randrange(first, end)
    told = list(epoch.entries[first:end])
    told[at - first] = told[at - first].replace(b'"seq":%d,' % at, b'"seq":%d,' % (at + 1))
    data = repacked(site, lambda members: members.update({name: oracle.segment(epoch.epoch, first, told, 8)}))
    return data, {}, ("broken", "entry", [epoch.epoch, at, at])


def missing_segment(rng: Random, site: Site) -> Spoilt:
    epoch, first, end, name = any_segment(rng, site)
    return repacked(site, lambda members: members.pop(name)), {}, ("broken", "missing", [epoch.epoch, first, end - 1])


def damaged_segment(rng: Random, site: Site) -> Spoilt:
    epoch, first, _, name = any_segment(rng, site)
    wrong = rng.choice((lambda data: data[:-1], lambda data: data + b"\0", lambda data: data[:-52], lambda data: data[:20] + flipped(rng, data[20:30]) + data[30:], lambda _: b""))
    return repacked(site, lambda members: members.update({name: wrong(members[name])})), {}, ("broken", "segment", [epoch.epoch, first, first])


def segment_of_another_place(rng: Random, site: Site) -> Spoilt:
    epoch, first, end, name = any_segment(rng, site)
    other = oracle.segment(rng.choice((epoch.epoch, "0" * 16)), first + 16, epoch.entries[first:end], 8)
    return repacked(site, lambda members: members.update({name: other})), {}, ("broken", "segment", [epoch.epoch, first, first])


def text_altered(rng: Random, site: Site) -> Spoilt:
    name = f"texts/{sha256(site.texts[0]).hexdigest()}"
    return repacked(site, lambda members: members.update({name: members[name] + b" "})), {}, ("broken", "text", ["", 0, 0])


def photo_altered(rng: Random, site: Site) -> Spoilt:
    name = f"photos/{sha256(PHOTO).hexdigest()}"
    at = rng.randrange(len(PHOTO))
    other = PHOTO[:at] + bytes([PHOTO[at] ^ 1 << rng.randrange(8)]) + PHOTO[at + 1 :]
    return repacked(site, lambda members: members.update({name: other})), {}, ("broken", "photo", ["", 0, 0])


def cut_back_by_its_maker(rng: Random, site: Site) -> Spoilt:
    """Down to fewer entries than a checkpoint in it signs."""
    last = site.epochs[-1]
    size = last.heads[-1]
    if last.here[-1][0] >= size - 1:
        return altered_entry(rng, site)
    note = site.note(last, size)
    less = cut(site, last, last.here[-1][0] + 1)
    less.claim = None
    name = f"checkpoints/{last.epoch}/{size:012d}.checkpoint"
    data = repacked(less, lambda members: members.update({name: note}))
    return data, {}, ("broken", "cut-back", [last.epoch, last.here[-1][0] + 1, size - 1])


def cut_back_to_an_older_checkpoint(rng: Random, site: Site) -> Spoilt:
    """Nothing in the pack tells; the newest checkpoint from elsewhere does."""
    last = site.epochs[-1]
    newest = site.note(last, last.heads[-1])
    less = cut(site, last, last.heads[0])
    if not less.epochs[-1].here or len(last.heads) < 2:
        return altered_entry(rng, site)
    less.claim = None
    return zipped(less.members()), {"against": newest}, (CANNOT, "against-newer", None)


def another_history(rng: Random, site: Site) -> Spoilt:
    """Who has the gateway's key signs another record; the checkpoint from elsewhere is the true one's."""
    last = site.epochs[-1]
    size = last.heads[-1]
    newest = site.note(last, size)
    at = rng.randrange(last.here[0][0], size)
    other = Epoch(last.epoch, [*last.entries[:at], _altered(last.entries[at]), *last.entries[at + 1 :]], last.here, [size])
    forged = replace(site, epochs=[*site.epochs[:-1], other])
    return zipped(forged.members()), {"against": newest}, ("broken", "against", [last.epoch, 0, size - 1])


def checkpoint_of_another_epoch(rng: Random, site: Site) -> Spoilt:
    last = site.epochs[-1]
    elsewhere = Epoch(rng.randbytes(8).hex(), last.entries, last.here, last.heads)
    site.times[elsewhere.epoch, last.heads[-1]] = 1
    return None, {"against": site.note(elsewhere, last.heads[-1])}, (CANNOT, "against-elsewhere", None)


def checkpoint_of_a_stranger(rng: Random, site: Site) -> Spoilt:
    last = site.epochs[-1]
    by = oracle.Signer(rng.randbytes(32), site.gateway.name, 1)
    return None, {"against": site.note(last, last.heads[-1], by=by)}, (CANNOT, "against-unknown", None)


def no_keys(rng: Random, site: Site) -> Spoilt:
    return None, {"gateway": None, "witness": rng.choice((None, site.witness.vkey))}, (CANNOT, "unknown-key", None)


def no_witness_key(rng: Random, site: Site) -> Spoilt:
    return None, {"witness": None}, (CANNOT, "unknown-witness", None)


def fingerprint_of_nobody(rng: Random, site: Site) -> Spoilt:
    return None, {"gateway": rng.randbytes(32).hex()}, (CANNOT, "unknown-key", None)


def another_witness(rng: Random, site: Site) -> Spoilt:
    other = oracle.Signer(rng.randbytes(32), rng.choice((site.witness.name, "other.example.org")), 4)
    return None, {"witness": other.vkey}, (CANNOT, "not-witnessed", None)


def _renoted(site: Site, change: Callable[[Epoch, int], bytes]) -> None:
    """Every checkpoint of the last epoch made anew."""
    last = site.epochs[-1]
    site.notes = {(last.epoch, size): change(last, size) for size in last.heads}


def not_cosigned(rng: Random, site: Site) -> Spoilt:
    _renoted(site, lambda epoch, size: site.note(epoch, size, witness=None))
    return None, {}, (CANNOT, "not-witnessed", None)


def wrong_cosignature(rng: Random, site: Site) -> Spoilt:
    """Of another tree than the one above it."""

    def note(epoch: Epoch, size: int) -> bytes:
        other = site.note(epoch, size, root=rng.randbytes(32)).splitlines(keepends=True)[-1]
        return site.note(epoch, size, witness=None) + other

    _renoted(site, note)
    return None, {}, (CANNOT, "not-witnessed", None)


def wrong_signature(rng: Random, site: Site) -> Spoilt:
    def note(epoch: Epoch, size: int) -> bytes:
        lines = site.note(epoch, size).splitlines(keepends=True)
        name, _, text = lines[4].decode().rpartition(" ")
        return b"".join([*lines[:4], f"{name} {text[:-8]}{'AAAA' if text[-8:-4] != 'AAAA' else 'BBBB'}{text[-4:]}".encode(), *lines[5:]])

    _renoted(site, note)
    return None, {}, (CANNOT, "bad-signature", None)


def unsigned(rng: Random, site: Site) -> Spoilt:
    site.epochs[-1].heads = []
    return None, {}, (CANNOT, "unsigned", None)


def root_that_was_never(rng: Random, site: Site) -> Spoilt:
    """The gateway and the hub signed another tree than the entries here give."""
    last = site.epochs[-1]
    at = rng.choice(last.heads)
    site.notes = {(last.epoch, at): site.note(last, at, root=rng.randbytes(32))}
    first = max((size for size in last.heads if size < at), default=0)
    return None, {}, ("broken", "checkpoint", [last.epoch, first, at - 1])


def claims_what_was_not_witnessed(rng: Random, site: Site) -> Spoilt:
    last = site.epochs[-1]
    if not site.claim or len(last.heads) < 2:
        return unsigned(rng, site)
    del last.heads[-1]
    reached = _trusted(last, last.heads[-1])
    if not reached or reached[-1] >= site.claim["to_us"]:
        return unsigned(rng, site)
    return None, {}, (CANNOT, "beyond-witness", None)


def _trusted(epoch: Epoch, size: int) -> list[int]:
    told = [json.loads(epoch.entries[seq]) for first, end in epoch.here for seq in range(first, min(end, size))]
    return sorted(each["wall_us"] for each in told if each["trusted"]) or [2**60]


def earlier_entries_that_nobody_cosigned(rng: Random, site: Site) -> Spoilt:
    """Of an epoch that another follows; that one names no more of it than was cosigned."""
    while len(site.epochs) < 2:
        site = another(rng)
    before, last = site.epochs
    size = rng.choice((len(before.entries) - 1, rng.randrange(1, len(before.entries))))
    before.heads, named = [size], rng.randrange(1, size + 1)
    site.times[before.epoch, size] = site.times[last.epoch, last.heads[-1]]
    told = json.loads(last.entries[0])
    told["previous"] |= {"size": named, "root": oracle.root_of(before.leaves[:named]).hex()}
    last.entries[0] = json.dumps(told, separators=(",", ":")).encode()
    return zipped(site.members()), {"gateway": site.gateway.vkey, "witness": site.witness.vkey}, (CANNOT, "beyond-through", None)


def claims_beyond_the_witness(rng: Random, site: Site) -> Spoilt:
    last = site.epochs[-1]
    assert site.claim is not None
    site.claim["to_us"] = rng.choice((walls(site, -1)[-1] + 1, 2**53 - 1))
    site.times |= {(last.epoch, size): rng.choice((1, site.times[last.epoch, size])) for size in last.heads}
    return None, {}, (CANNOT, "beyond-witness", None)


def claims_from_before(rng: Random, site: Site) -> Spoilt:
    """Also where entry 0 is here and names no epoch before: a record that was lost begins anew like that."""
    first = site.epochs[0]
    if first.here[0][0] == 0 and rng.random() < 0.5:
        del first.here[0]
    reached = _trusted(first, first.heads[-1])
    assert site.claim is not None
    site.claim["from_us"] = min(reached[0], site.claim["from_us"]) - 1
    if not first.here or first.here[0][0] >= first.heads[-1]:
        return unsigned(rng, site)
    return None, {}, (CANNOT, "begins-later", None)


def hole(rng: Random, site: Site) -> Spoilt:
    """A segment in the middle is known by its roots only."""
    epoch = site.epochs[-1]
    if len(epoch.here) < 3:
        return text_altered(rng, site)
    inner = rng.randrange(1, len(epoch.here) - 1)
    del epoch.here[inner]
    return None, {}, (CANNOT, "hole", None)


def untied(rng: Random, site: Site) -> Spoilt:
    """The epochs in another order, or the later one names another one than the earlier."""
    if len(site.epochs) < 2:
        return hole(rng, site)
    if rng.random() < 0.5:
        site.epochs.reverse()
    else:
        later, named = site.epochs[1], site.epochs[0].epoch.encode()
        later.entries[0] = later.entries[0].replace(b'"previous":{"epoch":"' + named, b'"previous":{"epoch":"' + rng.randbytes(8).hex().encode(), 1)
    return None, {}, (CANNOT, "untied", None)


def _manifest(change: Callable[[dict[str, Any]], Any]) -> Callable[[Random, Site], Spoilt]:
    def spoil(rng: Random, site: Site) -> Spoilt:
        told = site.manifest()
        other = change(told)
        data = json.dumps(told if other is None else other).encode() if not isinstance(other, bytes) else other
        return repacked(site, lambda members: members.update({"manifest.json": data})), {}, (CANNOT, "malformed", None)

    spoil.__name__ = "malformed_manifest"
    return spoil


def newer_format(rng: Random, site: Site) -> Spoilt:
    told = site.manifest() | {"format": "edge-gateway/evidence-pack/2"}
    return repacked(site, lambda members: members.update({"manifest.json": json.dumps(told).encode()})), {}, (CANNOT, "newer-format", None)


def _zip(change: Callable[[Random, bytes], bytes]) -> Callable[[Random, Site], Spoilt]:
    def spoil(rng: Random, site: Site) -> Spoilt:
        return change(rng, zipped(site.members())), {}, (CANNOT, "malformed", None)

    spoil.__name__ = "malformed_zip"
    return spoil


def _rows(change: Callable[[dict[str, bytes]], list[tuple[str, bytes]]]) -> Callable[[Random, Site], Spoilt]:
    def spoil(rng: Random, site: Site) -> Spoilt:
        return zipped(change(site.members())), {}, (CANNOT, "malformed", None)

    spoil.__name__ = "malformed_members"
    return spoil


def _between(rng: Random, data: bytes) -> bytes:
    """A byte that belongs to no member, before the directory."""
    central = struct.unpack_from("<I", data, len(data) - 6)[0]
    return data[:central] + b"x" + data[central:-6] + struct.pack("<I", central + 1) + data[-2:]


def _bit(at: int, bits: int) -> Callable[[Random, bytes], bytes]:
    """A flag, method, size or length in the first local header, the first line of the directory (512 and more) or the end record (negative)."""

    def change(rng: Random, data: bytes) -> bytes:
        central = struct.unpack_from("<I", data, len(data) - 6)[0]
        place = len(data) + at if at < 0 else at if at < 512 else central + at - 512
        return data[:place] + bytes([data[place] ^ bits]) + data[place + 1 :]

    return change


SPOILERS: tuple[Callable[[Random, Site], Spoilt], ...] = (
    altered_entry, altered_entry, altered_and_signed_by_a_stranger, altered_under_the_old_root, renumbered_entry, missing_segment, damaged_segment,
    segment_of_another_place, text_altered, photo_altered, cut_back_by_its_maker, cut_back_to_an_older_checkpoint, another_history, checkpoint_of_another_epoch,
    checkpoint_of_a_stranger, no_keys, no_witness_key, fingerprint_of_nobody, another_witness, not_cosigned, wrong_cosignature, wrong_signature, unsigned,
    root_that_was_never, claims_what_was_not_witnessed, *(earlier_entries_that_nobody_cosigned,) * 2, claims_beyond_the_witness, claims_from_before, hole, *(untied,) * 2, newer_format,
)  # fmt: skip
MALFORMED: tuple[Callable[[Random, Site], Spoilt], ...] = (
    _manifest(lambda told: told["epochs"][0].update(size=1.5)), _manifest(lambda told: told["epochs"].append(told["epochs"][0])),
    _manifest(lambda told: told["epochs"][0].update(epoch="X" * 16)), _manifest(lambda told: told.pop("claim")), _manifest(lambda told: told["epochs"][0]["given"].append([0, 3, "0" * 64])),
    _manifest(lambda told: told["claim"].update(to_us=2**53)), _manifest(lambda told: [told]), _manifest(lambda told: b"{}"), _manifest(lambda told: b"\xff"),
    _manifest(lambda told: json.dumps(told).replace('"claim"', '"x": 1e3, "claim"').encode()), _manifest(lambda told: told.update(epochs=None)),
    _zip(lambda rng, data: data + b"\0"), _zip(lambda rng, data: b"\0" + data), _zip(lambda rng, data: data[:-1]), _zip(lambda rng, data: data[: rng.randrange(len(data))]),
    _zip(lambda rng, data: rng.randbytes(100)), _zip(_bit(6, 1)), _zip(_bit(8, 8)), _zip(_bit(18, 1)), _zip(_bit(26, 1)), _zip(_bit(30, 1)), _zip(_bit(28, 1)),
    _zip(_bit(512 + 8, 1)), _zip(_bit(512 + 10, 8)), _zip(_bit(512 + 24, 1)), _zip(_bit(512 + 42, 1)), _zip(_bit(512 + 34, 1)), _zip(_bit(512 + 32, 1)),
    _zip(_bit(-22, 1)), _zip(_bit(-14, 1)), _zip(_bit(-12, 1)), _zip(_bit(-10, 1)), _zip(_bit(-6, 1)), _zip(_bit(-2, 1)), _zip(_bit(-18, 1)), _zip(_between), _zip(_between),
    _rows(lambda members: [*members.items(), ("manifest.json", members["manifest.json"])]), _rows(lambda members: [*members.items(), ("../x", b"")]),
    _rows(lambda members: [*members.items(), ("a//b", b"")]), _rows(lambda members: [*members.items(), ("segments/0/1", b"")]),
    _rows(lambda members: [*members.items(), (f"checkpoints/{'0' * 16}/{1:012d}.checkpoint", b"")]), _rows(lambda members: [*members.items(), ("texts/abc", b"")]),
    _rows(lambda members: [*members.items(), (f"photos/{sha256(PHOTO).hexdigest()}.jpg", PHOTO)]),
    _rows(lambda members: [each for each in members.items() if each[0] != "manifest.json"]), _rows(lambda members: [*members.items(), ("x" * 201, b"")]),
)  # fmt: skip
