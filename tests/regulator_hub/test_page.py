"""The live page in a real browser: abnormal first, ages tick, a lost stream is said, phone width, both languages."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from edge_gateway.record.note import Key
from regulator_hub.cosigner import Cosigner
from regulator_hub.gateways import Gateways
from tests.regulator_hub import record
from tests.regulator_hub.harness import EPOCH, GATEWAY, Gateway, HubProcess, gateway, registered
from tests.regulator_hub.signing import Hand

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def site(tmp_path: Path) -> AsyncIterator[tuple[HubProcess, Gateway]]:
    with HubProcess(tmp_path, patch="from edge_gateway.web import sse\nsse.BEAT_S = 1.0") as hub:
        token = registered(hub.state_dir)
        async with gateway(hub.url, token) as made:
            await made.text(record.TEXT)
            now = record.now_us()
            old = record.batch(2, -19.7, 61.0, wall_us=now - 3_600_000_000)
            await made.entries(0, [record.snapshot(0), record.config(1), old])
            yield hub, made


async def opened(browser: Browser, url: str, **settings: Any) -> Page:
    page = await browser.new_page(**settings)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda line: wrong.append(line.text) if line.type == "error" else None)
    page.wrong = wrong  # type: ignore[attr-defined]
    await page.goto(url)
    return page


async def test_the_page_lives(site: tuple[HubProcess, Gateway], browser: Browser) -> None:
    hub, made = site
    page = await opened(browser, hub.url, locale="zh-CN", viewport={"width": 1280, "height": 800})
    row = page.locator('[data-point="cold1-air"]')
    await expect(row).to_contain_text("无数据")  # an hour old at an interval of 10 s
    await expect(row.locator(".value")).to_have_text("(−19.7 °C)")
    await expect(row.locator(".age")).to_have_text("60 分钟前 · 已过时")
    await expect(row).to_contain_text("≤ −18 °C")
    await expect(row).to_contain_text("未核实")
    await expect(row.locator(".quality")).to_have_text("有效")

    await made.live({9: record.batch(9, -15.2)})
    await expect(row.locator(".value")).to_have_text("−15.2 °C")
    await expect(row).to_contain_text("尚未按序收到")
    await expect(row.locator(".badge")).to_have_class("badge normal")
    await expect(row.locator(".age")).to_have_text("2 秒前", timeout=6000)  # it ticks by itself

    await made.live({10: record.violation(10, "violated")})
    card = page.locator("#violations li")
    await expect(card).to_contain_text("违规")
    await expect(card).to_contain_text("吐鲁番示例清洗点")
    await expect(card).to_contain_text("关门")
    assert (await page.locator("#violations").bounding_box() or {})["y"] < (await row.bounding_box() or {})["y"]
    await expect(page.locator(".points tbody tr").first).to_have_attribute("data-point", "cold1-air")
    await expect(page.locator("#counts li").first).to_contain_text("1")

    await made.live({11: record.violation(11, "recovered"), 12: record.violation(12, "closed", handling="closed")})
    await expect(card).to_have_count(0)

    await page.click(".lang")
    await expect(page.locator("h1")).to_have_text("Regulator's hub · live")
    await expect(page.locator("html")).to_have_attribute("lang", "en")
    await page.goto(hub.url)  # remembered
    await expect(page.locator("h1")).to_have_text("Regulator's hub · live")
    assert page.wrong == []  # type: ignore[attr-defined]


async def test_a_lost_stream_is_said_and_made_good(site: tuple[HubProcess, Gateway], browser: Browser) -> None:
    hub, made = site
    page = await opened(browser, hub.url, locale="en-GB")
    await made.live({9: record.batch(9, -20.5)})
    row = page.locator('[data-point="cold1-air"]')
    await expect(row.locator(".value")).to_have_text("−20.5 °C")
    hub.kill()
    await expect(page.locator("#banner")).to_contain_text("Connection lost at")
    await expect(row.locator(".value")).to_have_text("(−20.5 °C)")  # no value looks current any more
    hub.start()
    await made.hello()
    await made.live({13: record.batch(13, -21.5)})
    await expect(page.locator("#banner")).to_be_hidden(timeout=15_000)
    await expect(row.locator(".value")).to_have_text("−21.5 °C")
    await expect(row.locator(".badge")).to_have_text("normal")


async def test_silence_without_an_error_is_noticed_too(site: tuple[HubProcess, Gateway], browser: Browser) -> None:
    hub, _made = site
    page = await opened(browser, hub.url, locale="en-GB")
    await asyncio.sleep(1)
    hub.pause()
    try:
        await expect(page.locator("#banner")).to_contain_text("Connection lost", timeout=15_000)
    finally:
        hub.resume()
    await expect(page.locator("#banner")).to_be_hidden(timeout=10_000)


async def test_a_phone_shows_all_without_scrolling_sideways(site: tuple[HubProcess, Gateway], browser: Browser) -> None:
    hub, made = site
    await made.live({9: record.batch(9, -15.2), 10: record.violation(10, "violated")})
    await made.entries(1, [record.config(1, "f" * 64)], EPOCH)  # a conflict: its alarm is shown
    for language in ("zh-CN", "en-GB"):
        page = await opened(browser, hub.url, locale=language, viewport={"width": 390, "height": 844})
        await expect(page.locator("#violations li")).to_have_count(1)
        await expect(page.locator("#alarms li")).to_have_count(1)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        box = await page.locator(".lang").bounding_box()
        assert box is not None
        assert box["height"] >= 44
        for cell in ("value", "limit", "age", "quality"):
            assert await page.locator(f'[data-point="cold1-air"] .{cell}').inner_text()
        await page.close()


@pytest.mark.parametrize("language", ["zh-CN", "en-GB"])
async def test_without_scripts_values_and_violations_are_there(site: tuple[HubProcess, Gateway], browser: Browser, language: str) -> None:
    hub, made = site
    zh = language == "zh-CN"
    context = await browser.new_context(java_script_enabled=False, locale=language, viewport={"width": 390, "height": 844})
    page = await context.new_page()
    await page.goto(hub.url)
    await expect(page.locator(".plain")).to_contain_text("冷库1 空气温度" if zh else "Cold store 1 air")
    await expect(page.locator(".plain")).to_contain_text("-19.7 °C")
    none = page.locator("#violations .none")
    assert [await each.is_visible() for each in await none.all()] == [False, True]
    late = {"level": "violation", "due": {"correct": record.now_us() - 1}}
    await made.entries(3, [record.violation(3, "violated", **late)])
    card = page.locator("#violations noscript li")
    async with asyncio.timeout(20):
        while not await card.count():  # entries are interpreted after they are held
            await page.reload()
    for said in ("违规", "冷库温度", "≤ -18 °C", "未恢复", "未知悉", "超期") if zh else ("Violation", "Frozen store temperature", "not recovered", "overdue"):
        await expect(card).to_contain_text(said)
    assert [await each.is_visible() for each in await none.all()] == [False], "nobody is told that all is well"
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    await context.close()


async def test_what_is_open_is_counted_also_when_it_has_recovered(site: tuple[HubProcess, Gateway], browser: Browser) -> None:
    hub, made = site
    page = await opened(browser, hub.url, locale="en-GB")
    await made.live({9: record.batch(9, -20.5), 10: record.violation(10, "violated"), 11: record.violation(11, "recovered")})
    card, counts = page.locator("#violations li"), page.locator("#counts li")
    await expect(card).to_have_class("violation new over")
    await expect(card).to_contain_text("−20.5 °C")
    await expect(card.locator("[data-observed]")).to_contain_text("ago")  # a value never stands without its age and quality
    await expect(card).to_contain_text("good")
    await expect(counts.first).to_have_text("Violation1")
    await expect(counts.last).to_have_text("normal2")
    hub.kill()
    await expect(card).to_contain_text("(−20.5 °C)")


async def test_what_goes_on_shows_a_newer_reading_that_is_worse_than_the_record_s_worst(site: tuple[HubProcess, Gateway], browser: Browser) -> None:
    hub, made = site
    page = await opened(browser, hub.url, locale="en-GB")
    card = page.locator("#violations li")
    await made.live({9: record.violation(9, "notice"), 10: record.batch(10, -16.0)})  # the step's worst is −14.9
    await expect(card).to_contain_text("worst −14.9 °C")
    await made.live({11: record.batch(11, -13.9)})
    await expect(card).to_contain_text("worst −13.9 °C")
    await made.live({12: record.violation(12, "recovered"), 13: record.batch(13, -10.0)})
    await expect(card).to_contain_text("−10.0 °C")
    await expect(card).to_contain_text("worst −14.9 °C")  # what is over is as the record says


async def test_where_there_is_nothing_the_page_says_so_and_leads_back(site: tuple[HubProcess, Gateway], browser: Browser) -> None:
    hub, _made = site
    page = await browser.new_page(locale="zh-CN")
    answer = await page.goto(f"{hub.url}/nowhere")
    assert answer is not None
    assert answer.status == 404
    await expect(page.locator("h1")).to_have_text("没有这一页")
    await page.click("main a")
    await expect(page.locator("h1")).to_have_text("监管端 · 实时")
    problem = await page.request.get(f"{hub.url}/api/v1/nowhere")
    assert (problem.status, (await problem.json())["code"]) == (404, "no-address")


async def test_a_contact_says_what_its_figure_means(tmp_path: Path, browser: Browser) -> None:
    door = {"zone": "cold1", "quantity": "contact", "unit": "", "decimals": 0, "name_zh": "库门", "name_en": "Door"}
    resolved = record.RESOLVED | {"points": {"cold1-air": door, "cold1-rh": door}, "rules": []}
    text = json.dumps(resolved, ensure_ascii=False).encode()
    with HubProcess(tmp_path) as hub:
        async with gateway(hub.url, registered(hub.state_dir)) as made:
            await made.text(text)
            await made.entries(0, [record.snapshot(0), record.config(1, hashlib.sha256(text).hexdigest()), record.batch(2, 0.0, 1.0)])
            page = await opened(browser, hub.url, locale="zh-CN")
            await expect(page.locator('[data-point="cold1-air"] .value')).to_have_text("0\N{NO-BREAK SPACE}无信号")
            await expect(page.locator('[data-point="cold1-rh"] .value')).to_have_text("1\N{NO-BREAK SPACE}有信号")


async def test_of_several_sites_what_is_normal_is_folded_and_the_keyboard_keeps_its_place(site: tuple[HubProcess, Gateway], browser: Browser) -> None:
    hub, made = site
    await made.live({9: record.batch(9, -20.5)})
    token = registered(hub.state_dir, "tlf-008")
    async with gateway(hub.url, token, "tlf-008") as other:
        await other.text(record.TEXT)
        await other.entries(0, [record.snapshot(0), record.config(1), record.batch(2, -19.0, 61.0)])
        page = await opened(browser, hub.url, locale="en-GB")
        box = page.locator('[data-gateway="tlf-008"]')
        await expect(box.locator("summary")).to_have_text("normal: 2")
        await expect(box.locator('[data-point="cold1-air"]')).to_be_hidden()
        await box.locator("summary").focus()
        await page.keyboard.press("Enter")
        await expect(box.locator('[data-point="cold1-air"]')).to_be_visible()
        await made.live({12: record.batch(12, -20.6)})
        await expect(page.locator('[data-gateway="tlf-007"] [data-point="cold1-air"] .value')).to_have_text("−20.6 °C")  # drawn anew
        assert await page.evaluate("document.activeElement.textContent") == "normal: 2"
        await expect(box.locator('[data-point="cold1-air"]')).to_be_visible()


async def test_the_page_shows_the_fingerprints_by_which_packs_are_verified(site: tuple[HubProcess, Gateway], browser: Browser) -> None:
    hub, _ = site
    registry, hand = Gateways(hub.state_dir / "gateways"), Hand()
    page = await opened(browser, hub.url, locale="en")
    keys = page.locator(".keys")
    await expect(keys).to_contain_text("No key is registered")
    registry.give_key(GATEWAY, hand.vkey, replace=False, wall_us=0)
    await page.reload()
    own = Cosigner(hub.state_dir / "witness", "regulator-hub", born=False).key
    await expect(keys).to_contain_text(f"{Key.parse(hand.vkey).fingerprint} · of the hub's key: {own.fingerprint}")


async def test_handling_deadlines_and_who_are_shown_overdue_first(site: tuple[HubProcess, Gateway], browser: Browser) -> None:
    hub, made = site
    now, hour = record.now_us(), 3_600_000_000
    common = {"level": "violation", "opened": {"epoch": EPOCH, "seq": 3}}
    late = {"returns": 2, "by": "王强", "proof": "hub", "reason": "照片不是这扇门", "referred": "ecology", "due": {"correct": now - 2 * hour}}
    await made.entries(3, [
        record.violation(3, "violated", **common), record.violation(4, "returned", handling="correcting", **common, **late),
        record.violation(5, "violated", name="tlf-007-2", **common, due={"acknowledge": now + 3 * hour, "verify": None}),
        record.entry(6, "mark", mark="M-1", step="started", type="defrost", by="李", reason="结霜", points=["cold1-air"], until_wall_us=now + hour, fired=0),
    ])  # fmt: skip
    for language, width in (("zh-CN", 1280), ("zh-CN", 390), ("en-GB", 390)):
        page = await opened(browser, hub.url, locale=language, viewport={"width": width, "height": 844})
        cards = page.locator("#violations li")
        await expect(cards).to_have_count(2)
        zh = language == "zh-CN"
        for words in ("整改超期 2 小时 0 分", "退回 2 次", "退回: 王强 (监管端指令)", "照片不是这扇门", "已移送：生态环境") if zh else (
            "correction overdue by 2 h", "returned ×2", "returned: 王强 (hub command)", "referred to ecology",
        ):  # fmt: skip
            await expect(cards.first).to_contain_text(words)
        await expect(cards.last).to_contain_text("核实期限待时钟可信后起算" if zh else "once the clock is trusted")
        await expect(cards.last.locator("[data-due]")).to_contain_text("还有 2 小时 59 分" if zh else "2 h 59 min left")
        await expect(page.locator(".gateway")).to_contain_text("标记中：除霜 cold1-air" if zh else "Marked: defrost cold1-air")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.wrong == []  # type: ignore[attr-defined]


async def test_each_gateways_packs_and_who_took_one_back(tmp_path: Path, browser: Browser) -> None:
    rule = record.RULE | {"pack": "cold-chain", "pack_version": "1.1.0", "edition": "2026-11"}
    resolved = record.RESOLVED | {"rules": [rule, rule | {"id": "second", "pack": "wastewater", "state": "shadow"}]}
    text = json.dumps(resolved, ensure_ascii=False).encode()
    sha = hashlib.sha256(text).hexdigest()
    with HubProcess(tmp_path) as hub:
        token = registered(hub.state_dir)
        async with gateway(hub.url, token) as made:
            await made.text(text)
            about = {"pack": "wastewater", "old": "enforced", "new": "shadow", "by": "王", "second": "李敏", "why": "新许可证"}
            config = record.entry(1, "config", config_seq=1, text=sha)
            await made.entries(0, [record.snapshot(0), config, record.entry(2, "event", event="pack-state-changed", **about)])
            page = await opened(browser, hub.url, locale="zh-CN")
            box = page.locator("article.gateway")
            await expect(box).to_contain_text("规则包：cold-chain 1.1.0（2026-11 版） · wastewater 1.1.0（2026-11 版）：影子，不上报")
            await expect(box).to_contain_text("规则包 wastewater：已启用 → 影子")
            await expect(box).to_contain_text("第二人 李敏：新许可证")
            assert page.wrong == []  # type: ignore[attr-defined]
            english = await opened(browser, hub.url, locale="en-GB")
            await expect(english.locator("article.gateway")).to_contain_text("wastewater 1.1.0 (edition 2026-11): shadow, reports nothing")
            answer = await (await page.request.get(f"{hub.url}/api/v1/gateways/{GATEWAY}/packs")).json()
            assert answer["packs"]["wastewater"]["state"] == "shadow"
            assert [(each["second"], each["why"]) for each in answer["changes"]] == [("李敏", "新许可证")]
