"""Who answers: asked in quiet moments, pinned in the record, told when it is another one; no slot is missed for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from edge_gateway.backoff import Backoff
from edge_gateway.profiles.model import ModbusProfile
from edge_gateway.profiles.spec import DeviceSpec
from edge_gateway.reading import Batch, Note
from edge_gateway.sources import modbus_identity
from edge_gateway.sources.modbus_identity import EVERY_US, Identities, _objects
from edge_gateway.sources.modbus_unit import Unit
from tests.profiles.devices import device, registers
from tests.sources.modbus_plant import SILENT, Plant, Recorder, running, until, words

pytestmark = pytest.mark.timing

TICK = 100_000  # µs
WHO: dict[str, Any] = {
    "serial": {"function": 3, "register": 100, "type": "uint32"},
    "model": {"function": 3, "register": 110, "type": "string", "length": 2},
    "signature": [{"function": 3, "register": 120, "type": "uint16", "equals": 7}],
}


def telling(unit: int = 1, **who: Any) -> DeviceSpec:
    """A device with two points whose profile says where it tells who it is."""
    plain = device(registers(0, 2), id=f"d{unit}", unit=unit, interval_us=TICK)
    raw = plain.profile.model_dump(by_alias=True) | {"identify": who or WHO}
    profile = ModbusProfile.model_validate(raw)
    return DeviceSpec(id=plain.id, profile=profile, points=plain.points, interval_us=TICK, unit=unit)


def instrument(unit: int, serial: int, model: str = "AB12", signature: int = 7) -> dict[tuple[int, int], int]:
    text = model.encode()
    return (
        words(unit, [1, 2])
        | {(unit, 100): serial >> 16, (unit, 101): serial & 0xFFFF}
        | {(unit, 110): int.from_bytes(text[:2]), (unit, 111): int.from_bytes(text[2:4])}
        | {(unit, 120): signature}
    )


@pytest.fixture
async def plant() -> AsyncIterator[Plant]:
    made = Plant({})
    await made.start()
    yield made
    await made.stop()


def notes(inbox: Recorder) -> list[Note]:
    return [item for item in inbox.items if isinstance(item, Note)]


IDENTITY = {"serial": "70001", "model": "AB12", "signature-120": "fits"}


async def test_who_answers_is_asked_once_and_pinned(plant: Plant) -> None:
    plant.registers = instrument(1, 70001)
    async with running(plant, [telling()]) as (_, inbox):
        await until(lambda: notes(inbox))
        await until(lambda: len(inbox.batches("d1.0")) >= 10)
    (note,) = notes(inbox)
    assert note.event == "instrument-identified"
    assert note.detail == {"device": "d1", "unit": 1, "identity": IDENTITY}
    assert [start for _, _, start, _ in plant.asked].count(100) == 1, "once an hour, not once a poll"
    inbox.account("d1.0", TICK)


async def test_another_serial_after_silence_is_a_replacement(plant: Plant) -> None:
    plant.registers = instrument(1, 70001)
    async with running(plant, [telling()]) as (_, inbox):
        await until(lambda: notes(inbox))
        plant.trouble[1] = SILENT
        await until(inbox.gaps)
        plant.registers = instrument(1, 70002)
        del plant.trouble[1]
        await until(lambda: len(notes(inbox)) == 2)
    note = notes(inbox)[1]
    assert note.event == "instrument-replaced"
    assert note.detail["old"] == IDENTITY
    assert note.detail["new"] == IDENTITY | {"serial": "70002"}
    assert [start for _, _, start, _ in plant.asked].count(100) == 3, "the difference was read twice before it was said"


async def test_what_the_record_knows_is_compared_with_at_the_start(plant: Plant) -> None:
    plant.registers = instrument(1, 70002) | instrument(2, 80001)
    bus_devices = [telling(1), telling(2)]
    inbox = Recorder()
    async with running(plant, bus_devices, inbox) as (source, _):
        source.identities.pin({"d1": {"identity": IDENTITY}, "d2": {"identity": IDENTITY | {"serial": "80001"}}})
        await until(lambda: notes(inbox))
        await until(lambda: len(inbox.batches("d2.0")) >= 10)
    assert [(note.event, note.detail["device"]) for note in notes(inbox)] == [("instrument-replaced", "d1")]


async def test_a_changed_fingerprint_is_told_apart(plant: Plant) -> None:
    plant.registers = instrument(1, 70001, signature=8)
    async with running(plant, [telling()]) as (source, inbox):
        source.identities.pin({"d1": {"identity": IDENTITY}})
        await until(lambda: notes(inbox))
    (note,) = notes(inbox)
    assert note.event == "instrument-fingerprint-changed"
    assert note.detail["new"]["signature-120"] == "differs"


async def test_a_single_wrong_answer_is_no_replacement(plant: Plant) -> None:
    plant.registers = instrument(1, 70001)
    lies = [70009]

    async def once(unit: int, start: int) -> None:
        if start == 100:
            serial = lies.pop() if lies else 70001
            plant.registers |= {(1, 100): serial >> 16, (1, 101): serial & 0xFFFF}

    plant.before = once
    async with running(plant, [telling()]) as (source, inbox):
        source.identities.pin({"d1": {"identity": IDENTITY}})
        await until(lambda: [start for _, _, start, _ in plant.asked].count(100) >= 2)
        await until(lambda: len(inbox.batches("d1.0")) >= 5)
    assert notes(inbox) == []


async def test_what_a_device_refuses_stays_unknown(plant: Plant) -> None:
    whole = instrument(1, 70001)
    plant.registers = {key: word for key, word in whole.items() if key[1] not in (110, 111)}
    async with running(plant, [telling()]) as (_, inbox):
        await until(lambda: notes(inbox))
    assert notes(inbox)[0].detail["identity"] == {key: text for key, text in IDENTITY.items() if key != "model"}


async def test_a_unit_that_ignores_the_question_misses_at_most_one_slot(plant: Plant) -> None:
    """It answers polls and swallows identity requests: the time-out (60 ms of a 100 ms interval) costs no slot."""
    plant.registers = instrument(1, 70001)
    answer = plant.answer
    plant.answer = lambda u, f, start, c: None if start >= 100 else answer(u, f, start, c)  # type: ignore[method-assign]
    async with running(plant, [telling()], timeout_s=0.06) as (_, inbox):
        await until(lambda: [start for _, _, start, _ in plant.asked].count(100) >= 1)
        await until(lambda: len([i for i in inbox.items if isinstance(i, Batch)]) >= 12)
    assert not inbox.gaps()
    assert all(batch.quality is None for batch in inbox.batches("d1.0"))
    inbox.account("d1.0", TICK)


async def test_without_time_before_the_next_slot_nothing_is_asked(plant: Plant) -> None:
    plant.registers = instrument(1, 70001)
    async with running(plant, [telling()], timeout_s=0.5) as (_, inbox):  # longer than the interval
        await until(lambda: len(inbox.batches("d1.0")) >= 8)
        assert [start for _, _, start, _ in plant.asked].count(100) == 0
    assert not notes(inbox)


async def test_after_long_waiting_it_is_asked_between_two_polls(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modbus_identity, "PATIENCE_US", 3 * TICK)
    plant.registers = instrument(1, 70001)
    async with running(plant, [telling()], timeout_s=0.5) as (_, inbox):
        await until(lambda: notes(inbox))
        await until(lambda: len(inbox.batches("d1.0")) >= 8)
    inbox.account("d1.0", TICK)
    assert not inbox.gaps()


class Hasty(Identities):
    """Planted: what was read once is believed."""

    def _judged(self, subject: Any, found: dict[str, str], now_us: int) -> Note | None:
        subject.suspected = found
        return super()._judged(subject, found, now_us)


@pytest.mark.parametrize(("kind", "told"), [(Identities, 0), (Hasty, 1)])
def test_believing_one_answer_would_be_caught(kind: type[Identities], told: int) -> None:
    serials = iter([70009, 70001, 70001])
    identities, unit = kind(), Unit(1, Backoff(), alive=True)
    identities.pin({"d1": {"identity": {"serial": "70001"}}})
    identities.plan([telling(serial=WHO["serial"])], {1: unit}, 0)
    noted = []
    for now_us in range(0, 2 * EVERY_US, EVERY_US):
        while (due := identities.next(now_us, {1: unit})) is not None:
            noted.append(identities.answered(due[0], b"\x03\x04" + next(serials).to_bytes(4), now_us))
    events = [note.event for note in noted if note is not None]
    assert events.count("instrument-replaced") >= told
    assert bool(events) == bool(told)


def test_every_hour_and_whenever_it_appears() -> None:
    identities, unit = Identities(), Unit(1, Backoff(), alive=True)
    identities.plan([telling()], {1: unit}, 0)
    asked = []
    for now_us in range(0, 3 * EVERY_US, EVERY_US // 60):
        while (due := identities.next(now_us, {1: unit})) is not None:
            asked.append(now_us)
            identities.failed(due[0], now_us, refused=True)
    assert sorted(set(asked)) == [0, EVERY_US, 2 * EVERY_US]
    unit.alive = False
    assert identities.next(3 * EVERY_US, {1: unit}) is None
    unit.alive = True
    assert identities.next(3 * EVERY_US, {1: unit}) is None, "asked again when it appears, not before"
    identities.appeared(1, 3 * EVERY_US)
    assert identities.next(3 * EVERY_US, {1: unit}) is not None


def test_a_unit_that_is_silent_to_the_question_is_left_alone() -> None:
    identities, unit = Identities(), Unit(1, Backoff(), alive=True)
    identities.plan([telling()], {1: unit}, 0)
    asked = []
    for now_us in range(0, 4 * EVERY_US, EVERY_US // 60):
        if (due := identities.next(now_us, {1: unit})) is not None:
            asked.append(now_us * 60 // EVERY_US)
            identities.failed(due[0], now_us, refused=False)
    assert asked == [0, 10, 70, 130, 190], "minutes"


def test_a_connection_opened_anew_is_a_reason_to_ask_and_not_at_every_poll() -> None:
    identities, unit = Identities(), Unit(1, Backoff(), alive=True)
    identities.plan([telling()], {1: unit}, 0)
    asked = []
    for now_us in range(1_000_000, EVERY_US, 60_000_000):
        identities.reopened(now_us)  # each minute
        while (due := identities.next(now_us, {1: unit})) is not None:
            asked.append(now_us)
            identities.failed(due[0], now_us, refused=True)
    assert len(set(asked)) == 6, "the first time, and then every ten minutes"


def test_device_identification_is_read_object_by_object() -> None:
    pdu = bytes.fromhex("2b0e01010000 03 00 03 414243 01 02 5831 02 00".replace(" ", ""))
    assert _objects(pdu) == {"vendor": "ABC", "product": "X1", "revision": ""}
    for cut in range(len(pdu)):
        _objects(pdu[:cut])  # never raises


async def test_two_devices_behind_one_unit_are_one_instrument(plant: Plant) -> None:
    plant.registers = instrument(1, 70001)
    one, two = telling(1), telling(1)
    two = DeviceSpec(id="other", profile=two.profile, points=(), interval_us=TICK, unit=1)
    identities = Identities()
    identities.plan([one, two], {1: Unit(1, Backoff(), alive=True)}, 0)
    found = identities.next(0, {1: Unit(1, Backoff(), alive=True)})
    assert found is not None
    assert found[0] == "d1"
    await asyncio.sleep(0)


async def test_a_reload_during_a_question_takes_its_answer_for_no_other(plant: Plant) -> None:
    """Before the answer comes, the profile says that the serial number is longer and elsewhere."""
    plant.registers = instrument(1, 4711) | words(1, [0, 8, 0, 15], 200)
    about, slow = telling(serial=WHO["serial"]), asyncio.Event()

    async def wait(_unit: int, start: int) -> None:
        if start == 100:
            slow.set()
            await asyncio.sleep(0.03)

    plant.before = wait
    async with running(plant, [about]) as (source, inbox):
        await until(slow.is_set)
        await source.update([telling(serial={"function": 3, "register": 200, "type": "uint64"})])
        await until(lambda: notes(inbox))
    assert [note.detail["identity"] for note in notes(inbox)] == [{"serial": str(8 << 32 | 15)}]
    inbox.account("d1.0", TICK)
