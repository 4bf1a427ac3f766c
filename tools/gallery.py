"""The gallery of the examples, docs/gallery.md: pictures as Chromium draws them (`make docs-images`)."""

from __future__ import annotations

import sys
from pathlib import Path

from devfleet.replica import Replica
from gallery_text import EXAMPLES, ROOT, SHOWN
from harness.browser import Tab, chromium, tab

IMAGES = ROOT / "docs" / "images" / "gallery"

# So that there is something to see: models that are clicked before, and points that are tapped.
CLICKED = {
    "computation": ("begin",),
    "counter": ("count",) * 3,
    "explorer.py": ("add_plot", "add_plot"),
    "text_button.py": ("button",) * 7,
    "unlocked.py": ("compute",),
}
TAPPED = {"board.py": ((120, 120), (260, 300), (400, 180)), "custom_model.py": ((30, 20), (30, 20))}


async def _use(page: Tab, name: str) -> None:
    for model in CLICKED.get(name, ()):
        await page.click(model)
    for x, y in TAPPED.get(name, ()):
        await page.raw.mouse.click(x, y)
    if name == "chat":
        await page.type("text", "Hello from replica to replica")
    await page.raw.wait_for_timeout(2000)  # streams and animations begin


async def shoot() -> None:
    IMAGES.mkdir(parents=True, exist_ok=True)
    with Replica([EXAMPLES / name for name in SHOWN]) as server:
        async with chromium() as browser:
            for name in SHOWN:
                async with tab(browser) as page:
                    await page.raw.set_viewport_size({"width": 900, "height": 560})
                    await page.open(server.app_url(Path(name).stem))
                    await _use(page, name)
                    await page.raw.screenshot(path=IMAGES / f"{Path(name).stem}.png")
                sys.stdout.write(f"wrote docs/images/gallery/{Path(name).stem}.png\n")
                sys.stdout.flush()
