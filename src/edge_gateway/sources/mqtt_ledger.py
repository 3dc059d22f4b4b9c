"""Which messages of a broker's session are in the journal, and which PUBACKs may go out now; pure, knows no broker.

A QoS 1 message is acknowledged after its entry is durable. Between the two a connection, the broker or we may die; the
broker then sends the message again, with DUP and the same packet id. If topic, packet id and payload are those of a message
that we have already handed over, it is the same one: it is acknowledged (once the first is durable) and not journaled again.

What keeps that from swallowing a new message that only looks alike (two equal temperatures, a packet id used again):

- Only DUP counts: a message sent for the first time is a new one, whatever it looks like, and takes its packet id's place.
- PUBACKs go out in the order of arrival [MQTT-4.6.0-2], so only the ``keep`` newest messages can still be unacknowledged at
  the broker (several of its send windows: a broker may exceed it when we reconnect again and again); older ones are forgotten.
- A session that the broker began anew knows no earlier message: all are forgotten, and the journal is told before the first
  subscription (``SESSION_BEGAN``), so that a restart forgets them too. (Killed between that CONNECT and that entry, and once more
  before the new session's first commit, we would take an equal message with an equal packet id for the old one.)
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from edge_gateway.record.entry import payload_hash

#: The event that forgets a bus's messages: the broker has no session of ours, so nothing will come again.
SESSION_BEGAN = "broker-session-began"

#: A message as the caller knows it; the ledger gives it back to be acknowledged.
M = TypeVar("M")


@dataclass(slots=True, eq=False)
class Ticket(Generic[M]):
    """One delivery's place in the order of acknowledgements. ``since_us`` is when it arrived (monotonic)."""

    message: M
    since_us: int
    done: bool = False


@dataclass(slots=True, eq=False)
class Record(Generic[M]):
    """One message handed over to the journal; ``ticket`` is its newest delivery, None after a restart."""

    topic: str
    digest: str
    ticket: Ticket[M] | None
    durable: bool = False


class Ledger(Generic[M]):
    """The state of one session. ``recovered`` maps (topic, packet id) to payload hash, oldest first: the journal's tail."""

    def __init__(self, recovered: Mapping[tuple[str, int], str], keep: int) -> None:
        self._keep = keep
        self._records: OrderedDict[int, Record[M]] = OrderedDict()
        self._queue: deque[Ticket[M]] = deque()
        for (topic, packet_id), digest in recovered.items():
            if packet_id:
                self._remember(packet_id, Record(topic, digest, None, durable=True))

    def forget(self) -> None:
        """The broker began a new session."""
        self._records.clear()
        self._queue.clear()

    def disconnected(self) -> None:
        """PUBACKs of a connection that ended can go nowhere; what was handed over stays known."""
        self._queue.clear()

    def arrived(self, message: M, since_us: int) -> Ticket[M]:
        """A QoS 1 message came: its place in the order of acknowledgements."""
        ticket = Ticket(message, since_us)
        self._queue.append(ticket)
        return ticket

    def repeats(self, ticket: Ticket[M], topic: str, packet_id: int, digest: str) -> bool:
        """Whether this DUP delivery is a message already handed over; its acknowledgement then follows by itself."""
        record = self._records.get(packet_id)
        if record is None or record.topic != topic or record.digest != digest:
            return False
        record.ticket = ticket
        ticket.done = record.durable
        return True

    def hand_over(self, ticket: Ticket[M], topic: str, packet_id: int, digest: str) -> Record[M]:
        """This delivery is on its way into the journal: call ``committed`` with the record when it is durable."""
        record = Record(topic, digest, ticket)
        self._remember(packet_id, record)
        return record

    def not_journaled(self, ticket: Ticket[M], packet_id: int) -> None:
        """This delivery is no reading: nothing stands against its acknowledgement."""
        self._records.pop(packet_id, None)
        ticket.done = True

    def committed(self, record: Record[M]) -> None:
        """The record's entry is durable."""
        record.durable = True
        if record.ticket is not None:
            record.ticket.done = True

    def due(self) -> list[M]:
        """Deliveries to acknowledge now, in the order in which they came."""
        due: list[M] = []
        while self._queue and self._queue[0].done:
            due.append(self._queue.popleft().message)
        return due

    def memory(self) -> dict[tuple[str, int], str]:
        """What a successor recovers from: the durable messages, oldest first."""
        return {(r.topic, number): r.digest for number, r in self._records.items() if r.durable}

    def oldest_us(self) -> int | None:
        """Since when the oldest delivery waits for its acknowledgement; None when none does."""
        return self._queue[0].since_us if self._queue else None

    def __len__(self) -> int:
        """Deliveries not yet acknowledged."""
        return len(self._queue)

    def _remember(self, packet_id: int, record: Record[M]) -> None:
        self._records.pop(packet_id, None)
        self._records[packet_id] = record
        if len(self._records) > self._keep:
            self._records.popitem(last=False)


def replay(messages: MutableMapping[tuple[str, int], str], body: Mapping[str, Any]) -> None:
    """For a restart: go through the journal's entries in order, and ``messages`` becomes what a ledger recovers from."""
    if body.get("kind") == "event" and body.get("event") == SESSION_BEGAN:
        topics = set(body.get("topics", ()))
        for key in [key for key in messages if key[0] in topics]:
            del messages[key]
    message = body.get("message")
    if body.get("kind") == "batch" and message is not None and message.get("packet_id"):
        key = (str(message["topic"]), int(message["packet_id"]))
        messages.pop(key, None)  # its place is among the newest
        messages[key] = payload_hash(message)
