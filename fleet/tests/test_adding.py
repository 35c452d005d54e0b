"""Operators' pages: a server is added, its connection tested, its key confirmed; it is provisioned and watched."""

import time

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry
from fleet import tasks
from fleet.models import ProvisionRun, Vps, VpsStatus
from fleet.provision import facts, keys, probing
from fleet.tests.ssh_server import PASSWORD, fake_sudo, serving
from lab.processes import ROOM

pytestmark = pytest.mark.django_db(transaction=True)
FACTS = "os=debian\nversion=12\nname=Debian GNU/Linux 12 (bookworm)\narch=amd64\npython=3.11.2\nfree_kib=20000000\n"
FACTS += "init=systemd\nuid=0\ncores=4\nmemory_kib=8000000\n"


@pytest.fixture
def client(operator):
    browser = Client()
    browser.force_login(operator)
    return browser


@pytest.fixture
def server(monkeypatch):
    """Says of itself what a Debian would."""
    monkeypatch.setattr(facts, "ARGV", ("printf", "%s", FACTS))
    with serving() as server:
        yield server


@pytest.fixture
def queued(monkeypatch):
    messages = []
    monkeypatch.setattr(tasks.provision.broker, "enqueue", messages.append)
    return messages


def form(**fields):
    values = {
        "name": "fra-1", "host": "192.0.2.7", "region": "Frankfurt", "max_streams": 6, "uplink_mbit": "",
        "supports_multistream": "on", "ssh_user": "root", "ssh_port": 22, "password": "", "private_key": "",
    }  # fmt: skip
    return values | fields


def add(client, **fields):
    return client.post(reverse("admin:fleet_vps_add"), form(**fields))


def row(server, **fields):
    vps = Vps(name="fra-1", host=server.host, ssh_port=server.port, **fields)
    vps.set_password(PASSWORD)
    vps.save()
    return vps


def page(name, *ids):
    return reverse(f"admin:fleet_{name}", args=ids)


# ------------------------------------------------------------------------------------------------ adding


def test_what_is_added_is_sealed_and_leads_to_the_test(client, operator):
    private = keys.make_private()
    answer = add(client, password="canary-pass", private_key=private.replace("\n", "\r\n"), use_key="on")
    vps = Vps.objects.get()
    assert (answer.status_code, answer.url) == (302, page("vps_connection", vps.pk))
    assert (vps.password(), keys.public_line(vps.private_key())) == ("canary-pass", keys.public_line(private))
    assert (vps.state, vps.region, vps.max_streams, vps.use_key) == (VpsStatus.INACTIVE, "Frankfurt", 6, True)
    entry = AuditEntry.objects.get(verb="create", target_id=str(vps.pk))
    assert "canary-pass" not in str(entry.details)
    for address in (page("vps_change", vps.pk), page("vps_connection", vps.pk), page("vps_provision", vps.pk)):
        shown = client.get(address).content.decode()
        assert "canary-pass" not in shown
        assert "PRIVATE KEY" not in shown


def test_an_empty_secret_keeps_what_is_there(client):
    add(client, password="canary-pass")
    vps = Vps.objects.get()
    client.post(page("vps_change", vps.pk), form(max_streams=9))
    vps.refresh_from_db()
    assert (vps.password(), vps.max_streams) == ("canary-pass", 9)
    client.post(page("vps_change", vps.pk), form(password="another"))
    vps.refresh_from_db()
    assert vps.password() == "another"


def test_save_and_test_leads_to_the_test(client):
    add(client)
    vps = Vps.objects.get()
    answer = client.post(page("vps_change", vps.pk), form(_test="1"))
    assert answer.url == page("vps_connection", vps.pk)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"host": "not a host"}, "neither an IP address nor the name of a host"),
        ({"host": "a;reboot"}, "neither an IP address nor the name of a host"),
        ({"host": "-oProxyCommand=x"}, "neither an IP address nor the name of a host"),
        ({"host": "x" * 254}, "at most 253"),
        ({"ssh_user": "root; id"}, "no name of a user"),
        ({"ssh_user": "-l"}, "no name of a user"),
        ({"ssh_port": 0}, "greater than or equal to 1"),
        ({"private_key": "hunter2"}, "no private key we can read"),
        ({"private_key": "ssh-ed25519 AAAA"}, "This is a public key"),
    ],
)
def test_what_cannot_be_is_said_at_its_field(client, fields, words):
    answer = add(client, **fields)
    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert not Vps.objects.exists()


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("[2001:DB8::7]", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),
        (" 192.0.2.9 ", "192.0.2.9"),
        ("vps_1.example.org", "vps_1.example.org"),
    ],
)
def test_addresses_are_taken_as_people_write_them(client, typed, kept):
    add(client, host=typed, name='it\'s «a» "name"')
    assert Vps.objects.get().host == kept
    assert client.get(page("vps_connection", Vps.objects.get().pk)).status_code == 200


def test_another_address_is_another_server(client):
    add(client)
    vps = Vps.objects.get()
    Vps.objects.filter(pk=vps.pk).update(host_key="ssh-ed25519 AAAA")
    client.post(page("vps_change", vps.pk), form(region="Berlin"))
    vps.refresh_from_db()
    assert vps.host_key
    client.post(page("vps_change", vps.pk), form(host="192.0.2.8"))
    vps.refresh_from_db()
    assert vps.host_key == ""


# ------------------------------------------------------------------------------------------------ testing


def test_the_key_is_shown_and_confirmed_before_the_password_is_sent(client, server, operator):
    vps = row(server)
    address = page("vps_connection", vps.pk)
    shown = client.post(address, {"verb": "test"})
    assert "is this your server?" in shown.content.decode()
    assert keys.fingerprint(server.target().host_key) in shown.content.decode()
    assert server.passwords == []
    client.post(address, {"verb": "confirm", "host_key": shown.context["probe"].host_key})
    vps.refresh_from_db()
    assert vps.host_key == server.target().host_key
    found = client.post(address, {"verb": "test"}).content.decode()
    for words in ("The connection works", "Debian GNU/Linux 12 (bookworm)", "amd64", "4 cores", "3.11.2", "19.1 GiB"):
        assert words in found
    verbs = set(AuditEntry.objects.filter(actor=operator).values_list("verb", flat=True))
    assert {"test connection", "confirm host key"} <= verbs


def test_a_changed_key_is_told_and_forgotten_only_by_a_person(client, server):
    pinned = keys.written(keys.read_private(keys.make_private()))
    vps = row(server, host_key=pinned)
    address = page("vps_connection", vps.pk)
    shown = client.post(address, {"verb": "test"}).content.decode()
    assert "host key has changed" in shown
    assert server.passwords == []
    client.post(address, {"verb": "confirm", "host_key": server.target().host_key})
    vps.refresh_from_db()
    assert vps.host_key == pinned
    client.post(address, {"verb": "forget"})
    vps.refresh_from_db()
    assert vps.host_key == ""
    assert AuditEntry.objects.filter(verb="forget host key").exists()


def test_nonsense_is_not_pinned(client, server):
    vps = row(server)
    client.post(page("vps_connection", vps.pk), {"verb": "confirm", "host_key": "ssh-ed25519 nonsense"})
    vps.refresh_from_db()
    assert vps.host_key == ""


def outcome(vps, **fields) -> probing.Probe:
    for name, value in fields.items():
        setattr(vps, name, value)
    began = time.monotonic()
    found = probing.probe(vps)
    assert time.monotonic() - began < 10 * ROOM
    assert found.words
    return found


def test_each_trouble_has_a_name_and_advice(server, tmp_path):
    good = row(server, host_key=server.target().host_key)
    assert outcome(good).is_ok
    assert outcome(good, ssh_port=1).kind == "refused"
    assert outcome(good, ssh_port=server.port, host="nowhere.invalid").kind == "no_route"
    bad = Vps.objects.get(pk=good.pk)
    bad.set_password("wrong")
    assert outcome(bad).kind == "bad_login"
    other = Vps.objects.get(pk=good.pk)
    assert outcome(other, host_key=keys.written(keys.read_private(keys.make_private()))).kind == "changed_key"
    assert outcome(Vps.objects.get(pk=good.pk), sealed_password="old:AAAA").kind == "sealed"
    server.hangs = "printf"
    assert outcome(Vps.objects.get(pk=good.pk)).kind == "too_slow"


@pytest.mark.parametrize(("before", "kind"), [("silent", "silent"), ("smtp", "silent"), ("closes", "refused")])
def test_who_does_not_speak_ssh_is_told(before, kind):
    with serving(before=before) as server:
        found = outcome(row(server))
    assert (found.kind, bool(found.advice)) == (kind, True)


def test_who_may_not_become_root_is_told(tmp_path, monkeypatch):
    with serving(path=fake_sudo(tmp_path / "bin", "NEVER")) as server:
        assert outcome(row(server, ssh_user="deploy", host_key=server.target().host_key)).kind == "no_sudo"


def test_what_cannot_be_used_is_told_with_what_it_is(server, monkeypatch):
    monkeypatch.setattr(facts, "ARGV", ("printf", "%s", FACTS.replace("debian", "fedora")))
    found = outcome(row(server, host_key=server.target().host_key))
    assert (found.kind, found.facts.arch) == ("unfit", "amd64")


# ------------------------------------------------------------------------------------------------ provisioning


def test_provision_is_asked_for_and_watched(client, server, queued, operator):
    vps = row(server, host_key=server.target().host_key)
    asked = client.get(page("vps_provision", vps.pk)).content.decode()
    assert "install security updates" in asked
    answer = client.post(page("vps_provision", vps.pk))
    run = ProvisionRun.objects.get()
    assert answer.url == page("provisionrun_change", run.pk)
    assert (run.actor, [message.args for message in queued]) == (operator, [(run.pk,)])
    shown = client.get(answer.url).content.decode()
    assert "waiting for a worker" in shown
    assert f"/ws/provision/{run.pk}" in shown
    assert '<noscript><meta http-equiv="refresh"' in shown
    again = client.post(page("vps_provision", vps.pk), follow=True).content.decode()
    assert "This cannot be done while the VPS is «provisioning»" in again
    assert "A run is at work on it: watch" in again


def test_without_a_confirmed_key_it_is_not_offered(client, server, queued):
    vps = row(server)
    assert "Test the connection first" in client.get(page("vps_provision", vps.pk)).content.decode()
    client.post(page("vps_provision", vps.pk))
    assert queued == []


def failed_run(vps) -> ProvisionRun:
    Vps.objects.filter(pk=vps.pk).update(status=VpsStatus.ERROR)
    now = timezone.now()
    run = ProvisionRun.objects.create(
        vps=vps, place="x:22", status="FAILED", started_at=now, ended_at=now, reason="«Packages»: The disk is full."
    )
    run.steps.create(
        name="a", title="Look", position=0, status="UNCHANGED", started_at=now, ended_at=now, note="Debian"
    )
    run.steps.create(
        name="b", title="Packages", position=1, status="FAILED", started_at=now, ended_at=now,
        command="apt-get install ffmpeg", output="<b>E: no space</b>\nlast line", remedy="Free some room.",
    )  # fmt: skip
    run.steps.create(name="c", title="Service", position=2)
    return run


def test_a_failure_says_everything_and_offers_resume(client, queued):
    vps = Vps.objects.create(name="fra-1", host="192.0.2.7")
    run = failed_run(vps)
    shown = client.get(page("provisionrun_change", run.pk)).content.decode()
    for words in (
        "The disk is full",
        "apt-get install ffmpeg",
        "last line",
        "Free some room.",
        "Resume",
        "1 of 3 steps",
    ):
        assert words in shown
    assert "&lt;b&gt;E: no space" in shown
    assert "http-equiv" not in shown
    client.post(page("provisionrun_verb", run.pk, "resume"))
    run.refresh_from_db()
    assert (run.status, len(queued)) == ("QUEUED", 1)
    assert "Cancel" in client.get(page("provisionrun_change", run.pk)).content.decode()
    client.post(page("provisionrun_verb", run.pk, "cancel"))
    run.refresh_from_db()
    assert run.status == "CANCELLED"
    refused = client.post(page("provisionrun_verb", run.pk, "cancel"), follow=True).content.decode()
    assert "It is over already." in refused


def test_looking_at_a_verb_does_nothing(client, queued):
    run = failed_run(Vps.objects.create(name="fra-1", host="192.0.2.7"))
    assert client.get(page("provisionrun_verb", run.pk, "resume")).status_code == 302
    run.refresh_from_db()
    assert run.status == "FAILED"
    assert client.post(page("provisionrun_verb", run.pk, "explode")).status_code == 404


def test_the_page_takes_as_many_queries_for_many_steps(client, django_assert_max_num_queries):
    run = failed_run(Vps.objects.create(name="fra-1", host="192.0.2.7"))
    for n in range(30):
        run.steps.create(name=f"more-{n}", title="More", position=3 + n)
    for address in (page("provisionrun_change", run.pk), page("provisionrun_fragments", run.pk)):
        with django_assert_max_num_queries(8):
            client.get(address)


def test_a_vps_that_is_provisioned_is_not_deleted_or_switched_meanwhile(client, server, queued):
    vps = row(server, host_key=server.target().host_key)
    client.post(page("vps_provision", vps.pk))
    client.post(page("vps_delete", vps.pk), {"post": "yes"})
    chosen = {"action": "activate", "_selected_action": [vps.pk]}
    told = client.post(reverse("admin:fleet_vps_changelist"), chosen, follow=True).content.decode()
    assert "This cannot be done while the VPS is «provisioning»" in told
    vps.refresh_from_db()
    assert vps.state is VpsStatus.PROVISIONING
