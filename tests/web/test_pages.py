"""What the pages of gateway and hub share: languages with equal keys, nothing from elsewhere, light enough for a phone."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from edge_gateway.reading import QUALITIES
from edge_gateway.web import pages

WEB = Path(pages.__file__).parent
SOURCES = [*WEB.glob("static/*"), *WEB.glob("templates/*")]


def request(query: str = "", cookie: str = "", accept: str = "") -> Request:
    headers = [(b"cookie", cookie.encode()), (b"accept-language", accept.encode())]
    return Request({"type": "http", "method": "GET", "path": "/", "query_string": query.encode(), "headers": headers})


def test_both_languages_have_the_same_words() -> None:
    zh, en = pages.catalog("zh"), pages.catalog("en")
    assert list(zh) == list(en)
    for key in zh:
        assert zh[key].strip()
        assert en[key].strip()
        assert set(re.findall(r"\{(\w+)\}", zh[key])) == set(re.findall(r"\{(\w+)\}", en[key])), key


def test_every_quality_and_every_key_in_use_has_words() -> None:
    words = pages.catalog("zh")
    assert {f"q.{quality}" for quality in QUALITIES} <= set(words)
    script = (WEB / "static/live.js").read_text()
    template = (WEB / "templates/live.html").read_text() + (WEB / "templates/base.html").read_text()
    used = set(re.findall(r'say\("([a-z.-]+)"', script)) | set(re.findall(r"t\['([a-z.-]+)'\]", template))
    assert {key for key in used if not key.endswith(".")} <= set(words)


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        ({}, "zh"),
        ({"accept": "en-GB,en;q=0.9"}, "en"),
        ({"accept": "fr-FR,zh-TW;q=0.5"}, "zh"),
        ({"accept": "en", "cookie": "lang=zh"}, "zh"),
        ({"query": "lang=en", "cookie": "lang=zh"}, "en"),
        ({"query": "lang=../../etc"}, "zh"),
    ],
)
def test_a_readers_language(asked: dict[str, str], chosen: str) -> None:
    assert pages.language(request(**asked), "zh") == chosen


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_nothing_comes_from_elsewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"(https?:)?//[a-z0-9]", text.replace("// ", "")), "no CDN, no foreign address"
    assert "innerHTML" not in text


def test_values_cannot_break_out_of_the_page() -> None:
    row: dict[str, Any] = {
        "point": "p", "state": "normal", "name_zh": "</script><script>alert(1)</script>", "name_en": "x", "value": 1,
        "unit_shown": "", "limits": [], "age_s": 1, "stale": False, "quality": "good",
    }  # fmt: skip
    data = {"points": {"g/p": row}, "violations": {}, "gateways": {}, "now_us": 0}
    response = pages.page(request("lang=zh"), "live.html", "zh", app="hub", stream="/events", data=data)
    html = bytes(response.body).decode()
    assert "<script>alert" not in html
    block = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    assert block is not None
    assert json.loads(block[1])["points"]["g/p"]["name_zh"] == row["name_zh"]
    assert "script-src 'self'" in response.headers["content-security-policy"]
    assert "lang=zh" in response.headers["set-cookie"]


def test_first_paint_is_light() -> None:
    data: dict[str, Any] = {"points": {}, "violations": {}, "gateways": {}, "now_us": 0}
    html = pages.page(request(), "live.html", "zh", app="hub", stream="/events", data=data).body
    parts = [bytes(html), *(path.read_bytes() for path in WEB.glob("static/*"))]
    assert sum(len(gzip.compress(part)) for part in parts) < 60 * 1024
    assert len(gzip.compress((WEB / "static/live.js").read_bytes())) < 40 * 1024
