"""The campaigns' judge finds what it should: a sound record passes, and each planted fault in it is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.faults.judge import Seen, Truth, Verdict, judge
from tests.faults.plant import SPREAD
from tests.faults.watching_proxy import Heard, HttpWatch, MqttWatch

EPOCH = "0123456789abcdef"
Entry = dict[str, Any]


def batch(number: int) -> Entry:
    at_us = number * 1_000_000
    values = [SPREAD + number, (SPREAD + number) & 0xFFFF]
    return {
        "kind": "batch", "mono_us": at_us + 5, "rule_us": at_us, "group": "u1.0", "slot_us": at_us, "values": values,
        "raw": [[1, 3, 0, ""]],
    }  # fmt: skip


def message(number: int) -> Entry:
    payload = json.dumps({"n": number})
    at_us = number * 1_000_000 + 10
    return {
        "kind": "batch", "mono_us": at_us, "rule_us": at_us, "group": "t0.0", "values": [number],
        "message": {"topic": "plant/0", "packet_id": number, "payload": payload},
    }  # fmt: skip


def judged(change: Callable[[list[Entry]], None] = lambda entries: None, **heard: Any) -> Verdict:
    """Ten answers and ten messages, all acknowledged, with a change to what the hub holds."""
    numbers = range(1, 11)
    entries = [entry for number in numbers for entry in (batch(number), message(number))]
    change(entries)
    for seq, entry in enumerate(entries):
        entry.setdefault("seq", seq)
    truth = Truth(
        replies={1: {SPREAD + number: number * 1_000_000 for number in numbers}},
        published={0: set(numbers)},
        pubacks={(0, number) for number in numbers},
    )
    seen = Seen(
        positions={EPOCH: [(5_500_000, 10), (10_500_000, 20)]}, kills=heard.pop("kills", []), ended_us=20_000_000
    )
    known = Heard(acknowledged={(0, number) for number in numbers})
    for name, value in heard.items():
        setattr(known, name, value)
    return judge(truth, [(EPOCH, [json.dumps(entry).encode() for entry in entries])], seen, known)


def test_a_sound_record_passes() -> None:
    verdict = judged()
    assert verdict.sound, verdict
    assert (verdict.acknowledged, verdict.modbus, verdict.messages) == (20, 10, 10)


def _drop(at: int) -> Callable[[list[Entry]], None]:
    return lambda entries: entries.__delitem__(at)


@pytest.mark.parametrize("at", [0, 8, 19], ids=["first", "middle", "last"])
def test_a_dropped_entry_is_lost(at: int) -> None:
    assert judged(_drop(at)).lost


def test_an_answer_under_way_at_a_kill_may_be_missing_and_is_counted() -> None:
    def never_committed(entries: list[Entry]) -> None:
        del entries[18]
        entries.append({"kind": "event", "mono_us": 10_400_000, "rule_us": 10_400_000})

    verdict = judged(never_committed, kills=[10_300_000])
    assert (verdict.lost, verdict.under_way) == (0, 1)
    assert judged(never_committed).lost


def test_a_number_written_again_after_it_was_acknowledged_is_lost() -> None:
    def later(entries: list[Entry]) -> None:
        entries[9]["mono_us"] = 5_500_001

    assert judged(later).lost == 1


def test_what_a_receipt_covered_is_owed() -> None:
    assert judged(receipts={EPOCH: 21}).lost == 1
    assert judged(receipts={"fedcba9876543210": 5}).lost == 5


def test_a_value_twice_a_slot_twice_or_a_seq_twice_is_doubled() -> None:
    assert judged(lambda entries: entries.insert(4, dict(entries[4]))).doubled == 2  # its value and its slot
    assert judged(lambda entries: entries[3].update(seq=2)).doubled


def test_a_message_twice_is_doubled_unless_it_was_sent_twice_without_dup() -> None:
    def twice(entries: list[Entry]) -> None:
        entries.insert(5, dict(entries[5]))

    assert judged(twice).doubled == 1
    from collections import Counter

    verdict = judged(twice, first_sent=Counter({(0, 3): 2}))
    assert (verdict.doubled, verdict.redelivered) == (0, 1)


def test_disorder_is_told() -> None:
    def exchanged(entries: list[Entry]) -> None:
        entries[4], entries[6] = entries[6], entries[4]

    def messages(entries: list[Entry]) -> None:
        entries[5]["message"], entries[7]["message"] = entries[7]["message"], entries[5]["message"]
        entries[5]["values"], entries[7]["values"] = entries[7]["values"], entries[5]["values"]

    assert judged(exchanged).out_of_order
    assert judged(messages).out_of_order
    assert judged(lambda entries: entries[9].update(rule_us=0)).out_of_order


@pytest.mark.parametrize("values", [[SPREAD + 3, 0], [SPREAD + 99, (SPREAD + 99) & 0xFFFF]])
def test_a_value_that_was_never_given_is_altered(values: list[int]) -> None:
    assert judged(lambda entries: entries[4].update(values=values)).altered == 1


def test_a_message_that_we_acknowledged_and_the_hub_lacks_is_lost() -> None:
    def replaced(entries: list[Entry]) -> None:
        entries[5] = {"kind": "tick", "mono_us": 0, "rule_us": entries[5]["rule_us"]}

    verdict = judged(replaced)
    assert (verdict.lost, verdict.broker_lost) == (1, 1)
    assert judged(replaced, acknowledged=set()).lost == 0


def test_a_slot_without_batch_or_gap_is_unaccounted() -> None:
    def without(entries: list[Entry]) -> None:
        entries[4] = {"kind": "tick", "mono_us": 0, "rule_us": entries[4]["rule_us"]}

    def within(entries: list[Entry]) -> None:
        without(entries)
        times = {"mono_us": 0, "rule_us": entries[-1]["rule_us"]}
        gap = {"kind": "gap", "gap": "g", **times}
        entries.append({**gap, "state": "open", "groups": ["*"], "since_slot_us": 3_000_000})
        entries.append({**gap, "state": "closed", "until_slot_us": 3_000_001})

    assert judged(without).unaccounted == 1
    assert judged(within).unaccounted == 0


def test_nothing_acknowledged_is_no_success() -> None:
    verdict = judge(Truth(), [], Seen(), Heard())
    assert not any(verdict.faults.values())
    assert not verdict.sound


def _publish(packet_id: int, number: int, *, duplicate: bool = False) -> bytes:
    payload = b'{"n":%d}' % number
    body = b"\x00\x07plant/0" + packet_id.to_bytes(2, "big") + b"\x00" + payload
    return bytes([0x3A if duplicate else 0x32, len(body)]) + body


def test_the_proxy_reads_deliveries_pubacks_and_receipts_in_any_pieces() -> None:
    heard = Heard()
    watch = MqttWatch(heard)
    for byte in _publish(7, 1) + _publish(8, 2) + _publish(7, 1, duplicate=True):
        watch.down(bytes([byte]))
    assert heard.waiting == 2
    for byte in b"\x40\x02\x00\x07":
        watch.up(bytes([byte]))
    assert heard.acknowledged == {(0, 1)}
    assert (heard.first_sent, heard.again) == ({(0, 1): 1, (0, 2): 1}, {(0, 1): 1})
    watch.closed()
    assert heard.waiting == 0
    answer = b'{"v":1,"receipt":{"gateway":"g","epoch":"%s","size":12,"skipped":[[1,2]]}}' % EPOCH.encode()
    http = HttpWatch(heard)
    for at in range(0, len(answer), 10):
        http.down(answer[at : at + 10])
    assert (heard.receipts, heard.receipts_seen) == ({EPOCH: 12}, 1)
