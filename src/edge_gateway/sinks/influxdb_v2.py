"""Writing to InfluxDB 2.x through its own client, ``InfluxDBClientAsync``; knows no entries, no lines, no policy.

Never through the client's batching WriteApi: it drops what it could not write in time. The client is imported at the
first write: it costs 15 MB that a gateway without such a sink need not pay.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from edge_gateway.links import http
from edge_gateway.sinks.influxdb_sink import Reply
from edge_gateway.sinks.influxdb_v1 import compress, no_answer, words


@dataclass(frozen=True, slots=True, kw_only=True)
class V2Target:
    """Where to write and as whom."""

    url: str
    org: str
    bucket: str
    token: str = field(repr=False)
    tls: ssl.SSLContext | None = None  # None for plain HTTP
    timeout_s: float = 30.0
    gzip: bool = True


class V2:
    """One client, opened at the first write. The answer is given as it is: no retry, no redirect, no queue."""

    def __init__(self, target: V2Target) -> None:
        self._target = target
        self._client: Any = None
        self._service: Any = None

    @property
    def where(self) -> str:
        """Address, organisation and bucket."""
        return f"{self._target.url} org {self._target.org} bucket {self._target.bucket}"

    async def post(self, body: bytes) -> Reply:
        """Write once. Raises Unreachable when there is no answer."""
        from influxdb_client.rest import ApiException

        if self._client is None:
            self._open()
        # Compressed here: the client's own enable_gzip takes level 9, eight times the time for a quarter less.
        encoding = {"content_encoding": "gzip"} if self._target.gzip else {}
        data = compress(body) if self._target.gzip else body
        try:
            _, status, headers = await self._service.post_write_async(
                org=self._target.org,
                bucket=self._target.bucket,
                body=data,
                precision="us",
                content_type="text/plain; charset=utf-8",
                async_req=False,
                _return_http_data_only=False,
                **encoding,
            )
        except ApiException as error:
            if error.status is None:
                raise no_answer(self._target.url, error) from error
            return Reply(error.status, words(error.body), http.retry_after_s(error.headers or {}), len(data))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise no_answer(self._target.url, error) from error
        return Reply(status, "", http.retry_after_s(headers), len(data))

    def _open(self) -> None:
        from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
        from influxdb_client.service.write_service import WriteService

        target = self._target
        self._client = InfluxDBClientAsync(
            url=target.url.rstrip("/"),
            token=target.token,
            org=target.org,
            timeout=int(target.timeout_s * 1000),
            allow_redirects=False,
            ssl_context=target.tls or http.tls_context(),
            client_session_kwargs=http.session_settings(),
        )
        self._service = WriteService(self._client.api_client)  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """Close the client."""
        client, self._client, self._service = self._client, None, None
        if client is not None:
            await client.close()
