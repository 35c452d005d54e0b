"""Pictures of what operations look like, from the whole product running: schedule, incidents, jobs, usage.

`python -m bench.screenshots_operations [--to docs/images]`. The incidents are real: a player killed, a destination away
for 20 s, then the stream's server, agent and all. Only the usage report needs a past: the run's times are stretched
and set back by a week, and its bytes with them, before `manage.py reports_generate_usage` is asked. Needs Chromium and
nginx-rtmp.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page, expect

from agent.playout.tests.servers import NginxRtmp
from bench.screenshots import CLIPS, TALL, WIDE, fill_in, make_clip, register, take
from lab.browser import chromium
from lab.ports import free_port
from lab.processes import wait_until
from lab.product import ROOT, Plan, Product

LOOK: Final[dict[str, Any]] = {"color_scheme": "light", "locale": "en-GB", "timezone_id": "Europe/Berlin"}
AWAY_S: Final = 20.0
SETTLED_S: Final = 10.0
"""Between two faults, so that each is told by itself."""
DUE_NOW: Final = """
from django.utils import timezone
from ops.models import Job
Job.objects.update(next_run_at=timezone.now())
"""
NONE_LEFT: Final = "from ops.models import Job; print(Job.objects.filter(last_succeeded=None).count())"
A_WEEK_AGO: Final = """
from datetime import timedelta
from django.db.models import F
from django.utils import timezone
from accounts.models import User
from ops.usage import last_sunday
from streams.models import Run, Transition
now, hours = timezone.now(), 52
User.objects.update(date_joined=now - timedelta(days=60))
back = timedelta(days=(now.date() - last_sunday(now)).days, hours=30)
for run in Run.objects.exclude(on_air_at=None):
    longer = timedelta(hours=hours) / (run.ended_at - run.on_air_at)
    begun = run.ended_at - back - timedelta(hours=hours)
    def then(at):
        return begun + (at - run.on_air_at) * longer
    for row in run.transitions.all():
        Transition.objects.filter(pk=row.pk).update(at=then(row.at), heard_at=row.heard_at and then(row.heard_at))
    sent = run.report["memory"]["sent"]
    sent["earlier"] = round((sent["earlier"] + sum(sent["last"].values())) * longer)
    sent["last"] = {}
    ended = run.ended_at - back
    rows = Run.objects.filter(pk=run.pk)
    rows.update(report=run.report, requested_at=begun, on_air_at=begun, ended_at=ended, reported_at=ended)
"""
"""The one run of the picture, as if each of its seconds had lasted longer, and all of it was last week."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=ROOT / "docs" / "images")
    to = parser.parse_args().to
    to.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=90_000)
    with tempfile.TemporaryDirectory(prefix="ezshots-") as folder:
        clips = [make_clip(Path(folder), title, *look) for title, look in CLIPS.items()]
        ports = {name: free_port() for name in ("web_port", "rtmp_port", "platform_port")}
        plan = Plan(home=Path(folder) / "var", start_demo=False, agents=2, **ports)
        with Product(plan) as product, chromium() as browser, NginxRtmp() as tube, NginxRtmp() as switch:
            context = browser.new_context(
                base_url=product.url, viewport=WIDE, color_scheme="light", locale="en-GB", timezone_id="Europe/Berlin"
            )
            page = context.new_page()
            make_channel(page, clips, tube, switch)
            schedule(page, to)
            incidents(product, page, switch, to)
            jobs(product, browser, to)
            usage(product, page, to)


def make_channel(page: Page, clips: list[Path], tube: NginxRtmp, switch: NginxRtmp) -> None:
    register(page)
    page.goto("/library/")
    page.set_input_files("input[type=file]", clips)
    expect(page.locator(".file-row .thumb img")).to_have_count(len(clips))
    fill_in(page, (tube.url, switch.url))
    page.locator("#id_keep_files_after_stop").check()
    page.get_by_role("button", name="Save and start").click()
    expect(page.locator("#stream-destinations .status-live")).to_have_count(2)


def schedule(page: Page, to: Path) -> None:
    """Evenings at the end of the week, and once a whole night."""
    page.get_by_role("link", name="Schedule").click()
    page.select_option("#id_zone", "Europe/Berlin")
    for day in ("Fri", "Sat", "Sun"):
        page.locator(".window-day", has_text=day).first.click()
    page.fill("[name=weekly-0-opens]", "18:00")
    page.fill("[name=weekly-0-closes]", "01:30")
    page.get_by_text("A single window").click()
    year = time.gmtime().tm_year
    page.fill("[name=once-0-starts]", f"{year}-12-31T20:00")
    page.fill("[name=once-0-ends]", f"{year + 1}-01-01T06:00")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Schedule saved.")).to_be_visible()
    page.reload()
    page.set_viewport_size(TALL)
    take(page, to / "schedule.png")


def incidents(product: Product, page: Page, switch: NginxRtmp, to: Path) -> None:
    page.get_by_role("link", name="To the stream").click()
    os.kill(playout_pid(product), signal.SIGKILL)
    expect(page.get_by_text("it was killed")).to_be_visible()
    expect(page.locator("#stream-destinations .status-live")).to_have_count(2)
    time.sleep(SETTLED_S)
    switch.stop()
    time.sleep(AWAY_S)
    switch.start()
    expect(page.get_by_text("Harbour on Switch: back on air")).to_be_visible()
    time.sleep(SETTLED_S)
    lose_the_server(product)
    expect(page.locator("#stream-timeline").get_by_text("nothing was heard")).to_be_visible()
    expect(page.locator("#stream-destinations .status-live")).to_have_count(2)
    page.get_by_role("link", name="Incidents and uptime").click()
    expect(page.get_by_text("Off air as a whole")).to_be_visible()
    take(page, to / "incidents.png")


def status_of(product: Product) -> Path:
    """What the playout on air says of itself, in its server's folder."""
    found = list(product.plan.home.glob("agent*/runs/*/status.json"))
    return max(found, key=lambda path: path.stat().st_mtime)


def playout_pid(product: Product) -> int:
    return int(json.loads(status_of(product).read_text())["pid"])


def lose_the_server(product: Product) -> None:
    """Agent and playout, as when the power fails; it does not come back."""
    agent = product.supervisor.children[status_of(product).parents[2].name]
    agent.restart = False
    playout = playout_pid(product)
    os.kill(agent.pid, signal.SIGKILL)
    os.kill(playout, signal.SIGKILL)


def jobs(product: Product, browser: Browser, to: Path) -> None:
    product.manage("shell", "-c", DUE_NOW)
    wait_until(lambda: product.manage("shell", "-c", NONE_LEFT).split()[-1] == "0", "all jobs ran", 60, every_s=2.0)
    operator = next(who for who in product.facts["people"] if who["role"] == "Operator")
    with browser.new_context(base_url=product.url, viewport=WIDE, **LOOK) as context:
        page = context.new_page()
        page.goto("/account/login/?next=/admin/ops/job/")
        page.fill("#id_login", operator["email"])
        page.fill("#id_password", operator["password"])
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("heading", name="Periodic jobs")).to_be_visible()
        take(page, to / "jobs.png")


def usage(product: Product, page: Page, to: Path) -> None:
    page.goto("/streams/")
    page.get_by_role("link", name="Harbour channel").click()
    page.locator("#stream-verb").click()
    expect(page.locator("[data-headline]")).to_have_text("Off air")
    product.manage("shell", "-c", A_WEEK_AGO)
    product.manage("reports_generate_usage")
    page.set_viewport_size(WIDE)
    page.goto("/account/usage")
    expect(page.get_by_role("heading", name="Weekly usage")).to_be_visible()
    take(page, to / "usage.png")


if __name__ == "__main__":
    main()
