"""Templates, languages and static files of our pages; knows no page's content."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_HERE = Path(__file__).parent
LANGUAGES = ("zh", "en")
_HTML_LANG = {"zh": "zh-CN", "en": "en"}
#: What our pages may do: nothing from elsewhere, nothing inline, no frames.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


@cache
def catalog(language: str, part: str = "") -> Mapping[str, str]:
    """A language's words by key; templates and scripts share them. ``part``: with one page's own words besides."""
    files = [f"{language}.json"] + ([f"{part}.{language}.json"] if part else [])
    words: dict[str, str] = {}
    for file in files:
        words |= orjson.loads((_HERE / "i18n" / file).read_bytes())
    return words


def fragments(template: str) -> Any:
    """The macros of a template by name: parts of a page that are also sent alone. What they return is escaped."""
    return _templates().get_template(template).module


def language(request: Request, default: str) -> str:
    """``?lang=``, else the remembered choice, else the browser's, else ``default``."""
    for choice in (request.query_params.get("lang"), request.cookies.get("lang")):
        if choice in LANGUAGES:
            return str(choice)
    for part in request.headers.get("accept-language", "").lower().split(","):
        if part.strip()[:2] in LANGUAGES:
            return part.strip()[:2]
    return default


@cache
def _templates() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(_HERE / "templates")
    env = jinja2.Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    env.policies["json.dumps_function"] = lambda value, **_: orjson.dumps(value).decode()
    return env


def template(name: str) -> jinja2.Template:
    """One template; what is put into it is escaped."""
    return _templates().get_template(name)


def page(
    request: Request, template_name: str, default_language: str, *, part: str = "", status_code: int = 200, **content: Any
) -> Response:
    """A page in the reader's language; the choice by ``?lang=`` is remembered."""
    chosen = language(request, default_language)
    words = catalog(chosen, part)
    html = _templates().get_template(template_name).render(
        t=words, words=dict(words), lang=chosen, html_lang=_HTML_LANG[chosen], path=request.url.path, **content
    )
    response = HTMLResponse(html, status_code, headers=HEADERS)
    if request.query_params.get("lang") == chosen:
        response.set_cookie("lang", chosen, max_age=365 * 86_400, samesite="strict", httponly=True)
    return response


class _Static(StaticFiles):
    def file_response(self, full_path: Any, stat_result: Any, scope: Scope, status_code: int = 200) -> Response:
        """Files change with the release only: asked again by their tag, never blindly kept."""
        response = super().file_response(full_path, stat_result, scope, status_code)
        response.headers["Cache-Control"] = "no-cache"
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response


def static() -> Mount:
    """Our own style sheets, scripts and icon, under ``/static``."""
    return Mount("/static", _Static(directory=_HERE / "static"), name="static")
