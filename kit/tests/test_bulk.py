import uuid

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from fleet.models import Vps
from kit import bulk
from streams.models import Run
from streams.tests import build

pytestmark = pytest.mark.django_db


def test_each_row_gets_values_of_its_own_whatever_their_type(alice):
    stream = build.stream(alice)
    runs = [Run.objects.create(stream=stream) for _ in range(3)]
    now = timezone.now()
    values = [
        ({"a": [1, "«'%s»"]}, now, 1, "%", None),
        (None, None, 2, "", build.vps().pk),
        ({}, now, 3, "gone", None),
    ]
    names = ("report", "reported_at", "reconnects", "interruption", "vps")
    keys = [runs[0].pk, runs[1].pk, uuid.uuid4()]
    rows = {key: dict(zip(names, each, strict=True)) for key, each in zip(keys, values, strict=True)}
    bulk.update_rows(Run, rows)
    for run in runs[:2]:
        run.refresh_from_db()
        found = {"report": run.report, "reported_at": run.reported_at, "reconnects": run.reconnects}
        assert found | {"interruption": run.interruption, "vps": run.vps_id} == rows[run.pk]
    runs[2].refresh_from_db()
    assert (runs[2].report, runs[2].reconnects) == (None, 0)


def test_floats_booleans_and_texts():
    one, two = build.vps("one"), build.vps("two")
    bulk.update_rows(Vps, {one.pk: {"cpu": 0.1, "accepting": False, "agent_version": "é"},
                           two.pk: {"cpu": None, "accepting": True, "agent_version": ""}})  # fmt: skip
    assert list(Vps.objects.order_by("name").values_list("cpu", "accepting", "agent_version")) == [
        (0.1, False, "é"),
        (None, True, ""),
    ]


def test_nothing_to_write_asks_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        bulk.update_rows(Vps, {})


def test_many_rows_are_few_statements(monkeypatch):
    monkeypatch.setattr(bulk, "MOST_ROWS", 4)
    vpses = [build.vps(f"v{number}") for number in range(10)]
    with CaptureQueriesContext(connection) as queries:
        bulk.update_rows(Vps, {vps.pk: {"cpu": number} for number, vps in enumerate(vpses)})
    assert len(queries) == 3
    assert list(Vps.objects.order_by("pk").values_list("cpu", flat=True)) == list(range(10))


def test_rows_are_locked_in_the_order_of_their_keys():
    vpses = [build.vps(f"v{number}") for number in range(3)]
    with transaction.atomic():
        assert [vps.pk for vps in bulk.locked(Vps, [vpses[2].pk, vpses[0].pk, 10**6])] == [vpses[0].pk, vpses[2].pk]
