"""The whole job in a real browser, against the whole product: register, upload, arrange, start, on air, stop.

Two applications of a real nginx-rtmp record what they get; the recordings say whether it was any good.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from lab import recording
from lab.platform import APPS
from lab.ports import free_port
from lab.processes import wait_until
from lab.product import Plan, Product
from tests.env import OUTSIDE

pytestmark = pytest.mark.e2e

PASSWORD = "correct horse battery"
KEY = "s3cret-stream-key"
CLIP_SECONDS = (12, 4)


@pytest.fixture(scope="module")
def product() -> Iterator[Product]:
    home = Path(tempfile.mkdtemp(prefix="eze-"))
    plan = Plan(
        home=home,
        web_port=free_port(),
        rtmp_port=free_port(len(APPS)),
        platform_port=free_port(),
        demo=False,
        record=True,
        environ=OUTSIDE,
    )
    with Product(plan) as running:
        yield running
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def context(chromium: Browser, product: Product) -> Iterator[BrowserContext]:
    context = chromium.new_context(base_url=product.url)
    context.set_default_timeout(20_000)
    yield context
    context.close()


def test_upload_arrange_start_on_air_stop(product: Product, context: BrowserContext, tmp_path: Path) -> None:
    page = context.new_page()
    complaints = _complaints_of(page)
    register(page)
    big = recording.sync_clip(tmp_path / "Morning show.mp4", CLIP_SECONDS[0], noisy=True)
    small = recording.sync_clip(tmp_path / "Jingle.mp4", CLIP_SECONDS[1])
    upload_over_a_killed_server(product, context, page, big)
    upload(page, small)
    make_stream(product, page)
    stay_on_air(page)
    stop(page)
    for app in product.ingest:
        check(recorded(product, app), seconds_on_air(product))
    nothing_remains(product)
    assert not complaints


def register(page: Page) -> None:
    page.goto("/account/signup/")
    page.fill("#id_name", "Ada Lovelace")
    page.fill("#id_email", "ada@example.com")
    page.fill("#id_password1", PASSWORD)
    page.fill("#id_password2", PASSWORD)
    page.get_by_role("button", name="Create account").click()
    page.wait_for_url("**/streams/")


def upload_over_a_killed_server(product: Product, context: BrowserContext, page: Page, clip: Path) -> None:
    """The web process dies in the middle; the upload goes on by itself when it is back."""
    assert clip.stat().st_size > 8 * 1024**2, "the clip must need more than one chunk"
    page.goto("/library/")
    slow = context.new_cdp_session(page)
    slow.send("Network.enable")
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 4 * 1024**2}
    slow.send("Network.emulateNetworkConditions", limits)
    page.set_input_files("input[type=file]", clip)
    uploads = product.plan.home / "uploads"
    wait_until(lambda: received(uploads) >= 8 * 1024**2, "the first chunk", limit_s=30)
    before = received(uploads)
    product.supervisor.kill("web")
    wait_until(product.is_up, "the web process is back", limit_s=30)
    assert received(uploads) >= before
    slow.send("Network.emulateNetworkConditions", limits | {"uploadThroughput": -1})
    wait_ready(page, clip.stem)


def received(uploads: Path) -> int:
    return max((path.stat().st_size for path in uploads.iterdir()), default=0) if uploads.exists() else 0


def upload(page: Page, clip: Path) -> None:
    page.goto("/library/")
    page.set_input_files("input[type=file]", clip)
    wait_ready(page, clip.stem)


def wait_ready(page: Page, title: str) -> None:
    row = page.locator(".list-row, tr, li").filter(has_text=title).filter(has=page.locator(".status-live"))
    expect(row.first).to_be_visible(timeout=60_000)


def make_stream(product: Product, page: Page) -> None:
    page.goto("/streams/new")
    for name, url in product.ingest.items():
        if not page.locator("#id_url").is_visible():
            page.locator(".new-destination > summary").click()
        form = page.locator("[data-destination-form]")
        form.locator("select[name$=platform]").select_option("custom")
        form.locator("[name$=name]").fill(f"My {name}")
        form.locator("[name$=url]").fill(url)
        form.locator("[name$=key]").fill(KEY)
        page.get_by_role("button", name="Add this destination").click()
        expect(page.locator(".destination-choice").filter(has_text=f"My {name}")).to_be_visible()
    page.fill("#id_title", "Round the clock")
    page.locator("[data-file]").filter(has_text="Morning show").locator("[data-add]").click()
    page.locator("[data-file]").filter(has_text="Jingle").locator("[data-add]").click()
    expect(page.locator("[data-item]")).to_have_count(2)
    page.get_by_role("button", name="Save and start").click()
    page.wait_for_url("**/streams/*/")


def stay_on_air(page: Page) -> None:
    """Watches both destinations come live, without a reload, and stays over some item boundaries."""
    expect(page.locator("#stream-destinations .status-live")).to_have_count(2, timeout=20_000)
    expect(page.locator("[data-headline]")).to_contain_text("n air")
    expect(page.locator("#stream-now")).to_contain_text("Morning show")
    expect(page.locator("#stream-now .now-title")).to_have_text("Jingle", timeout=30_000)
    expect(page.locator("img.live-picture")).to_be_visible(timeout=20_000)
    assert page.locator("img.live-picture").evaluate("image => image.naturalWidth") == 320
    for title in ("Morning show", "Jingle", "Morning show"):
        expect(page.locator("#stream-now .now-title")).to_have_text(title, timeout=30_000)
    assert KEY not in page.content()


def stop(page: Page) -> None:
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#stream-state .status-neutral")).to_be_visible(timeout=20_000)


def seconds_on_air(product: Product) -> float:
    """By the product's own account: from the first byte a destination took to the agent's STOPPED."""
    ask = "from streams.models import Run; print(Run.objects.get().duration().total_seconds())"
    return float(product.manage("shell", "--no-imports", "-c", ask))


def recorded(product: Product, app: str) -> Path:
    (path,) = (product.plan.home / "platform" / "record" / app).glob("*.flv")
    return path


def check(path: Path, seconds: float) -> None:
    facts = recording.facts(path)
    assert (facts.video_codec, facts.audio_codec) == ("h264", "aac")
    assert (facts.width, facts.height) == (320, 180)
    assert facts.steps_back == 0
    assert facts.max_video_gap_s < 0.150
    assert abs(facts.video_s - seconds) < 1.0
    assert abs(facts.video_s - facts.audio_s) < 0.150
    skews = recording.skews(path)
    assert len(skews) >= seconds - 3
    assert max(map(abs, skews)) < 0.060


def nothing_remains(product: Product) -> None:
    runs = product.plan.home / "agent1" / "runs"
    wait_until(lambda: not any(runs.iterdir()), "the agent has cleaned up", limit_s=10)


def _complaints_of(page: Page) -> list[str]:
    """What the browser's console said of our pages: a refused script, a failed request, an exception."""
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: complaints.append(message.text) if "Content Security Policy" in message.text else None,
    )
    return complaints
