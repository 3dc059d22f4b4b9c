"""What the shared HTTP client makes of answers; the sinks' tests show it over sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_gateway.errors import ConfigError
from edge_gateway.links import http


@pytest.mark.parametrize(
    ("headers", "wanted_s"),
    [
        ({"Retry-After": "17"}, 17.0),
        ({"Retry-After": " 0 "}, 0.0),
        ({"Retry-After": "9" * 40}, http.MAX_RETRY_AFTER_S),
        ({"Retry-After": "Thu, 05 Mar 2026 06:05:00 GMT", "Date": "Thu, 05 Mar 2026 06:03:00 GMT"}, 120.0),
        ({"Retry-After": "Thu, 05 Mar 2026 06:01:00 GMT", "Date": "Thu, 05 Mar 2026 06:03:00 GMT"}, 0.0),
        ({"Retry-After": "Thu, 05 Mar 2026 06:05:00 GMT"}, None),
        ({"Retry-After": "Thu, 05 Mar 2026 06:05:00 -0000", "Date": "Thu, 05 Mar 2026 06:03:00 GMT"}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "²"}, None),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], wanted_s: float | None) -> None:
    assert http.retry_after_s(headers) == wanted_s


async def test_a_session_keeps_no_cookies_and_is_limited_in_time() -> None:
    async with http.session(timeout_s=3.0) as session:
        assert session.timeout.total == 3.0
        assert type(session.cookie_jar).__name__ == "DummyCookieJar"


def test_a_ca_file_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("hello")
    for name in ("x.pem", "none.pem"):
        with pytest.raises(ConfigError, match=name):
            http.tls_context(str(tmp_path / name))
