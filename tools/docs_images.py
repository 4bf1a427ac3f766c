"""The pictures of the admin page and of `svc status --watch`, of a fleet that really runs, and of examples.

`make docs-images` runs this. Visitors come and go on loopback while Chromium looks; what a terminal
shows is drawn by Chromium, too.
"""

from __future__ import annotations

import asyncio
import html
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import gallery
from devfleet.fleet import Fleet
from harness.browser import Tab, chromium, tab
from harness.client import Client

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
APPS = [ROOT / "examples" / name for name in ("sliders.py", "weather", "explorer.py")]
USERS = ("ada", "grace", "edsger", "barbara", "donald", "alan", "radia", "leslie", "tony", "margaret")

AUTH = """
login_url = "/login"

def get_user(handler):
    return handler.get_cookie("who")
"""

LOOK_SECONDS = 45
"""How long the page is watched before it is shot, so that its charts have something to show."""

COMMAND = "svc status --watch --sessions"

TERMINAL = """<!doctype html><body style="margin:0;display:inline-block;background:#0f172a">
<pre style="color:#e2e8f0;font:14px/1.45 'DejaVu Sans Mono',monospace;padding:16px 22px">{text}</pre>"""


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        auth = Path(folder, "auth.py")
        auth.write_text(AUTH)
        args = ["--auth-module", str(auth), "--admin", "--admin-user", "ada"]
        with Fleet(APPS, n=3, args=args) as fleet:
            asyncio.run(_shoot(fleet))
    asyncio.run(gallery.shoot())
    return 0


async def _shoot(fleet: Fleet) -> None:
    async with chromium() as browser, tab(browser) as page, AsyncExitStack() as visitors:
        await page.raw.set_viewport_size({"width": 1360, "height": 900})
        await page.raw.context.add_cookies([{"name": "who", "value": "ada", "url": fleet.url}])
        await page.open(f"{fleet.url}/admin")
        await _come(fleet, visitors)
        await _ask_to_end(page)
        await page.raw.screenshot(path=IMAGES / "admin.png", full_page=True)
        _say("admin.png")
        await page.raw.set_content(TERMINAL.format(text=html.escape(_watched(fleet))))
        await page.raw.locator("body").screenshot(path=IMAGES / "status.png")
        _say("status.png")


async def _come(fleet: Fleet, visitors: AsyncExitStack) -> None:
    """Visitors come one after the other and move their sliders, until it was watched for long enough."""
    end = time.monotonic() + LOOK_SECONDS
    pause = LOOK_SECONDS / (3 * len(USERS))
    for at in range(3 * len(USERS)):
        url, user = fleet.app_url(APPS[at % 7 % 3]), USERS[at * 7 % len(USERS)]
        client = await Client.open(url, cookies={"who": user})
        if at % 4:
            await visitors.enter_async_context(client)
        else:
            await client.close()
        await asyncio.sleep(pause)
    await asyncio.sleep(max(0.0, end - time.monotonic()))


async def _ask_to_end(page: Tab) -> None:
    await page.evaluate("(model('sessions').source.selected.indices = [3])")
    await page.until("model('sessions').source.selected.indices.length === 1")
    await page.click("end")
    await page.until("model('end yes').visible")


def _watched(fleet: Fleet) -> str:
    """The prompt, and what the command shows on a terminal after its second look."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "SVC_REDIS_URL": fleet.redis.url, "COLUMNS": "140"}
    command = [fleet.replicas[0].command[0], *COMMAND.split()[1:]]
    with subprocess.Popen(command, stdout=follower, stderr=follower, env=environment) as watching:
        seen = ""
        while seen.count("\x1b[2J") < 3 and select.select([leader], [], [], 30)[0]:
            seen += os.read(leader, 1 << 16).decode()
        watching.terminate()
    os.close(follower)
    os.close(leader)
    screen = re.split(r"\x1b\[H\x1b\[2J", seen)[2]
    lines = screen.replace("\r", "").rstrip().splitlines()
    shown = [*lines[:16], "...", *lines[-1:]] if len(lines) > 18 else lines
    return "\n".join([f"$ {COMMAND}", *shown])


def _say(name: str) -> None:
    sys.stdout.write(f"wrote docs/images/{name}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
