"""HTTP requests that we make: sessions with time limits, TLS, bounded answers and no cookies; knows no service behind them."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from edge_gateway.errors import ConfigError

#: The longest answer that is read; what is longer comes from something that is not what we asked.
MAX_ANSWER_BYTES = 1 << 20
#: Nobody makes us wait longer than this by Retry-After (s).
MAX_RETRY_AFTER_S = 3600.0
_CONNECT_S = 10.0


class BoundedResponse(aiohttp.ClientResponse):
    """An answer of at most MAX_ANSWER_BYTES; a longer one raises ClientPayloadError."""

    async def read(self) -> bytes:
        """The body. Raises ClientPayloadError when it does not end in time."""
        body = bytearray()
        async for chunk in self.content.iter_any():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                self.close()
                raise aiohttp.ClientPayloadError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
        return bytes(body)


def tls_context(ca_file: str = "") -> ssl.SSLContext:
    """TLS with certificates checked, against ``ca_file`` if given. Raises ConfigError when that file cannot be used."""
    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"cannot use the certificates in '{ca_file}' ({error})",
            key="ca_file",
            code="ca-file",
            hint="it must be a PEM file that the service can read",
        ) from error


def session_settings() -> dict[str, Any]:
    """What every session of ours has: no cookies kept, answers bounded."""
    return {"cookie_jar": aiohttp.DummyCookieJar(), "response_class": BoundedResponse}


def session(
    *,
    ca_file: str = "",
    tls: ssl.SSLContext | None = None,
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
    connections: int = 4,
) -> aiohttp.ClientSession:
    """A session for one service; close it. ``timeout_s`` is for a whole request. Needs a running loop.

    ``tls``: a context made before (at start, where a bad ``ca_file`` is still a fault of the configuration).
    """
    timeout = aiohttp.ClientTimeout(total=timeout_s, connect=min(_CONNECT_S, timeout_s))
    # Without a ca_file aiohttp's own context does: the system's authorities, made once and not for each session.
    checked: ssl.SSLContext | bool = tls or (tls_context(ca_file) if ca_file else True)
    connector = aiohttp.TCPConnector(limit=connections, ssl=checked)
    return aiohttp.ClientSession(connector=connector, timeout=timeout, headers=headers, **session_settings())


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait by ``Retry-After``: a number, or a date against the answer's own ``Date``; None if unusable.

    The answer's date rather than our clock: ours may be wrong, and the difference is what was meant.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), MAX_RETRY_AFTER_S)
    try:
        wait_s = (parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("Date", ""))).total_seconds()
    except (ValueError, TypeError):
        return None
    return min(max(wait_s, 0.0), MAX_RETRY_AFTER_S)
