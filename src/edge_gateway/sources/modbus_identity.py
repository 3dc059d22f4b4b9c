"""Who answers at each unit of a line: what to ask, when, and whether it is still the one that the record knows; pure, asks nobody itself.

A profile's ``[identify]`` says where its device tells serial and model, and by which registers its type is known. They are
asked once a unit answers, again whenever it comes back after silence, and every hour; one request at a time, when the line has
nothing to do. What was found is pinned in the record. Another serial or model is told once it was read twice in a row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from edge_gateway.links.modbus import request
from edge_gateway.links.modbus_pdu import device_id_request, server_id_request
from edge_gateway.profiles import identity
from edge_gateway.profiles.model import ModbusProfile
from edge_gateway.profiles.registers import Identify, IdentityPlace, Signature
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.reading import Note
from edge_gateway.sources.modbus_unit import Unit

#: How often a unit that goes on answering is asked again; also one that twice in a row said nothing to the question.
EVERY_US = 3_600_000_000
#: Waiting this long for a quiet moment, a question is asked between two polls: it delays one slot.
PATIENCE_US = 600_000_000
#: Until the question that got no answer is asked once more; and between two looks because a connection was opened anew.
CALM_US = 600_000_000
#: A unit that does not answer is asked nothing.
NEVER_US = 1 << 62
#: Objects of function 43/14: vendor, product, revision (Modbus application protocol V1.1b3, 6.21).
_OBJECTS = {0: "vendor", 1: "product", 2: "revision"}
_FITS, _DIFFERS = "fits", "differs"


@dataclass(frozen=True, slots=True)
class Question:
    """One request, and what its answer's PDU says: key → text."""

    unit: int
    pdu: bytes
    read: Callable[[bytes], Mapping[str, str]]
    timeout_us: int = 0
    rest_us: int = 0


@dataclass(slots=True)
class _Subject:
    """One device under question."""

    device: str
    questions: Sequence[Question]
    due_us: int = NEVER_US
    looked_us: int = 0
    silences: int = 0
    number: int = 0
    found: dict[str, str] = field(default_factory=dict)
    suspected: dict[str, str] | None = None


class Identities:
    """``plan`` devices, ask ``next`` in quiet moments, tell it what was ``answered`` or ``failed``."""

    def __init__(self) -> None:
        self._subjects: dict[str, _Subject] = {}
        self._kept: Mapping[str, Any] = {}
        self._ours: dict[str, dict[str, str]] = {}
        #: before this nothing is asked
        self.soonest_us = NEVER_US

    def pin(self, kept: Mapping[str, Any]) -> None:
        """What the record knows, by device; looked at whenever something was found."""
        self._kept = kept

    def known(self, device: str) -> Mapping[str, str]:
        """What is pinned of a device; {} when nothing is."""
        return self._ours.get(device) or (self._kept.get(device) or {}).get("identity") or {}

    def plan(self, devices: Sequence[DeviceSpec], units: Mapping[int, Unit], now_us: int) -> None:
        """The devices whose profiles tell who they are; several behind one unit are one instrument."""
        subjects: dict[str, _Subject] = {}
        taken: set[int] = set()
        for device in devices:
            questions = _questions(device)
            if questions and device.unit not in taken:
                taken.add(device.unit)
                old = self._subjects.get(device.id)
                same = old is not None and [(q.unit, q.pdu) for q in old.questions] == [(q.unit, q.pdu) for q in questions]
                subjects[device.id] = old if same and old is not None else _Subject(device.id, questions)
        self._subjects = subjects
        self._ours = {device: found for device, found in self._ours.items() if device in subjects}
        for subject in subjects.values():
            if subject.due_us == NEVER_US and (unit := units.get(subject.questions[0].unit)) is not None and unit.alive:
                subject.due_us = now_us
        self._look_ahead()

    def appeared(self, address: int, now_us: int) -> None:
        """The unit answers for the first time, or again after silence: somebody may have exchanged it."""
        for subject in self._subjects.values():
            if subject.questions[0].unit == address:
                subject.due_us, subject.number, subject.found = now_us, 0, {}
        self._look_ahead()

    def reopened(self, now_us: int) -> None:
        """The line (or connection) was opened anew. Some devices close it after each answer: not more often than ``CALM_US``."""
        for subject in self._subjects.values():
            if subject.due_us != NEVER_US and subject.looked_us:
                subject.due_us = min(subject.due_us, max(now_us, subject.looked_us + CALM_US))
        self._look_ahead()

    def _look_ahead(self) -> None:
        self.soonest_us = min((subject.due_us for subject in self._subjects.values()), default=NEVER_US)

    def next(self, now_us: int, units: Mapping[int, Unit]) -> tuple[str, Question, bool] | None:
        """(device, question, whether it has waited long enough to be asked between two polls); None when nothing is due."""
        if now_us < self.soonest_us:
            return None
        for subject in self._subjects.values():
            if subject.due_us > now_us:
                continue
            unit = units.get(subject.questions[0].unit)
            if unit is not None and unit.alive:
                return subject.device, subject.questions[subject.number], now_us - subject.due_us > PATIENCE_US
            subject.due_us = NEVER_US  # until it appears again
        self._look_ahead()
        return None

    def asks(self, device: str, question: Question) -> bool:
        """Whether this is still the question whose answer is waited for: devices may be planned anew meanwhile."""
        subject = self._subjects.get(device)
        return subject is not None and subject.questions[subject.number] is question

    def failed(self, device: str, now_us: int, *, refused: bool) -> Note | None:
        """No answer to the question: a refusal only leaves its part unknown; silence ends this round."""
        subject = self._subjects.get(device)
        if subject is None:
            return None
        if refused:
            return self._on(subject, {}, now_us)
        subject.silences += 1
        wait_us = CALM_US if subject.silences == 1 else EVERY_US
        subject.due_us, subject.number, subject.found = now_us + wait_us, 0, {}
        self._look_ahead()
        return None

    def answered(self, device: str, pdu: bytes, now_us: int) -> Note | None:
        """The answer's PDU; something for the record when this was the last question and it says something new."""
        subject = self._subjects.get(device)
        if subject is None:
            return None
        return self._on(subject, subject.questions[subject.number].read(pdu), now_us)

    def _on(self, subject: _Subject, found: Mapping[str, str], now_us: int) -> Note | None:
        subject.found.update(found)
        subject.number += 1
        if subject.number < len(subject.questions):
            return None
        whole, subject.found, subject.number = subject.found, {}, 0
        subject.due_us, subject.looked_us, subject.silences = now_us + EVERY_US, now_us, 0
        note = self._judged(subject, whole, now_us) if whole else None
        self._look_ahead()
        return note

    def _judged(self, subject: _Subject, found: dict[str, str], now_us: int) -> Note | None:
        known = dict(self.known(subject.device))
        changed = {key for key, text in found.items() if key in known and known[key] != text}
        detail: dict[str, Any] = {"device": subject.device, "unit": subject.questions[0].unit}
        if changed:
            if subject.suspected != found:
                subject.suspected, subject.due_us = found, now_us  # once more, before it is said
                return None
            alone = all(key.startswith("signature-") for key in changed)
            event = "instrument-fingerprint-changed" if alone else "instrument-replaced"
            detail |= {"old": known, "new": {**known, **found}}
        elif found.keys() <= known.keys():
            subject.suspected = None
            return None
        else:
            event = "instrument-identified"
        subject.suspected = None
        self._ours[subject.device] = whole = {**known, **found}
        return Note(event=event, detail=detail | {"identity": whole})


def _questions(device: DeviceSpec) -> list[Question]:
    profile = device.profile
    if not isinstance(profile, ModbusProfile):
        return []
    about: Identify = profile.identify
    asked: list[Question] = []
    for key, place in (("serial", about.serial), ("model", about.model)):
        if place is not None:
            asked.append(_register(device.unit, place, lambda data, key=key, place=place: _text(key, place, data)))  # type: ignore[misc]
    if about.server_id:
        asked.append(Question(device.unit, server_id_request(), lambda pdu: {"server-id": _shown(pdu[2:])}))
    if about.device_id is not None:
        asked.append(Question(device.unit, device_id_request(), _objects))
    asked += [_register(device.unit, one, lambda data, one=one: _fits(one, data)) for one in about.signature]  # type: ignore[misc]
    traits = profile.modbus
    return [replace(each, timeout_us=traits.timeout_ms * 1000, rest_us=traits.rest_ms * 1000) for each in asked]


def _register(unit: int, place: IdentityPlace, read: Callable[[bytes], Mapping[str, str]]) -> Question:
    return Question(unit, request(place.function, place.register_, place.width), lambda pdu: read(pdu[2:]))


def _text(key: str, place: IdentityPlace, data: bytes) -> Mapping[str, str]:
    found = identity.text(place, data)
    return {} if found is None else {key: found}


def _fits(signature: Signature, data: bytes) -> Mapping[str, str]:
    return {f"signature-{signature.register_}": _FITS if identity.fits(signature, data) else _DIFFERS}


def _objects(pdu: bytes) -> Mapping[str, str]:
    """43/14: function, MEI, code, conformity, more, next, count, then (id, length, bytes)."""
    found: dict[str, str] = {}
    at = 7
    while at + 2 <= len(pdu):
        number, size = pdu[at], pdu[at + 1]
        if number in _OBJECTS:
            found[_OBJECTS[number]] = _shown(pdu[at + 2 : at + 2 + size])
        at += 2 + size
    return found


def _shown(data: bytes) -> str:
    """As text if it is printable, else in hex."""
    text = data.rstrip(b"\0 ").decode("ascii", "replace")
    return text if text and text.isprintable() and "\ufffd" not in text else data.hex()
