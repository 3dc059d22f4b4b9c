"""Whether somebody is who they say: their secret against its hash, and no more than a few attempts; writes nothing down.

An attempt costs a moment of one core, so it runs beside the loop, one at a time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from edge_gateway.errors import GatewayError
from edge_gateway.people import hashed
from edge_gateway.people.book import People
from edge_gateway.violations import SECRET, Who

#: So many failures in a row, of one name or from one OS user, and nothing more is tried for a while (seconds).
MOST_FAILURES, LOCKED_S = 5, 900.0
#: Names and users whose failures are remembered.
_MOST_REMEMBERED = 200


class NotProven(GatewayError):
    """The name and the secret do not belong together, or too much was tried: try again, or later. ``tried``: a secret was looked at."""

    tried = True


class TooManyAttempts(NotProven):
    """Nothing is looked at for a while."""

    tried = False


class Prover:
    """One a gateway. ``now_s`` is a clock that nobody sets."""

    def __init__(self, people: People, now_s: Callable[[], float] = time.monotonic) -> None:
        self._people = people
        self._now_s = now_s
        self._failures: dict[str, tuple[int, float]] = {}
        self._one = asyncio.Lock()
        self._nobody = ""

    async def prove(self, name: str, secret: str, user: str) -> Who:
        """Who this is, proven. Raises NotProven, PeopleFault. It takes as long for a name that nobody has."""
        keys = (f"name {name.strip().casefold()[:64]}", f"user {user}")
        async with self._one:
            if any(self._locked(key) for key in keys):
                minutes = int(LOCKED_S // 60)
                raise TooManyAttempts("too many wrong secrets: nothing is looked at now", hint=f"wait {minutes} minutes")
            person = self._people.get(name)
            if not self._nobody:
                self._nobody = await asyncio.to_thread(hashed.hashed, "nobody has this secret")
            fits = await asyncio.to_thread(hashed.fits, secret, person.secret if person else self._nobody)
            if person is None or not fits:
                for key in keys:
                    self._fail(key)
                raise NotProven("the name and the secret do not belong together", hint="`edge-gateway people list` shows the names")
            for key in keys:
                self._failures.pop(key, None)
            return Who(person.name, SECRET, user)

    def locked(self) -> list[str]:
        """Names and users that nothing is looked at for now."""
        return [key for key in self._failures if self._locked(key)]

    def _locked(self, key: str) -> bool:
        count, last_s = self._failures.get(key, (0, 0.0))
        return count >= MOST_FAILURES and self._now_s() - last_s < LOCKED_S

    def _fail(self, key: str) -> None:
        count, last_s = self._failures.pop(key, (0, 0.0))
        if count >= MOST_FAILURES and self._now_s() - last_s >= LOCKED_S:
            count = 0
        self._failures[key] = (count + 1, self._now_s())
        if len(self._failures) > _MOST_REMEMBERED:
            del self._failures[next(iter(self._failures))]
