"""uvicorn in our loop: it ends when told, at once, and hardly wakes while nobody asks."""

from __future__ import annotations

import asyncio
import time

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from edge_gateway.web.serve import listen_tcp, serve


async def hello(_request: object) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def asked(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return answer


async def test_it_answers_with_the_date_and_ends_at_once() -> None:
    sock = listen_tcp("127.0.0.1:0", key="listen")
    port = sock.getsockname()[1]
    task = asyncio.create_task(serve(Starlette(routes=[Route("/", hello)]), sock))
    answer = await asked(port)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"\r\ndate: " in answer
    began = time.monotonic()
    task.cancel()
    await asyncio.wait([task], timeout=5)
    assert task.done()
    assert time.monotonic() - began < 0.5


async def test_an_idle_server_wakes_about_once_a_second() -> None:
    sock = listen_tcp("127.0.0.1:0", key="listen")
    port = sock.getsockname()[1]
    task = asyncio.create_task(serve(Starlette(routes=[Route("/", hello)]), sock))
    await asked(port)
    loop = asyncio.get_running_loop()
    selector, waits = loop._selector, 0  # type: ignore[attr-defined]
    select = selector.select

    def counted(timeout: float | None = None) -> object:
        nonlocal waits
        waits += timeout is None or timeout > 0.001
        return select(timeout)

    selector.select = counted
    await asyncio.sleep(2.0)
    selector.select = select
    task.cancel()
    await asyncio.wait([task])
    assert waits <= 8  # twenty with uvicorn's own loop
