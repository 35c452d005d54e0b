"""What stays of provisionings and commands, and what goes."""

from datetime import UTC, datetime, timedelta

import pytest

from fleet import forgetting
from fleet.models import Enrolment, ProvisionRun, ProvisionStep
from ops.schedule import JOBS
from streams.tests import build

NOW = datetime(2026, 6, 1, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=91)
LATELY = NOW - timedelta(days=89)


@pytest.fixture
def vps(db):
    return build.vps()


def run(vps, at, *, is_over=True):
    made = ProvisionRun.objects.create(vps=vps, place=f"{at}", requested_at=at, ended_at=at if is_over else None)
    ProvisionStep.objects.create(run=made, name="one", title="One", position=0)
    return made


def test_the_last_provisionings_of_each_vps_stay_and_so_does_what_is_new(vps, monkeypatch):
    monkeypatch.setattr(forgetting, "LAST", 2)
    monkeypatch.setattr(forgetting, "BATCH", 2)
    other = build.vps("other")
    for days in range(7):
        run(vps, LONG_AGO - timedelta(days=days))
    stay = {run(other, LONG_AGO).pk, run(vps, LONG_AGO - timedelta(days=99), is_over=False).pk}
    stay |= {run(vps, LATELY + timedelta(hours=hours)).pk for hours in range(3)}
    assert forgetting.forget_old(NOW) == 7
    assert set(ProvisionRun.objects.values_list("pk", flat=True)) == stay
    assert ProvisionStep.objects.count() == len(stay)
    assert forgetting.forget_old(NOW) == 0


def test_commands_that_added_nothing_go(vps):
    for name, expires_at, added in (("old", LONG_AGO, None), ("used", LONG_AGO, vps), ("new", LATELY, None)):
        Enrolment.objects.create(name=name, token_digest=name, expires_at=expires_at, vps=added)
    assert forgetting.forget_old(NOW) == 1
    assert set(Enrolment.objects.values_list("name", flat=True)) == {"used", "new"}


def test_it_is_done_every_day():
    assert any(job.call == "fleet.forgetting.forget_old" and job.daily_at for job in JOBS)
