"""Photos at the control socket and on the page: their bytes in, their bytes out; knows nothing of what they are taken for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edge_gateway.errors import JournalDamaged
from edge_gateway.journal.base import Journal
from edge_gateway.record.photo import MAX_PHOTO_BYTES, PhotoRefused, media_type, suffix

#: A file is a picture and nothing else, whatever is in it; it never changes under its name.
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, max-age=86400, immutable",
}


def routes(journal: Journal) -> list[Route]:
    """``POST /v1/photos``: the file as the body, answered once it is durable; ``GET /v1/photos/{sha256}``."""

    async def add(request: Request) -> Response:
        photo = await journal.put_photo(await _file(request))
        return JSONResponse(photo.body())

    return [Route("/v1/photos", add, methods=["POST"]), Route("/v1/photos/{sha256}", shown(journal))]


def shown(journal: Journal) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint that gives a photo."""

    async def show(request: Request) -> Response:
        name = str(request.path_params["sha256"])
        try:
            data = await journal.photo(name)
        except KeyError:
            return JSONResponse({"error": "PhotoRefused", "why": f"no photo {name[:64]} is here", "hint": ""}, status_code=404)
        except JournalDamaged as damage:
            return JSONResponse({"error": "JournalDamaged", "why": damage.why, "hint": damage.hint}, status_code=410)
        media = media_type(data) or "application/octet-stream"
        named = f'inline; filename="{name[:16]}{suffix(media)}"'
        return Response(data, media_type=media, headers=_HEADERS | {"Content-Disposition": named})

    return show


async def _file(request: Request) -> bytes:
    """The body, never more than a photo's bound in memory. Raises PhotoRefused."""
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > MAX_PHOTO_BYTES:
            raise PhotoRefused(f"the photo is larger than {MAX_PHOTO_BYTES >> 20} MiB", hint="take it with a lower resolution")
    return bytes(data)
