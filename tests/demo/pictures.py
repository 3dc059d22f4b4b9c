"""Takes the documentation's pictures: the demonstration runs, Chromium looks at the gateway's page and the hub's; `make pictures`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from playwright.async_api import Browser, Page, ViewportSize

from edge_gateway.demo.follow import Follower, Teller
from edge_gateway.demo.site import Site, SiteOptions
from tests.servers.chromium import DESKTOP, PHONE, chromium

IMAGES = Path(__file__).resolve().parents[2] / "docs" / "images"
#: The story's second: one violation, one that has recovered, one notice, and the hub has caught up.
MOMENT_S = 1365
#: Real seconds until the stream has brought the newest values.
_STREAM_S = 1.0
SPEED = 20.0  # slow enough that opening all pages takes less than two of the site's minutes
#: file name -> (which page, language, window)
PICTURES: dict[str, tuple[str, str, ViewportSize]] = {
    "gateway-zh": ("gateway", "zh", DESKTOP),
    "gateway-en": ("gateway", "en", DESKTOP),
    "gateway-phone": ("gateway", "zh", PHONE),
    "hub-zh": ("hub", "zh", DESKTOP),
    "hub-en": ("hub", "en", DESKTOP),
    "hub-phone": ("hub", "zh", PHONE),
}


async def take(into: Path, moment_s: float) -> None:
    """Run the demonstration up to the moment and take all pictures."""
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pictures-") as folder:
        options = SiteOptions(folder=Path(folder), sockets=Path(folder), speed=SPEED, seed=1)
        async with chromium() as browser, Site(options) as site:
            await site.start()
            follower = Follower(site, Teller("en"))
            await follower.first_reading()
            await follower.listened(10.0)
            await site.begin()
            following = asyncio.create_task(follower.run(), name="follow")
            await asyncio.wait({following}, timeout=moment_s / SPEED)
            if following.done():
                following.result()
            await site.hold()  # the site stands still, so that all pictures show one moment
            urls = {"gateway": site.page_url, "hub": site.hub_url}
            pages = {
                name: await _open(browser, f"{urls[page]}/?lang={language}", window)
                for name, (page, language, window) in PICTURES.items()
            }
            await asyncio.sleep(_STREAM_S)
            for name, page in pages.items():
                await page.screenshot(path=into / f"{name}.png")
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def _open(browser: Browser, url: str, window: ViewportSize) -> Page:
    context = await browser.new_context(viewport=window, device_scale_factor=1, reduced_motion="reduce")
    page = await context.new_page()
    answer = await page.goto(url)
    if answer is None or not answer.ok:
        raise SystemExit(f"{url}: {answer.status if answer else 'no answer'}")
    return page


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=IMAGES)
    parser.add_argument("--moment-s", type=float, default=MOMENT_S, help="the story's second")
    options = parser.parse_args()
    asyncio.run(take(options.into, options.moment_s))
    return 0


if __name__ == "__main__":
    sys.exit(main())
