"""Sessions of gateways: nonces from both sides and counters, in memory, bounded; knows no carrier and no store."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field

from edge_gateway.wire.hub import WireError

#: Sessions a gateway may have after a hello only; a replayed hello displaces none of those in use.
MAX_FRESH = 8
#: Sessions a gateway may have in use: two lanes, and the same two after a reconnect.
MAX_USED = 4


@dataclass(slots=True)
class _OfGateway:
    fresh: OrderedDict[str, int] = field(default_factory=OrderedDict)
    used: OrderedDict[str, int] = field(default_factory=OrderedDict)
    doubts: dict[str, dict[str, tuple[int, int]]] = field(default_factory=dict)


class Sessions:
    """A session is used once a message other than hello came in it: only the token's owner can know its name."""

    def __init__(self) -> None:
        self._gateways: dict[str, _OfGateway] = {}

    def open(self, gateway: str, nonce: str) -> str:
        """The session's 64 digits for a hello that carried ``nonce``."""
        sessions = self._gateways.setdefault(gateway, _OfGateway())
        session = nonce + secrets.token_hex(16)
        sessions.fresh[session] = 0
        while len(sessions.fresh) > MAX_FRESH:
            sessions.fresh.popitem(last=False)
        return session

    def doubt(self, gateway: str, session: str, behind: dict[str, tuple[int, int]]) -> None:
        """The session's hello knew less of these epochs than we hold: (ours, theirs). It may be old, or said twice."""
        sessions = self._gateways[gateway]
        standing = {*sessions.fresh, *sessions.used}
        sessions.doubts = {name: kept for name, kept in sessions.doubts.items() if name in standing}
        if behind:
            sessions.doubts[session] = behind

    def doubted(self, gateway: str, session: str) -> dict[str, tuple[int, int]]:
        """What was doubted of a session that is in use; once."""
        return self._gateways[gateway].doubts.pop(session, {})

    def advance(self, gateway: str, session: str, n: int) -> None:
        """Accept message ``n``. Raises WireError ``unknown-session`` or ``counter``."""
        sessions = self._gateways.get(gateway) or _OfGateway()
        if session in sessions.fresh:
            del sessions.fresh[session]
            sessions.used[session] = 0
            while len(sessions.used) > MAX_USED:
                sessions.used.popitem(last=False)
        if session not in sessions.used:
            raise WireError("unknown-session", "begin again with hello")
        if n <= sessions.used[session]:
            raise WireError("counter", f"message {n} after message {sessions.used[session]}")
        sessions.used[session] = n
        sessions.used.move_to_end(session)
