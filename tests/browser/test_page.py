"""The gateway's page in a real Chromium: both languages, a phone, ticking ages, a lost stream, nothing from elsewhere."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.cli.site import FROZEN, THAWED, Gateway, Plant
from tests.page import site
from tests.servers.process import free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


@pytest.fixture
def plant() -> Iterator[Plant]:
    with Plant() as running:
        yield running


@pytest.fixture
def gateway(tmp_path: Path, plant: Plant) -> Iterator[Gateway]:
    with site.gateway(tmp_path, plant.port, free_port()) as running:
        running.wait(lambda: counts(running).get("normal") == 4, "all that lives has been read")
        yield running


def counts(gateway: Gateway) -> dict[str, int]:
    found: dict[str, int] = gateway.status().get("points", {})
    return found


@asynccontextmanager
async def opened(
    browser: Browser, gateway: Gateway, locale: str = "zh-CN", *, errors_expected: bool = False, **options: Any
) -> AsyncIterator[Page]:
    """The page; at the end: no error, no violated policy, no request to anybody else."""
    context = await browser.new_context(locale=locale, **({"viewport": DESKTOP} | options))
    page = await context.new_page()
    wrong: list[str] = []
    home = f"http://127.0.0.1:{gateway.page}/"
    page.on("console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith(home) else wrong.append(f"asked {asked.url}"))
    await page.goto(home)
    try:
        yield page
        assert errors_expected or not wrong, wrong
    finally:
        await context.close()


async def texts(page: Page, selector: str) -> list[str]:
    return [text.strip() for text in await page.locator(selector).all_text_contents()]


@pytest.mark.parametrize(
    ("locale", "lang", "words"),
    [
        ("zh-CN", "zh-CN", ["示例站", "无数据", "正常", "未核实", "设备", "连不上，数据留存", "北京时间 (UTC+8)"]),
        (
            "en-GB",
            "en",
            ["Sample", "No data", "Normal", "unverified", "device", "out of reach, data kept", "Beijing time (UTC+8)"],
        ),
    ],
)
async def test_the_readers_language(
    browser: Browser, gateway: Gateway, locale: str, lang: str, words: list[str]
) -> None:
    async with opened(browser, gateway, locale) as page:
        assert await page.locator("html").get_attribute("lang") == lang
        await page.wait_for_function("document.querySelector('#newest').textContent !== ''")
        body = await page.locator("body").inner_text()
        for word in words:
            assert word in body, word
        assert "{" not in body, "a place was not filled"
        await page.locator(".lang").click()
        other = "en" if lang == "zh-CN" else "zh-CN"
        await expect(page.locator("html")).to_have_attribute("lang", other)
        await page.goto(f"http://127.0.0.1:{gateway.page}/")
        await expect(page.locator("html")).to_have_attribute("lang", other)


async def test_a_page_reads_alike_with_and_without_scripts(browser: Browser, gateway: Gateway) -> None:
    async with opened(browser, gateway, java_script_enabled=False) as page:
        await expect(page.locator("#p-cold2-air .number")).to_have_text("−19.0")
        await expect(page.locator("#p-lost-air .badge")).to_have_text("无数据")
        assert re.fullmatch(r"\d\d:\d\d:\d\d", await page.locator("#clock").text_content() or "")
        assert await page.locator("noscript .banner").count() == 1
        async with asyncio.timeout(30):  # its unit is soon asked less often, and the row says so from then on
            while "放慢重试" not in (plain := await page.locator("#p-lost-air").inner_text()):
                await page.wait_for_timeout(500)
                await page.reload()
    async with opened(browser, gateway) as page:
        await page.wait_for_timeout(1500)  # the stream has replaced the server's first rows
        for _ in range(60):  # a question that is due changes the row for a moment
            same = await page.locator("#p-lost-air").inner_text()
            if re.sub(r"\d+", "N", same) == re.sub(r"\d+", "N", plain):
                break
            await page.wait_for_timeout(500)
        assert re.sub(r"\d+", "N", same) == re.sub(r"\d+", "N", plain)


async def test_what_is_abnormal_stands_first_and_moves_there_by_itself(
    browser: Browser, gateway: Gateway, plant: Plant
) -> None:
    async with opened(browser, gateway) as page:
        normal = page.locator("#normal #p-cold1-air")
        await expect(normal).to_have_count(1)
        assert await page.locator("#calm-rows").get_attribute("open") is None, (
            "normal points are folded while others are not"
        )
        plant.set(1, THAWED)
        row = page.locator("#abnormal #p-cold1-air")
        await expect(row).to_have_class(re.compile("beyond"), timeout=6000)
        assert "超限" in await row.inner_text(), "out of its limit is never plainly normal"
        await expect(row).to_have_class(re.compile("violation"), timeout=10_000)
        assert await page.locator("#abnormal tr").first.get_attribute("id") == "p-cold1-air"
        await expect(row.locator(".number")).to_have_text("−5.0")
        assert (await page.title()).startswith("■1 ")
        await expect(page.locator("#speak")).to_have_text(re.compile("新违规：冷库1 空气"))
        await expect(page.locator("#violations")).to_be_visible()
        await expect(page.locator("#open li.violation .line").first).to_contain_text("冻库温度过高")
        marker = await row.locator(".marker").get_attribute("transform")
        assert marker == "translate(100 0)", "beyond the scale it stays at the end"
        plant.set(1, FROZEN)
        await expect(normal).to_have_count(1, timeout=8000)
        await expect(page.locator("#open")).to_contain_text("已恢复")
        await expect(page.locator("#calm-count")).to_have_text("4")


async def test_ages_tick_by_the_gateways_clock_whatever_the_browsers_says(browser: Browser, gateway: Gateway) -> None:
    async with opened(browser, gateway, "en-GB") as page:
        await page.clock.install(time=1_000_000_000)  # this browser lives in 2001
        await page.goto(page.url)
        await page.clock.resume()
        clock = page.locator("#clock")
        first = await clock.text_content()
        await expect(clock).not_to_have_text(first or "", timeout=4000)
        age = await page.locator("#p-cold2-air .age").text_content()
        assert re.match(r"just now|\d s ago", (age or "").strip()), age


async def test_a_lost_stream_makes_every_value_old_and_says_since_when(browser: Browser, gateway: Gateway) -> None:
    async with opened(browser, gateway, errors_expected=True) as page:
        row = page.locator("#normal #p-cold2-air")
        await page.locator("#calm-rows summary").click()
        await expect(row.locator(".number")).to_have_text("−19.0")
        assert await shown_before(page, "#p-cold2-air .figure") == "none"
        gateway.signal(signal.SIGSTOP)
        try:
            banner = page.locator("#banner")
            await expect(banner).to_be_visible(timeout=15_000)
            assert re.search(r"连接中断.*\d\d:\d\d:\d\d.*不是当前值", await banner.text_content() or "")
            assert await shown_before(page, "#p-cold2-air .figure") == '"("', "in brackets"
            for each in await page.locator(".live tr:has(.figure) .figure").all():
                assert await each.evaluate("it => getComputedStyle(it, '::before').content") == '"("'
        finally:
            gateway.signal(signal.SIGCONT)
        await expect(banner).to_be_hidden(timeout=20_000)
        await expect(row).not_to_have_class(re.compile("old"), timeout=8000)  # once a fresh reading has come
        assert await shown_before(page, "#p-cold2-air .figure") == "none"
        await expect(row.locator(".number")).to_have_text("−19.0")


async def shown_before(page: Page, selector: str) -> str:
    content: str = await page.locator(selector).evaluate("it => getComputedStyle(it, '::before').content")
    return content


async def test_a_restarted_gateway_is_shown_again(browser: Browser, gateway: Gateway, plant: Plant) -> None:
    async with opened(browser, gateway, errors_expected=True) as page:
        await expect(page.locator("#p-cold2-air .number")).to_have_text("−19.0")
        gateway.stop()
        plant.set(2, -200)
        await expect(page.locator("#banner")).to_be_visible(timeout=15_000)
        gateway.start()
        await expect(page.locator("#banner")).to_be_hidden(timeout=20_000)
        await expect(page.locator("#p-cold2-air .number")).to_have_text("−20.0", timeout=8000)


async def test_without_a_stream_the_page_polls(browser: Browser, gateway: Gateway) -> None:
    async with opened(browser, gateway, errors_expected=True) as page:
        await page.route("**/events", lambda route: route.abort())
        await page.goto(page.url)
        await expect(page.locator("#banner")).to_contain_text("每 15 秒刷新", timeout=15_000)
        assert await page.locator("body.lost").count() == 0
        await expect(page.locator("#p-cold2-air .number")).to_have_text("−19.0")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_phone(browser: Browser, gateway: Gateway, scheme: Any) -> None:
    async with opened(browser, gateway, viewport=PHONE, color_scheme=scheme, has_touch=True) as page:
        await page.wait_for_timeout(700)
        await page.locator("#calm-rows summary").click()
        assert await page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], (
            "one column, nothing beside"
        )
        for target in await page.locator("a:visible, summary:visible").all():
            box = await target.bounding_box()
            assert box is not None
            assert box["height"] >= 44, await target.text_content()
        boxes = [await page.locator(f"#p-lost-air .{cell}").bounding_box() for cell in ("name", "since")]
        assert None not in boxes


async def test_colours_have_contrast_and_are_never_alone(browser: Browser, gateway: Gateway, plant: Plant) -> None:
    plant.set(1, THAWED)
    gateway.wait(lambda: counts(gateway).get("violation") == 1, "a violation")
    for scheme in ("light", "dark"):
        async with opened(browser, gateway, color_scheme=scheme) as page:
            for state, shape in (("violation", "■ 1"), ("no-data", "?")):
                badge = page.locator(f"tr.{state} .badge").first
                assert await badge.evaluate("it => getComputedStyle(it, '::before').content") == f'"{shape}"'
                assert (await badge.text_content() or "").strip(), "and a word"
            assert await page.locator("tr.violation .badge").first.evaluate(_CONTRAST) >= 4.5
            assert await page.locator(".dim").first.evaluate(_CONTRAST) >= 4.5
            assert await page.locator("tr.no-data .number, tr.no-data .none-known").first.evaluate(_CONTRAST) >= 4.5


_CONTRAST = """element => {
  const parts = text => (text.match(/[\\d.]+/g) || []).map(Number);
  const ground = it => { for (; it; it = it.parentElement) { const c = parts(getComputedStyle(it).backgroundColor);
    if (c.length === 3 || c[3] > 0.99) return c; } return [255, 255, 255]; };
  const light = c => { const [r, g, b] = c.slice(0, 3).map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const one = light(parts(getComputedStyle(element).color)), other = light(ground(element));
  return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
}"""


async def test_it_keeps_still_for_those_who_want_it(browser: Browser, gateway: Gateway, plant: Plant) -> None:
    plant.set(1, THAWED)
    gateway.wait(lambda: counts(gateway).get("violation") == 1, "a violation")
    # a row that is drawn anew at this very moment has no style yet
    shown = "name => getComputedStyle(document.querySelector('tr.violation .badge'), '::before').animationName === name"
    for wish, name in (("reduce", "none"), ("no-preference", "breathe")):
        async with opened(browser, gateway, reduced_motion=wish) as page:
            await page.locator("tr.violation .badge").wait_for()
            await page.wait_for_function(shown, arg=name, timeout=10_000)
