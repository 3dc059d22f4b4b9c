"""Messages to the hub over HTTP(S); knows no session's meaning. The token goes into one header and into no message."""

from __future__ import annotations

from typing import Any

import aiohttp
import orjson

from edge_gateway.errors import NotAuthorised, Unreachable
from edge_gateway.links import http
from edge_gateway.sinks.hub_session import decoded, names, raise_problem


class HttpCarrier:
    """One POST a message. Redirects are not followed: the token is for this address only."""

    def __init__(self, *, url: str, gateway: str, token: str, ca_file: str, timeout_s: float) -> None:
        self._url = f"{url.rstrip('/')}/api/v1/gateways/{gateway}/entries"
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/gzip"}
        self._ca_file = ca_file
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, session: str, n: int, message: bytes) -> dict[str, Any]:
        """See ``Carrier``."""
        if self._session is None:
            self._session = http.session(ca_file=self._ca_file, timeout_s=self._timeout_s, connections=4)
        try:
            async with self._session.post(
                self._url, data=message, headers=self._headers, allow_redirects=False
            ) as response:
                body = await response.read()
                status, retry_after_s = response.status, http.retry_after_s(response.headers)
        except TimeoutError:
            raise Unreachable(f"no answer within {self._timeout_s:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{type(error).__name__}: {error}"[:300]) from None
        if status != 200:
            _raise_status(status, body, retry_after_s)
        answer = decoded(body)
        if not names(answer, session, n):
            raise Unreachable("the answer is not to our message", hint="a cache before the hub?")
        return answer

    async def run(self) -> None:
        """Nothing to keep doing."""

    def status(self) -> dict[str, Any]:
        """JSON-able."""
        return {"via": "http", "url": self._url}

    async def close(self) -> None:
        """Close connections."""
        if self._session is not None:
            await self._session.close()


def _raise_status(status: int, body: bytes, retry_after_s: float | None) -> None:
    try:
        problem = orjson.loads(body)
    except orjson.JSONDecodeError:
        problem = None
    if isinstance(problem, dict) and isinstance(problem.get("code"), str):
        raise_problem(problem, retry_after_s=retry_after_s)
    if status in {401, 403, 404, 405, 407}:
        raise NotAuthorised(f"HTTP {status} from what answers there", hint="check url, site.id and the token file")
    raise Unreachable(f"HTTP {status}", retry_after_s=retry_after_s)
