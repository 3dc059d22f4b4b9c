"""The ledger against a model of a broker that loses connections, sessions and acknowledgements."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from edge_gateway.links.mqtt import Delivery
from edge_gateway.sources.mqtt_ledger import SESSION_BEGAN, Ledger, Record, replay
from tests.sources.mqtt_gateway import TOPIC, build

WINDOW = 4


@dataclass(eq=False)
class Sent:
    """A message as the broker has it."""

    number: int
    payload: str
    packet_id: int = 0
    duplicate: bool = False


class Model(RuleBasedStateMachine):
    """Broker, wire, source and journal in one; payloads come from an alphabet of two, so that they look alike."""

    def __init__(self) -> None:
        super().__init__()
        self.queue: list[Sent] = []
        self.in_flight: list[Sent] = []
        self.delivered = 0  # of in_flight, on this connection
        self.numbers = self.packet_ids = 0
        self.ledger: Ledger[Sent] = Ledger({}, WINDOW)
        self.pending: list[tuple[Sent, Record[Sent]]] = []
        self.journal: list[dict[str, Any]] = []
        self.journaled: list[int] = []
        self.lost_with_session: set[int] = set()

    @rule(payload=st.sampled_from("xy"))
    def publish(self, payload: str) -> None:
        self.numbers += 1
        self.queue.append(Sent(self.numbers, payload))
        self._fill()

    def _fill(self) -> None:
        while self.queue and len(self.in_flight) < WINDOW:
            sent = self.queue.pop(0)
            self.packet_ids = self.packet_ids % (3 * WINDOW) + 1
            sent.packet_id = self.packet_ids
            self.in_flight.append(sent)

    @precondition(lambda self: self.delivered < len(self.in_flight))
    @rule()
    def deliver(self) -> None:
        sent = self.in_flight[self.delivered]
        self.delivered += 1
        digest = hashlib.sha256(sent.payload.encode()).hexdigest()
        ticket = self.ledger.arrived(sent, 0)
        if sent.duplicate and self.ledger.repeats(ticket, "t", sent.packet_id, digest):
            assert sent.number in self.journaled or any(s is sent for s, _ in self.pending), "swallowed a new message"
        else:
            record = self.ledger.hand_over(ticket, "t", sent.packet_id, digest)
            self.pending.append((sent, record))
        self._acknowledge(all_arrive=True)

    @precondition(lambda self: self.pending)
    @rule(acks_arrive=st.booleans())
    def commit(self, acks_arrive: bool) -> None:
        for sent, record in self.pending:
            self.journaled.append(sent.number)
            message = {"topic": "t", "packet_id": sent.packet_id, "payload": sent.payload}
            self.journal.append({"kind": "batch", "message": message})
            self.ledger.committed(record)
        self.pending = []
        self._acknowledge(all_arrive=acks_arrive)
        if not acks_arrive:
            self.lose_connection()

    def _acknowledge(self, *, all_arrive: bool) -> None:
        for sent in self.ledger.due():
            assert sent.number in self.journaled, "acknowledged before the commit"
            if all_arrive:
                assert self.in_flight[0] is sent, "acknowledged out of order"
                self.in_flight.pop(0)
                self.delivered -= 1
        self._fill()

    @rule()
    def lose_connection(self) -> None:
        self.ledger.disconnected()
        for sent in self.in_flight:
            sent.duplicate = True  # also those that never reached us
        self.delivered = 0

    @rule()
    def kill_the_gateway(self) -> None:
        self.pending = []
        messages: dict[tuple[str, int], str] = {}
        for body in self.journal:
            replay(messages, body)
        self.lose_connection()
        self.ledger = Ledger(messages, WINDOW)

    @rule()
    def broker_forgets(self) -> None:
        self.lost_with_session |= {sent.number for sent in self.in_flight + self.queue}
        self.in_flight, self.queue, self.packet_ids = [], [], 0
        self.lose_connection()
        self.ledger.forget()
        if self.pending:
            self.commit(acks_arrive=True)  # the event stands behind them in the record
        self.journal.append({"kind": "event", "event": SESSION_BEGAN, "bus": "b", "topics": ["t"]})

    @invariant()
    def nothing_doubled_and_nothing_lost(self) -> None:
        assert len(self.journaled) == len(set(self.journaled)), "journaled twice"
        somewhere = {s.number for s in self.in_flight + self.queue} | {s.number for s, _ in self.pending}
        missing = set(range(1, self.numbers + 1)) - set(self.journaled) - somewhere - self.lost_with_session
        assert not missing, "acknowledged and never journaled"


TestLedger = Model.TestCase
TestLedger.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)


def test_replay_keeps_the_newest_last_and_ignores_qos_0() -> None:
    messages: dict[tuple[str, int], str] = {}
    for packet_id in (1, 2, 0, 1):
        replay(
            messages, {"kind": "batch", "message": {"topic": "t", "packet_id": packet_id, "payload": str(packet_id)}}
        )
    assert list(messages) == [("t", 2), ("t", 1)]
    replay(messages, {"kind": "event", "event": SESSION_BEGAN, "topics": ["other"]})
    assert len(messages) == 2
    replay(messages, {"kind": "event", "event": SESSION_BEGAN, "topics": ["t"]})
    assert messages == {}


def test_a_message_that_is_no_reading_frees_its_packet_id() -> None:
    ledger: Ledger[str] = Ledger({("t", 1): "same"}, 10)
    ledger.not_journaled(ledger.arrived("junk", 0), 1)
    assert ledger.due() == ["junk"]
    assert not ledger.repeats(ledger.arrived("again", 0), "t", 1, "same")


def test_acknowledgements_wait_for_their_turn() -> None:
    ledger: Ledger[str] = Ledger({}, 10)
    first = ledger.hand_over(ledger.arrived("a", 5), "t", 1, "a")
    ledger.not_journaled(ledger.arrived("b", 6), 2)
    assert ledger.due() == []
    assert (len(ledger), ledger.oldest_us()) == (2, 5)
    ledger.committed(first)
    assert ledger.due() == ["a", "b"]
    assert (len(ledger), ledger.oldest_us()) == (0, None)


class Forgetful(Model):
    """Planted: a restart does not hear that the broker began a new session."""

    @rule()
    def broker_forgets(self) -> None:
        super().broker_forgets()
        self.journal.pop()


class Hasty(Model):
    """Planted: acknowledged at hand-over."""

    @rule()
    def hurry(self) -> None:
        for _, record in self.pending:
            self.ledger.committed(record)
        self._acknowledge(all_arrive=True)


class Amnesiac(Model):
    """Planted: a restart remembers nothing."""

    @rule()
    def kill_the_gateway(self) -> None:
        journal, self.journal = self.journal, []
        super().kill_the_gateway()
        self.journal = journal


class Careless(Model):
    """Planted: an acknowledgement for an earlier connection is forgotten, together with what was handed over."""

    @rule()
    def lose_connection(self) -> None:
        super().lose_connection()
        self.ledger.forget()


@pytest.mark.parametrize("planted", [Forgetful, Hasty, Amnesiac, Careless])
def test_planted_faults_are_caught(planted: type[Model]) -> None:
    hard = settings(max_examples=3000, stateful_step_count=40, deadline=None, database=None, phases=[Phase.generate])
    with pytest.raises((AssertionError, Flaky)):
        run_state_machine_as_test(planted, settings=hard)


def test_a_broker_that_exceeded_its_window_is_recognized_after_a_restart() -> None:
    """mosquitto 2.0.11 had more than twice its window unacknowledged after some reconnects: all of that comes again, with DUP."""
    known = {(TOPIC, number): f"{number:064x}" for number in range(1, 401)}
    ledger = build(1883, known=known)._ledger
    for (topic, number), digest in known.items():
        assert ledger.repeats(ledger.arrived(Delivery(topic=topic, payload=b"", qos=1, retain=False, duplicate=True, packet_id=number, connection=1), 0), topic, number, digest)
