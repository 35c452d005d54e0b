"""The fleet's page: what a row says, what is found, and that a thousand VPSes cost no more than one."""

import pytest
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from fleet import history
from fleet.history import Reading
from fleet.models import MonthTraffic, Vps, VpsStatus
from fleet.traffic import month_of
from ops import fleet_page
from streams.tests import build

PAGE = reverse("admin:fleet")


@pytest.fixture
def client(client_of, operator):
    return client_of(operator)


def names(client, query: str = "") -> list[str]:
    return [row.vps.name for row in client.get(PAGE + query).context["rows"]]


def test_an_empty_fleet(client):
    assert "No VPS yet." in client.get(PAGE).content.decode()


def test_what_a_row_says(client, alice):
    vps = build.vps(
        "fra-1", region="fra", network_mbit=41.6, uplink_mbit=100, agent_version="0.0.1", agent_protocol=1,
        traffic_gb=1000, last_heartbeat_at=build.ago(1), cpu=12.4,
    )  # fmt: skip
    build.running(build.stream(alice), vps)
    now = timezone.now()
    MonthTraffic.objects.create(vps=vps, month=month_of(now), sent_bytes=250 * 10**9)
    history.keep({history.minute_of(now) - back: {vps.pk: Reading(10 + back, 1, 1, 1, 1)} for back in range(9)})
    page = client.get(PAGE).content.decode()
    for words in [
        "fra-1", "127.0.0.1 · fra", "takes streams", "1 / 4", "42 / 100", "250\N{NO-BREAK SPACE}GB", "0.0.1",
        "older than this control plane", "just now", "CPU in the last hour: 14 % on average, 18 % at most",
    ]:  # fmt: skip
        assert words in page
    assert page.count("<polyline") == 1


@pytest.fixture
def fleet(db):
    build.vps("b-busy", region="fra", cpu=90, network_mbit=90, uplink_mbit=100, agent_version="0.1.0")
    build.vps("a-idle", region="sgp", cpu=5, network_mbit=50, uplink_mbit=1000, agent_version="0.2.0")
    build.vps("c-silent", region="fra", cpu=None, last_heartbeat_at=build.ago(600))
    build.vps("d-ill", unhealthy="disk 97 % full", cpu=50)
    build.vps("e-off", status=VpsStatus.INACTIVE, cpu=None, last_heartbeat_at=None)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("", ["a-idle", "b-busy", "c-silent", "d-ill", "e-off"]),
        ("?q=SIL", ["c-silent"]),
        ("?q=sgp", ["a-idle"]),
        ("?region=fra", ["b-busy", "c-silent"]),
        ("?region=fra&standing=well", ["b-busy"]),
        ("?standing=trouble", ["c-silent", "d-ill"]),
        ("?standing=out", ["e-off"]),
        ("?version=0.2.0", ["a-idle"]),
        ("?standing=nonsense&page=77&sort=-;drop", ["a-idle", "b-busy", "c-silent", "d-ill", "e-off"]),
        ("?q=nobody", []),
    ],
)
def test_who_is_found(client, fleet, query, wanted):
    assert names(client, query) == wanted


@pytest.mark.parametrize(
    ("sort", "wanted"),
    [
        ("-name", ["e-off", "d-ill", "c-silent", "b-busy", "a-idle"]),
        ("cpu", ["a-idle", "d-ill", "b-busy", "c-silent", "e-off"]),
        ("-cpu", ["b-busy", "d-ill", "a-idle", "c-silent", "e-off"]),
        ("-uplink", ["b-busy", "a-idle", "c-silent", "d-ill", "e-off"]),
        ("heard", ["c-silent", "b-busy", "a-idle", "d-ill", "e-off"]),
    ],
)
def test_in_which_order_the_unknown_last(client, fleet, sort, wanted):
    assert names(client, f"?sort={sort}") == wanted


@pytest.mark.parametrize("sort", [f"{way}{key}" for key in fleet_page.SORTS for way in ("", "-")])
def test_every_order_is_one(client, fleet, sort):
    assert len(names(client, f"?sort={sort}")) == 5


def test_nobody_found_says_so(client, fleet):
    assert "No VPS is so." in client.get(f"{PAGE}?q=nobody").content.decode()


def test_the_part_that_lives_comes_alone(client, fleet):
    whole, part = client.get(PAGE), client.get(PAGE, headers={"X-Live": "1"})
    assert part.content.decode().strip().startswith('<div class="console" id="fleet-live"')
    assert b"a-idle" in part.content
    assert b"<html" not in part.content
    assert b'id="fleet-live"' in whole.content
    assert "X-Live" in part.headers["Vary"]


def test_a_thousand_stand(client, operator):
    now = timezone.now()
    fields = {"status": VpsStatus.ACTIVE, "host": "192.0.2.1", "last_heartbeat_at": now, "cpu": 5, "region": "fra"}

    def taken() -> int:
        cache.clear()
        with CaptureQueriesContext(connection) as queries:
            assert client.get(f"{PAGE}?sort=-cpu").status_code == 200
        return len(queries)

    Vps.objects.create(name="first", **fields)
    one = taken()
    Vps.objects.bulk_create([Vps(name=f"v{number:04}", **fields) for number in range(999)])
    assert taken() == one <= 12
    answer = client.get(PAGE)
    assert len(answer.context["rows"]) == fleet_page.PAGE_SIZE
    assert "Page 1 of 20" in answer.content.decode()
    assert names(client, "?page=20")[-1] == "v0998"


def test_it_stands_without_redis(client, fleet, no_redis):
    page = client.get(PAGE)
    assert page.status_code == 200
    assert b"a-idle" in page.content


def test_an_operator_without_the_permission_is_refused(client_of, operator):
    type(operator).objects.filter(pk=operator.pk).update(is_superuser=False)
    assert client_of(type(operator).objects.get(pk=operator.pk)).get(PAGE).status_code == 403
