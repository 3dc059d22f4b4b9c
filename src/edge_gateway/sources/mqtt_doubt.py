"""Whether a message that comes now may have waited at the broker; pure, knows no connection and reads no clock.

**Queued or live.** A message that waited at the broker while we were away has, without a zoned time of its own, no known time:
``uncertain:queued``. The broker does not mark such messages, and its SUBACK or PINGRESP overtake them (they wait for its send
window). So after a reconnect with a session present we publish a marker with a fresh nonce to a topic of our own, at QoS 1: it
goes through the same session's queue, behind everything that waits there. What arrives before it may have waited; what
arrives after it did not. A message that comes live before the marker is called queued too: milliseconds, on the safe side. A full
queue drops the marker, so it is sent again until one arrives. Where the broker's rights forbid the marker, a quiet spell of
``QUIET_S`` with everything acknowledged ends the doubt: a broker with messages for us and room in its window sends them. A new session
has no queue: live at once. When we held the broker back for long (journal full), its queue grew meanwhile: the same again.
"""

from __future__ import annotations

import secrets

#: How often the marker is sent until one arrives (real seconds).
MARKER_EVERY_S = 2.0
#: Without a marker: quiet for so long, with nothing unacknowledged, means that nothing waits (real seconds).
QUIET_S = 30.0


class Doubt:
    """One connection's state; times are real seconds of any one clock."""

    def __init__(self, marker_topic: str) -> None:
        self.marker_topic = marker_topic
        self.live = False
        self._nonce = b""
        self._marker_due_s = 0.0
        self._heard_s = 0.0

    def disconnected(self) -> None:
        """Whatever comes next comes over another connection."""
        self.live = False
        self._nonce = b""

    def new_session(self) -> None:
        """The broker has no queue for us."""
        self.live = True

    def began(self, now_s: float) -> None:
        """What comes from here on may have waited, until a new marker has come through."""
        self.live = False
        self._nonce = secrets.token_hex(8).encode()
        self._marker_due_s = self._heard_s = now_s

    def heard(self, topic: str, payload: bytes, now_s: float) -> None:
        """A message came; it may be the marker."""
        self._heard_s = now_s
        if self._nonce and topic == self.marker_topic and payload == self._nonce:
            self.live = True

    def marker(self, now_s: float, *, idle: bool) -> bytes | None:
        """The marker's payload if it is to be published now. ``idle``: nothing waits, nothing is unacknowledged."""
        if self.live or not self._nonce:
            return None
        if idle and now_s - self._heard_s > QUIET_S:
            self.live = True
            return None
        if now_s < self._marker_due_s:
            return None
        self._marker_due_s = now_s + MARKER_EVERY_S
        return self._nonce
