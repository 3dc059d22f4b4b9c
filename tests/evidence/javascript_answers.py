"""Asks verify.html what the vectors ask, in Chromium (one page load from file://) or under node; knows no right answer."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tests.servers.chromium import chromium
from tests.servers.process import find_program

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "src" / "edge_gateway" / "evidence" / "verify.html"
_AT_ONCE = 200
_ASK = "async vectors => { const answers = []; for (const each of vectors) answers.push(await V.answer(each)); return answers; }"
#: What old office browsers lack; the page must not miss it.
LACKING = "delete window.BigInt; delete window.DecompressionStream; delete Crypto.prototype.subtle;"


async def by_chromium(vectors: Sequence[dict[str, Any]], page_file: Path = PAGE, *, lacking: bool = True) -> list[Any]:
    """One answer a vector. ``lacking``: without BigInt, DecompressionStream and crypto.subtle."""
    answers: list[Any] = []
    async with chromium() as browser:
        page = await browser.new_page()
        if lacking:
            await page.add_init_script(LACKING)
        await page.goto(page_file.as_uri())
        assert not lacking or await page.evaluate("typeof BigInt + typeof DecompressionStream + typeof crypto.subtle") == "undefined" * 3
        await page.evaluate((HERE / "driver.js").read_text(encoding="utf-8"))
        for at in range(0, len(vectors), _AT_ONCE):
            answers += await page.evaluate(_ASK, vectors[at : at + _AT_ONCE])
    return answers


def by_node(vectors: Iterable[dict[str, Any]], page_file: Path = PAGE) -> list[Any]:
    """The same under node."""
    lines = "".join(json.dumps(each) + "\n" for each in vectors)
    program = [find_program("node"), str(HERE / "node.js"), str(page_file)]
    done = subprocess.run(program, input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]
