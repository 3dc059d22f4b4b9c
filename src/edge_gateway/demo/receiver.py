"""A receiver in InfluxDB's place as a program of its own: takes ``/write``, keeps the lines in a file; judges nothing.

A batch is in the file before it is acknowledged. Real databases are the tests' business.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import signal
import socket
import zlib
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edge_gateway.web.serve import serve

#: A batch has at most 1,000 lines.
MAX_BODY_BYTES = 4 * 1024 * 1024


def application(path: Path) -> Starlette:
    """``POST /write`` (204), ``GET /ping``; lines go to ``path``, each as it came."""
    lines = path.open("ab", buffering=0)

    async def write(request: Request) -> Response:
        if request.query_params.get("precision") != "u":
            return JSONResponse({"error": "microseconds are expected: precision=u"}, status_code=400)
        body = await request.body()
        try:
            text = gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body
        except (OSError, EOFError, zlib.error) as error:
            return JSONResponse({"error": f"no gzip: {error}"}, status_code=400)
        if len(text) > MAX_BODY_BYTES:
            return JSONResponse({"error": "too large"}, status_code=413)
        lines.write(text if text.endswith(b"\n") else text + b"\n")
        return Response(status_code=204)

    async def ping(_request: Request) -> Response:
        return Response(status_code=204)

    return Starlette(routes=[Route("/write", write, methods=["POST"]), Route("/ping", ping, methods=["GET", "HEAD"])])


async def run(path: Path, port: int) -> None:
    """Serve on 127.0.0.1 until SIGTERM."""
    listening = socket.create_server(("127.0.0.1", port))
    listening.setblocking(False)
    work = asyncio.create_task(serve(application(path), listening), name="receiver")
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    print(f'{{"ready": {{"port": {listening.getsockname()[1]}}}}}', flush=True)
    try:
        await work
    except asyncio.CancelledError:
        return  # by the signal: nobody else cancels it


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m edge_gateway.demo.receiver", description=__doc__)
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    asyncio.run(run(options.file, options.port))


if __name__ == "__main__":
    main()
