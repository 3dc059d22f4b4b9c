"""Writing to InfluxDB 1.x: one POST to /write; knows no entries, no lines, no policy."""

from __future__ import annotations

import ssl
import zlib
from base64 import b64encode
from dataclasses import dataclass, field

import aiohttp
import orjson

from edge_gateway.errors import Unreachable
from edge_gateway.links import http
from edge_gateway.sinks.influxdb_sink import Reply

#: gzip at level 1: line protocol shrinks to 7 % at 0.3 µs a line; level 9 gets to 5 % at 2.7 µs.
_GZIP_LEVEL = 1
_GZIP_WINDOW = 31  # zlib's way of asking for the gzip format
#: Of a server's words, this much is kept.
MAX_WORDS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class V1Target:
    """Where to write and as whom."""

    url: str
    database: str
    retention_policy: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    tls: ssl.SSLContext | None = None  # None for plain HTTP
    timeout_s: float = 30.0
    gzip: bool = True


class V1:
    """One aiohttp session, opened at the first write. The answer is given as it is: no retry, no redirect."""

    def __init__(self, target: V1Target) -> None:
        self._target = target
        self._session: aiohttp.ClientSession | None = None
        self._url = target.url.rstrip("/") + "/write"
        self._query = {"db": target.database, "precision": "u"}
        if target.retention_policy:
            self._query["rp"] = target.retention_policy

    @property
    def where(self) -> str:
        """Address and database."""
        return f"{self._target.url} database {self._target.database}"

    async def post(self, body: bytes) -> Reply:
        """Write once. Raises Unreachable when there is no answer."""
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        if self._target.gzip:
            body, headers = compress(body), headers | {"Content-Encoding": "gzip"}
        session = self._open()
        try:
            async with session.post(
                self._url, params=self._query, data=body, headers=headers, allow_redirects=False
            ) as answer:
                said = await answer.read()
                return Reply(answer.status, words(said), http.retry_after_s(answer.headers), len(body))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise no_answer(self._target.url, error) from error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            target = self._target
            headers = {}
            if target.user:
                login = b64encode(f"{target.user}:{target.password}".encode()).decode()
                headers = {"Authorization": f"Basic {login}"}
            self._session = http.session(tls=target.tls, timeout_s=target.timeout_s, headers=headers)
        return self._session

    async def close(self) -> None:
        """Close the session."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()


def compress(body: bytes) -> bytes:
    """The body as a gzip member."""
    compressor = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    return compressor.compress(body) + compressor.flush()


def no_answer(url: str, error: Exception) -> Unreachable:
    """The error for a connection that failed, in words that name the address."""
    what = str(error) or type(error).__name__
    return Unreachable(f"no answer from {url}: {what[:MAX_WORDS]}", hint="is it running, and reachable from here?")


def words(body: bytes | str | None) -> str:
    """A server's own words out of whatever it sent: its JSON's error or message, else the text, on one line, shortened."""
    if not body:
        return ""
    raw = body.encode() if isinstance(body, str) else body
    try:
        parsed = orjson.loads(raw)
    except orjson.JSONDecodeError:
        parsed = None
    text = raw.decode(errors="replace")
    if isinstance(parsed, dict):
        found = next((parsed[name] for name in ("error", "message") if isinstance(parsed.get(name), str)), None)
        text = found if found is not None else text
    # What the server dropped is told at the end: keep both ends.
    text = "".join(c if c.isprintable() else " " for c in text).strip()
    if len(text) <= MAX_WORDS:
        return text
    return f"{text[: MAX_WORDS // 2]} … {text[-MAX_WORDS // 2 :]}"
