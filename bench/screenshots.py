"""The README's pictures, taken from the whole product running: `python -m bench.screenshots [--to docs/images]`.

Starts the product with its demo, signs in as somebody new in a real browser, uploads, arranges, starts, and takes
each picture of what is really there. Needs Chromium and nginx-rtmp.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page, expect

from agent.playout.tests.servers import NginxRtmp, http_server
from lab.browser import chromium
from lab.ports import free_port
from lab.product import ROOT, Plan, Product, ffmpeg

WIDE: Final = {"width": 1280, "height": 860}
TALL: Final = {"width": 1280, "height": 1080}
PHONE: Final = {"width": 390, "height": 844}
CLIPS: Final[dict[str, tuple[int, int, str]]] = {
    "Morning over the harbour": (19, 3, "c0=0x0b3c5d:c1=0xf4a259:c2=0xf9dcc4:c3=0x328cc1"),
    "Night train, part one": (27, 7, "c0=0x10142b:c1=0x3a2e6b:c2=0xc84b7a:c3=0x1b1f3b"),
    "Rain on the green house": (23, 11, "c0=0x0f3d2e:c1=0x3a7d44:c2=0xb7d3a8:c3=0x1c5d4a"),
    "Market square at noon": (21, 19, "c0=0x7a2e1d:c1=0xe07a3f:c2=0xf2cc8f:c3=0xa63d40"),
}
"""Title, seconds, seed, palette."""
BIG: Final = "Lighthouse, the long cut"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "images")
    to = parser.parse_args().to
    to.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=60_000)
    with tempfile.TemporaryDirectory(prefix="ezshots-") as folder:
        clips = [make_clip(Path(folder), title, *look) for title, look in CLIPS.items()]
        big = make_clip(Path(folder), BIG, 30, 23, "c0=0x1d3557:c1=0x457b9d:c2=0xa8dadc:c3=0xf1faee", kbps=12000)
        home = Path(folder) / "var"
        ports = {name: free_port() for name in ("web_port", "rtmp_port", "platform_port")}
        plan = Plan(home=home, start_demo=False, agents=2, **ports)
        with Product(plan) as product, chromium() as browser:
            take_all(product, browser, clips, big, to)


def make_clip(folder: Path, title: str, seconds: int, seed: int, palette: str, kbps: int = 900) -> Path:
    """Slow colour gradients with a quiet tone, 854x480 and 30 pictures a second, key frames 2 s apart."""
    path = folder / f"{title}.mp4"
    picture = f"gradients=size=854x480:rate=30:nb_colors=4:seed={seed}:speed=0.008:{palette}"
    rate = ["-b:v", f"{kbps}k", "-minrate", f"{kbps}k", "-maxrate", f"{kbps}k", "-bufsize", f"{kbps}k"]
    video = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "60", "-pix_fmt", "yuv420p", *rate]
    padded = ["-x264-params", "nal-hrd=cbr"]
    inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", f"sine=frequency={200 + 20 * seed}"]
    quiet = ["-af", "volume=0.05", "-c:a", "aac", "-b:a", "128k"]
    command = [ffmpeg(), "-v", "error", "-y", *inputs, "-t", str(seconds), *video, *padded, *quiet, str(path)]
    subprocess.run(command, check=True)
    return path


def take_all(product: Product, browser: Browser, clips: list[Path], big: Path, to: Path) -> None:
    context = browser.new_context(base_url=product.url, viewport=WIDE, color_scheme="light", locale="en-GB")
    context.set_default_timeout(30_000)
    page = context.new_page()
    register(page)
    upload(page, clips, big, to)
    stream(product, page, to)
    phone: dict[str, Any] = {"viewport": PHONE, "color_scheme": "dark", "device_scale_factor": 1.5}
    with browser.new_context(base_url=product.url, storage_state=context.storage_state(), **phone) as small:
        dark = small.new_page()
        dark.goto(page.url)
        expect(dark.locator("img.live-picture")).to_be_visible()
        take(dark, to / "stream-dark-phone.png")
    console(product, browser, to)
    trouble(page, to)
    page.locator("#stream-verb").click()
    expect(page.locator("[data-headline]")).to_have_text("Off air")


def trouble(page: Page, to: Path) -> None:
    """Two more destinations while on air: one that is down, one that refuses the key. The first two notice nothing."""
    url = page.url
    with http_server(403) as keeper, NginxRtmp(application=f"on_publish http://127.0.0.1:{keeper}/;") as guarded:
        page.goto(f"{url.rstrip('/')}/edit")
        add_destination(page, "Harbour on a server that is down", f"rtmp://127.0.0.1:{free_port()}/live")
        add_destination(page, "Harbour with an old key", guarded.url)
        page.get_by_role("button", name="Save").click()
        page.wait_for_url(url)
        expect(page.locator("#stream-destinations .status-live")).to_have_count(2)
        expect(page.locator("#stream-destinations .status-danger")).to_have_count(1)
        expect(page.locator("#stream-destinations .status-warning")).to_have_count(1)
        page.set_viewport_size(TALL)
        take(page, to / "stream-trouble.png")
        page.set_viewport_size(WIDE)


def console(product: Product, browser: Browser, to: Path) -> None:
    """What operators see of it, once there are minutes to draw."""
    who = next(each for each in product.facts["people"] if each["role"] == "Operator")
    with browser.new_context(base_url=product.url, viewport=TALL, color_scheme="light", locale="en-GB") as context:
        page = context.new_page()
        page.goto("/account/login/?next=/admin/fleet/")
        page.get_by_label("E-mail").fill(who["email"])
        page.get_by_label("Password", exact=True).fill(who["password"])
        page.get_by_role("button", name="Sign in").click()
        expect(page.locator(".spark polyline")).to_have_count(2, timeout=200_000)
        take(page, to / "fleet.png")
        page.goto("/admin/")
        take(page, to / "dashboard.png")
        page.get_by_role("link", name="local-1").first.click()
        page.locator("details.ask summary", has_text="Processes").click()
        expect(page.locator("details.ask table")).to_be_visible()
        expect(page.locator("[data-plot] canvas")).to_have_count(3)
        take(page, to / "vps.png")


def register(page: Page) -> None:
    page.goto("/account/signup/")
    page.fill("#id_name", "Ada Larsen")
    page.fill("#id_email", "ada@harbour.example")
    page.fill("#id_password1", "correct horse battery")
    page.fill("#id_password2", "correct horse battery")
    page.get_by_role("button", name="Create account").click()
    page.wait_for_url("**/streams/")


def upload(page: Page, clips: list[Path], big: Path, to: Path) -> None:
    """All at once over a line of 3 MiB/s; the picture is taken when the first ones are ready and the big one is not."""
    page.goto("/library/")
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 3 * 1024**2}
    line.send("Network.emulateNetworkConditions", limits)
    page.set_input_files("input[type=file]", [big, *clips])
    expect(page.locator(".file-row .status-live, .file-row .status-done")).to_have_count(3)
    page.set_viewport_size(TALL)
    take(page, to / "library.png")
    page.set_viewport_size(WIDE)
    line.send("Network.emulateNetworkConditions", limits | {"uploadThroughput": -1})
    expect(page.locator(".file-row .thumb img")).to_have_count(len(clips) + 1)


def fill_in(page: Page, urls: Iterable[str]) -> None:
    """A new stream of all clips, with two destinations."""
    page.goto("/streams/new")
    page.fill("#id_title", "Harbour channel")
    page.fill("#id_description", "Slow pictures, day and night")
    for title in CLIPS:
        page.locator("[data-file]", has_text=title).locator("[data-add]").click()
    for name, url in zip(("Harbour on Tube", "Harbour on Switch"), urls, strict=True):
        add_destination(page, name, url)


def stream(product: Product, page: Page, to: Path) -> None:
    fill_in(page, product.ingest.values())
    page.evaluate("scrollTo(0, 0); document.activeElement.blur(); document.querySelector('.notes').hidden = true")
    take(page, to / "new-stream.png")
    page.locator("#id_keep_files_after_stop").check()
    page.get_by_role("button", name="Save and start").click()
    expect(page.locator("#stream-destinations .status-live")).to_have_count(2)
    expect(page.locator("img.live-picture")).to_be_visible()
    expect(page.locator("#stream-now [data-tick]")).to_contain_text("0:1")
    take(page, to / "stream.png")


def add_destination(page: Page, name: str, url: str) -> None:
    form = page.locator("[data-destination-form]")
    if not form.is_visible():
        page.locator("details.new-destination > summary").click()
    form.locator("select").select_option("custom")
    form.locator("[name$=name]").fill(name)
    form.locator("[name$=url]").fill(url)
    form.locator("[name$=key]").fill(f"harbour-{len(name)}")
    page.get_by_role("button", name="Add this destination").click()
    expect(page.locator(".destination-choice", has_text=name)).to_be_visible()


def take(page: Page, path: Path) -> None:
    """What the window shows, with no pointer over it."""
    page.mouse.move(0, 0)
    page.screenshot(path=path, animations="disabled")
    print(f"{path.name}: {path.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    main()
