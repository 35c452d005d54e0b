"""What happened on air is kept for ninety days."""

from django.utils import timezone

from streams import hanging
from streams.models import RunEvent
from streams.tests import build


def test_old_lines_go_in_batches_and_the_rest_stays(alice, monkeypatch):
    monkeypatch.setattr(hanging, "BATCH", 2)
    run = build.running(build.stream(alice), build.vps())
    days = [1, 89, 91, 92, 300]
    for day in days:
        RunEvent.objects.create(stream=run.stream, run=run, kind=RunEvent.Kind.SKIPPED, at=build.ago(day * 86_400))
    assert hanging.clean_events(now=timezone.now()) == 3
    assert RunEvent.objects.count() == 2
