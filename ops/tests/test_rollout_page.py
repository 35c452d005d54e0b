"""«Upgrade all»: what it names before it begins, how it is watched and cancelled; and the buttons of one VPS."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from fleet import tasks
from fleet.models import ProvisionRun, Rollout, RolloutStatus, RunKind, RunStatus, Vps, VpsStatus
from fleet.provision import bundle
from fleet.provision import lifecycle as runs
from streams.tests import build

ASK = reverse("admin:fleet_upgrade")
OLD = "0.0.1+0123456789ab"


@pytest.fixture
def client(client_of, operator):
    return client_of(operator)


@pytest.fixture(autouse=True)
def queued(monkeypatch):
    messages = []
    monkeypatch.setattr(tasks.provision.broker, "enqueue", messages.append)
    return messages


def server(name: str, number: int, **fields) -> Vps:
    fields = {"agent_version": OLD, "sealed_password": "x", "host_key": "ssh-ed25519 A"} | fields
    return build.vps(name, ssh_port=1000 + number, **fields)


@pytest.fixture
def fleet(db):
    build.vps("pasted", agent_version=OLD)
    server("same", 9, agent_version=bundle.version())
    return [server("ams", 1), server("fra", 2, status=VpsStatus.DRAINING)]


def text(answer) -> str:
    assert answer.status_code == 200
    return answer.content.decode()


def post_all(client, fleet):
    return client.post(ASK, {"vps": [vps.pk for vps in fleet]}, follow=True)


def test_it_names_which_servers_from_which_agent_to_which(client, fleet):
    page = text(client.get(reverse("admin:fleet")))
    assert f"3 servers have another agent than {bundle.version()}." in page
    assert ASK in page
    page = text(client.get(ASK))
    for words in (f"2 servers to agent {bundle.version()}", "ams", "fra", OLD, "draining", "not from here", "pasted"):
        assert words in page
    assert ">same<" not in page
    assert not Rollout.objects.exists()


def test_it_is_begun_watched_and_cancelled(client, fleet):
    page = text(post_all(client, fleet))
    for words in ("0 of 2 servers", "waiting for a worker", "«ams» is in hand.", "waiting", OLD):
        assert words in page
    rollout, run = Rollout.objects.get(), ProvisionRun.objects.get()
    assert reverse("admin:fleet_provisionrun_change", args=[run.pk]) in page
    for address in (ASK, reverse("admin:fleet")):
        assert reverse("admin:rollout", args=[rollout.pk]) in text(client.get(address))
    runs.finish(run, runs.take(run.pk, timezone.now()))
    tasks.go_on_with_rollout(timezone.now())
    part = client.get(reverse("admin:rollout", args=[rollout.pk]), headers={"X-Live": "1"}).content.decode()
    assert part.strip().startswith('<div class="console" id="rollout-live"')
    assert "1 of 2 servers" in part
    assert "«fra» is in hand." in part
    page = text(client.post(reverse("admin:rollout_cancel", args=[rollout.pk]), follow=True))
    assert "It comes to its end, no other begins." in page
    assert "It is over already." in text(client.post(reverse("admin:rollout_cancel", args=[rollout.pk]), follow=True))


def test_a_failure_is_shown_with_what_was_left(client, fleet):
    post_all(client, fleet)
    run = ProvisionRun.objects.get()
    runs.fail(run, runs.take(run.pk, timezone.now()), "It does not start. It went back.")
    tasks.go_on_with_rollout(timezone.now())
    rollout = Rollout.objects.get()
    assert rollout.state is RolloutStatus.FAILED
    page = text(client.get(reverse("admin:rollout", args=[rollout.pk])))
    assert "«ams»: It does not start. It went back." in page
    assert "left as it is" in page
    assert "It went back." in text(client.get(ASK))


def test_two_operators_at_one_button(client, fleet):
    post_all(client, fleet)
    assert "Servers are being upgraded already." in text(post_all(client, fleet))
    assert Rollout.objects.count() == 1


def test_only_what_was_shown_and_is_still_to_be_done_is_begun(client, fleet):
    Vps.objects.filter(name="ams").update(agent_version=bundle.version())
    server("new", 5)
    post_all(client, fleet)
    assert [vps.name for vps in Rollout.objects.get().vpses.all()] == ["fra"]
    assert "There is no server to upgrade." in text(client.post(ASK, {"vps": ["x", "-1"]}, follow=True))


def test_a_page_of_many_takes_no_more_queries(client, fleet):
    post_all(client, fleet)
    rollout = Rollout.objects.get()
    addresses = (ASK, reverse("admin:rollout", args=[rollout.pk]), reverse("admin:fleet"))

    def taken() -> list[int]:
        found = []
        for address in addresses:
            with CaptureQueriesContext(connection) as queries:
                client.get(address)
            found.append(len(queries))
        return found

    few = taken()
    rollout.vpses.add(*(server(f"more {number}", 10 + number) for number in range(20)))
    assert taken() == few
    assert max(few) <= 14


def test_who_may_only_look_upgrades_nothing(client_of, operator, fleet):
    from django.contrib.auth.models import Permission

    type(operator).objects.filter(pk=operator.pk).update(is_superuser=False)
    operator.user_permissions.add(Permission.objects.get(codename="view_vps"))
    client = client_of(type(operator).objects.get(pk=operator.pk))
    assert ASK not in text(client.get(reverse("admin:fleet")))
    assert (client.get(ASK).status_code, client.post(ASK).status_code) == (403, 403)
    rollout = Rollout.objects.create(version="1+a")
    assert client.get(reverse("admin:rollout", args=[rollout.pk])).status_code == 200
    assert client.post(reverse("admin:rollout_cancel", args=[rollout.pk])).status_code == 403


# ------------------------------------------------------------------------------------------------ one VPS


@pytest.mark.parametrize(
    ("verb", "kind", "words"),
    [
        ("upgrade-agent", RunKind.UPGRADE, f"From {OLD} to {bundle.version()}."),
        ("decommission", RunKind.DECOMMISSION, "A server that does not answer can only be removed."),
    ],
)
def test_a_button_asks_and_leads_to_its_run(client, fleet, verb, kind, words):
    address = reverse("admin:vps_verb", args=[fleet[0].pk, verb])
    assert address in text(client.get(reverse("admin:vps", args=[fleet[0].pk])))
    assert words in text(client.get(address))
    answer = client.post(address, follow=True)
    run = ProvisionRun.objects.get()
    assert answer.redirect_chain[-1][0] == reverse("admin:fleet_provisionrun_change", args=[run.pk])
    assert run.what is kind
    assert str(kind.label) in text(answer)
    assert str(kind.label) in text(client.get(reverse("admin:vps", args=[fleet[0].pk])))


def test_one_of_this_version_already_is_told_so(client, fleet):
    same = Vps.objects.get(name="same")
    page = text(client.get(reverse("admin:vps_verb", args=[same.pk, "upgrade-agent"])))
    assert f"It is {bundle.version()} already" in page


@pytest.mark.parametrize("status", RunStatus)
@pytest.mark.parametrize("kind", RunKind)
def test_every_run_has_a_page(client, fleet, kind, status):
    run = ProvisionRun.objects.create(
        vps=fleet[0], kind=kind, status=status, place="a:1", ended_at=timezone.now(), reason="why", to_version="1+b"
    )
    page = text(client.get(reverse("admin:fleet_provisionrun_change", args=[run.pk])))
    is_over = status in (RunStatus.FAILED, RunStatus.CANCELLED)
    assert ("Resume" in page) is (is_over and kind is RunKind.PROVISION)
    assert ("Remove it without" in page) is (kind is RunKind.DECOMMISSION)


def test_the_page_of_a_server_that_is_gone_still_tells(client, fleet):
    vps = fleet[0]
    run = ProvisionRun.objects.create(
        vps=vps, kind=RunKind.DECOMMISSION, status=RunStatus.DONE, place="a:1", ended_at=timezone.now()
    )
    Vps.objects.filter(pk=vps.pk).update(removed_at=timezone.now())
    page = text(client.get(reverse("admin:fleet_provisionrun_change", args=[run.pk])))
    assert "it is out of the fleet" in page
    assert reverse("admin:vps", args=[vps.pk]) not in page


def test_one_that_a_run_is_at_work_on_is_not_deleted(client, fleet):
    address = reverse("admin:fleet_vps_delete", args=[fleet[0].pk])
    assert client.get(address).status_code == 200
    client.post(reverse("admin:vps_verb", args=[fleet[0].pk, "upgrade-agent"]))
    assert client.post(address, {"post": "yes"}).status_code == 403
    assert "Wait for its end, or cancel it." in text(
        client.post(reverse("admin:vps_verb", args=[fleet[0].pk, "remove"]), follow=True)
    )
