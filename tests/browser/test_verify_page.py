"""verify.html as a person opens it, from file:// in a real Chromium: both languages, a phone, the three outcomes, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.evidence.javascript_answers import LACKING, PAGE
from tests.servers.chromium import PHONE
from tests.vectors import packs, packs_spoilt

pytestmark = pytest.mark.asyncio(loop_scope="module")


@asynccontextmanager
async def opened(browser: Browser, locale: str = "zh-CN", **options: Any) -> AsyncIterator[Page]:
    """The page without what old browsers lack; at the end: no error, and no request but for itself."""
    context = await browser.new_context(locale=locale, **options)
    page = await context.new_page()
    await page.add_init_script(LACKING)
    wrong: list[str] = []
    page.on("console", lambda said: wrong.append(said.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda asked: None if asked.url == PAGE.as_uri() else wrong.append(f"asked {asked.url}"))
    await page.goto(PAGE.as_uri())
    yield page
    assert wrong == []


async def verdict(page: Page, file: Path, gateway: str = "", witness: str = "", against: str = "") -> str:
    """What the page says of a pack."""
    await page.set_input_files("#pack", file)
    for box, text in (("#gateway", gateway), ("#witness", witness), ("#against", against)):
        await page.fill(box, text)
    await page.click("#verify")
    shown = page.locator(".verdict")
    await expect(shown).to_be_visible(timeout=20_000)
    return await shown.inner_text()


def written(folder: Path, seed: int, spoil: Callable[..., Any] | None = None) -> tuple[Path, packs.Site, Any]:
    rng = Random(seed)
    site = packs.site(rng)
    data, _, want = spoil(rng, site) if spoil else (None, {}, None)
    file = folder / f"pack-{seed}.zip"
    file.write_bytes(data or packs.zipped(site.members()))
    return file, site, want


async def test_a_whole_pack_is_verified_in_both_languages(browser: Browser, tmp_path: Path) -> None:
    file, site, _ = written(tmp_path, 1)
    last = site.epochs[-1]
    async with opened(browser) as page:
        said = await verdict(page, file, site.gateway.vkey, site.witness.vkey)
        assert "已核验" in said
        assert f"完整至第 {len(last.entries) - 1} 条" in said
        assert "见证于" in said
        await expect(page.locator("#result")).to_contain_text("这不能证明")
        await page.click("#lang")
        await expect(page.locator(".verdict")).to_contain_text(f"Complete through entry {len(last.entries) - 1}")
        await expect(page.locator("html")).to_have_attribute("lang", "en")


async def test_an_altered_entry_is_named_and_can_be_read(browser: Browser, tmp_path: Path) -> None:
    file, site, want = written(tmp_path, 2, packs_spoilt.altered_under_the_old_root)
    async with opened(browser, "en-US") as page:
        said = await verdict(page, file, site.gateway.vkey, site.witness.vkey)
        first, last = want[2][1:]
        assert f"Broken at entry {first}" in said
        assert f"Entries {first} to {last}" in said
        await page.click("#reader button")
        await expect(page.locator("#reader tr").nth(1)).to_contain_text(str(first))


async def test_without_keys_it_cannot_be_decided_and_a_wrong_key_is_told_at_once(browser: Browser, tmp_path: Path) -> None:
    file, site, _ = written(tmp_path, 3)
    async with opened(browser, "en-US") as page:
        said = await verdict(page, file)
        assert "Cannot decide" in said
        assert "Unknown key" in said
        assert site.gateway.name in said
        await page.fill("#gateway", site.gateway.vkey[:-2])
        await expect(page.locator("#gateway-said")).to_contain_text("neither a key")
        await expect(page.locator("#verify")).to_be_disabled()
        await page.fill("#gateway", site.gateway.fingerprint.upper())
        await expect(page.locator("#verify")).to_be_enabled()


async def test_a_cut_back_pack_is_found_with_the_hubs_newest_checkpoint(browser: Browser, tmp_path: Path) -> None:
    rng = Random(8)
    site = packs.site(rng)
    data, more, want = packs_spoilt.cut_back_to_an_older_checkpoint(rng, site)
    assert want[1] == "against-newer"
    file = tmp_path / "cut.zip"
    file.write_bytes(data or b"")
    async with opened(browser, "en-US") as page:
        assert "Verified" in await verdict(page, file, site.gateway.vkey, site.witness.vkey)
        said = await verdict(page, file, site.gateway.vkey, site.witness.vkey, more["against"].decode())
        assert "it may have been cut back" in said


async def test_entries_beyond_the_last_witnessed_one_are_said_to_be_nobodys_word(browser: Browser, tmp_path: Path) -> None:
    site = packs.site(Random(1))
    last = site.epochs[-1]
    last.heads.pop()
    size = last.heads[-1]
    site.claim = None
    file = tmp_path / "pack.zip"
    file.write_bytes(packs.zipped(site.members()))
    async with opened(browser, "en-US") as page:
        said = await verdict(page, file, site.gateway.vkey, site.witness.vkey)
        assert f"Complete through entry {size - 1}" in said
        await expect(page.locator(".checks")).to_contain_text(f"{len(last.entries) - size} entries from {size} on")
        await page.fill("#reader input", str(size - 1))
        await page.click("#reader button")
        rows = page.locator("#reader tr")
        await expect(rows.nth(2)).to_contain_text("not vouched for")
        assert "not vouched for" not in await rows.nth(1).inner_text()


async def test_what_a_pack_says_is_text_and_no_markup(browser: Browser, tmp_path: Path) -> None:
    """A site's name that is markup, and a damaged member under the entries that are asked for."""
    site = packs.site(Random(4))
    members = site.members()
    members["manifest.json"] = members["manifest.json"].replace(b'"store"', b'"<img src=x onerror=alert(1)>"')
    file = tmp_path / "pack.zip"
    file.write_bytes(packs.zipped(members))
    async with opened(browser, "en-US") as page:
        assert "Verified" in await verdict(page, file, site.gateway.vkey, site.witness.vkey)
        assert await page.locator("#result img").count() == 0
        await expect(page.locator(".checks")).to_contain_text("<img src=x")


async def test_of_what_nobody_could_read_nothing_is_said(browser: Browser, tmp_path: Path) -> None:
    site = packs.site(Random(6))
    members = site.members()
    for name in [name for name in members if name.startswith("segments/")]:
        members[name] = b"no gzip at all"
    file = tmp_path / "pack.zip"
    file.write_bytes(packs.zipped(members))
    async with opened(browser, "en-US") as page:
        assert "Broken at entry" in await verdict(page, file, site.gateway.vkey, site.witness.vkey)
        await expect(page.locator(".checks")).to_contain_text("0 entries were read")
        for said in ("trusted at every entry", "none recorded"):
            await expect(page.locator(".checks")).not_to_contain_text(said)


async def test_it_fits_a_phone_and_drops_are_taken(browser: Browser, tmp_path: Path) -> None:
    file, site, _ = written(tmp_path, 5)
    async with opened(browser, viewport=PHONE) as page:
        await page.fill("#gateway", site.gateway.vkey)
        await page.fill("#witness", site.witness.vkey)
        transfer = await page.evaluate_handle(
            "bytes => { const t = new DataTransfer(); t.items.add(new File([new Uint8Array(bytes)], 'p.zip')); return t; }", list(file.read_bytes())
        )
        await page.dispatch_event("#drop", "drop", {"dataTransfer": transfer})
        await page.click("#verify")
        await expect(page.locator(".verdict")).to_contain_text("已核验")
        await page.click("#reader button")
        await expect(page.locator("#reader tr").nth(2)).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
