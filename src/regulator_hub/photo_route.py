"""Gives photos by their hash to who may read the hub; knows no entry."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from edge_gateway.record.photo import media_type, suffix
from regulator_hub.store.photos import PhotoFiles
from regulator_hub.store.writer import StoreFailed

#: A file is a picture and nothing else, whatever is in it; it never changes under its name.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, max-age=86400, immutable",
}


def photo_route(photos: PhotoFiles) -> Route:
    """``GET /api/v1/photos/{sha256}``."""

    async def photo(request: Request) -> Response:
        name = str(request.path_params["sha256"])
        try:
            data = await asyncio.to_thread(photos.get, name)
        except KeyError:
            return PlainTextResponse("this photo is not here\n", 404)
        except StoreFailed as error:
            return PlainTextResponse(f"{error.why}\n", 410)
        media = media_type(data) or "application/octet-stream"
        named = f'inline; filename="{name[:16]}{suffix(media)}"'
        return Response(data, media_type=media, headers=HEADERS | {"Content-Disposition": named})

    return Route("/api/v1/photos/{sha256}", photo)
