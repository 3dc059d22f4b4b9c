"""The page of lots in a real Chromium: both languages, a phone, what expires on top, a photo, nothing from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from tests.cli.site import Gateway, Plant
from tests.page import site
from tests.servers.process import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(64)
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with Plant() as plant, site.gateway(tmp_path_factory.mktemp("gateway"), plant.port, free_port(), more="") as running:
        running.wait(lambda: any(row.get("value") is not None for row in running.status()["rows"]), "a reading")
        (running.folder / "c.png").write_bytes(PICTURE)
        photo = ("--photo", str(running.folder / "c.png"))
        verbs: list[tuple[str, ...]] = [
            ("intake", "A-1126", "--product", "牛肚", "--supplier", "示例屠宰场", "--kg", "80", "--zone", "cold1", "--certificate", "6501-40", "--expires", "2020-01-02"),
            ("intake", "A-1127", "--product", "羊肚", "--supplier", "示例屠宰场", "--kg", "55.5", "--zone", "cold1", "--temperature", "cold1-air"),
            ("intake", "A-1128", "--product", "<b>牛百叶</b>", "--supplier", "示例屠宰场", "--kg", "120", "--zone", "cold1", "--certificate", "6501-42", "--slip", "S-118", "--temperature", "cold1-air", *photo),
            ("lot", "W-1128", "--from", "A-1128=40", "--zone", "cold1", "--expires", "2099-01-01"),
            ("dispatch", "W-1128", "--receiver", "示例餐饮", "--slip", "O-77"),
            ("document", "健康证", "H-9", "--holder", "张", "--expires", "2020-02-01"),
        ]  # fmt: skip
        for verb in verbs:
            done = running.verb("record", *verb)
            assert done.returncode == 0, done.stderr
        yield running


async def look(browser: Browser, gateway: Gateway, locale: str, size: dict[str, int]) -> tuple[Page, list[str]]:
    context = await browser.new_context(locale=locale, viewport=size)  # type: ignore[arg-type]
    page = await context.new_page()
    wrong: list[str] = []
    home = f"http://127.0.0.1:{gateway.page}/"
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("request", lambda asked: None if asked.url.startswith(home) else wrong.append(f"asked {asked.url}"))
    await page.goto(f"{home}lots")
    if folder := os.environ.get("SHOTS"):
        await page.screenshot(path=str(Path(folder) / f"lots-{locale}-{size['width']}.png"), full_page=True)
    return page, wrong


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "wide"])
@pytest.mark.parametrize("locale", ["zh-CN", "en-US"])
async def test_what_expires_stands_on_top_and_all_fits(browser: Browser, gateway: Gateway, locale: str, size: dict[str, int]) -> None:
    page, wrong = await look(browser, gateway, locale, size)
    rows = await page.locator(".lots tbody th").all_inner_texts()
    assert [row.split()[0] for row in rows] == ["A-1126", "A-1128", "A-1127", "W-1128"], "expired first, then newest first, what is gone last"
    assert await page.locator(".expiring li").count() == 2
    assert ("已过期" if locale == "zh-CN" else "expired") in await page.locator(".expiring li").first.inner_text()
    assert "<b>牛百叶</b>" in rows[1], "what a person typed is text"
    assert ("北京时间 (UTC+8)" if locale == "zh-CN" else "Beijing time (UTC+8)") in await page.locator(".clock").inner_text()
    assert ("缺检疫证明" if locale == "zh-CN" else "no certificate") in await page.locator(".lots .lacks").inner_text()
    wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide == 0, "nothing is cut off at the side"
    href = await page.locator(".lots a").first.get_attribute("href")
    answer = await page.request.get(f"http://127.0.0.1:{gateway.page}{href}")
    assert await answer.body() == PICTURE
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert not wrong
    await page.context.close()
