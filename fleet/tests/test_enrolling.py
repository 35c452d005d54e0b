"""A server that adds itself: who may, once; what is left when it cannot; what it is told."""

import base64
import hashlib
import os
import re
import subprocess
from datetime import timedelta
from html import unescape

import pytest
import redis
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import AuditEntry
from fleet import enrolling, enrolment_script, redis_users
from fleet.enrolling import BadToken, TryAgain, Wanted
from fleet.errors import WrongState
from fleet.models import Enrolment, EnrolmentState, RedisUser, Vps, VpsStatus
from fleet.provision import bundle, places
from fleet.provision.step import Upload
from fleet.views import enrol
from kit.logs import mask
from lab.races import at_once
from ops.schedule import JOBS
from streams.tests import build

pytestmark = pytest.mark.django_db(transaction=True)
NOW = timezone.now()
SOON = NOW + timedelta(minutes=5)
FROM = "198.51.100.7"


@pytest.fixture(autouse=True)
def _secure(settings):
    settings.DEBUG = True


@pytest.fixture
def made(operator):
    return enrolling.make(Wanted(name="fra-1", region="eu", max_streams=6), operator, NOW)


def state(made, now=SOON):
    return Enrolment.objects.get(pk=made.enrolment.pk).state(now)


def heard(vps, at):
    Vps.objects.filter(pk=vps.pk).update(last_heartbeat_at=at)


# ------------------------------------------------------------------------------------------------ the way it goes


def test_from_the_command_to_the_fleet(made):
    assert state(made) is EnrolmentState.WAITING
    vps, access = enrolling.register(made.token, "host7", FROM, SOON)
    assert (vps.name, vps.host, vps.region, vps.max_streams, vps.state) == (
        "fra-1", FROM, "eu", 6, VpsStatus.PROVISIONING
    )  # fmt: skip
    with redis.Redis.from_url(access.url, driver_info=None) as agent:
        assert agent.ping()
    assert state(made) is EnrolmentState.REGISTERED
    row = Enrolment.objects.get()
    assert not enrolling.is_heard(row, SOON)
    heard(vps, SOON + timedelta(seconds=20))
    row = Enrolment.objects.select_related("vps").get()
    assert enrolling.is_heard(row, SOON)
    assert state(made) is EnrolmentState.DONE
    vps.refresh_from_db()
    assert vps.state is VpsStatus.ACTIVE
    assert list(AuditEntry.objects.order_by("pk").values_list("verb", flat=True)) == ["make enrolment", "enrol"]


def test_the_token_is_kept_nowhere(made):
    row = Enrolment.objects.values().get()
    assert made.token not in str(row)
    assert row["token_digest"] == hashlib.sha256(made.token.encode()).hexdigest()
    assert made.token not in repr(made)
    assert made.token not in str(list(AuditEntry.objects.values()))


def test_a_heartbeat_from_before_says_nothing(made):
    vps, _access = enrolling.register(made.token, "host7", FROM, SOON)
    heard(vps, NOW)
    assert not enrolling.is_heard(Enrolment.objects.select_related("vps").get(), SOON)


@pytest.mark.parametrize(
    ("wanted", "hostname", "there", "name"),
    [
        ("fra-1", "host7", [], "fra-1"),
        ("", "host7", [], "host7"),
        ("", "", [], FROM),
        ("fra-1", "", ["fra-1", "fra-1-2"], "fra-1-3"),
        ("", "x" * 80, ["x" * 80], "x" * 70 + "-2"),
    ],
)
def test_what_it_is_called(operator, wanted, hostname, there, name):
    for each in there:
        build.vps(each)
    made = enrolling.make(Wanted(name=wanted), operator, NOW)
    assert enrolling.register(made.token, hostname, FROM, SOON)[0].name == name


# ------------------------------------------------------------------------------------------------ refused


def _used(made):
    enrolling.register(made.token, "h", FROM, SOON)


def _revoked(made):
    enrolling.revoke(made.enrolment, None, SOON)


def _failed(made):
    _used(made)
    enrolling.fail(made.token, "x", SOON)


def _expired(made):
    Enrolment.objects.update(expires_at=SOON)


BAD = [
    (_used, "This token was used already: each is good once."),
    (_failed, "This token was used already: each is good once."),
    (_revoked, "This token was revoked."),
    (_expired, "This token has expired: each is good for an hour."),
]


@pytest.mark.parametrize(("spoil", "words"), BAD)
def test_a_token_that_is_not_good_registers_nobody_and_sh_says_why(made, spoil, words, client):
    spoil(made)
    before = list(Vps.objects.values())
    with pytest.raises(BadToken, match=re.escape(words)):
        enrolling.register(made.token, "h", FROM, SOON)
    assert list(Vps.objects.values()) == before
    Enrolment.objects.filter(expires_at=SOON).update(expires_at=NOW - timedelta(days=1))
    script = client.get(reverse("enrol:script", args=[made.token]))
    assert script.status_code == 200
    done = subprocess.run(["sh"], input=script.content, capture_output=True)
    assert (done.returncode, done.stderr.decode()) == (1, f"EZStream: {words}\n")
    assert client.get(reverse("enrol:agent", args=[made.token])).status_code == 403


def test_nobodys_token_is_told_and_guessing_is_slowed_down(client, made):
    for _try in range(enrol.BAD_TOKENS.attempts):
        assert b"This token is not known." in client.get(reverse("enrol:script", args=["guess"])).content
    assert client.post(reverse("enrol:register", args=["guess"])).status_code == 429
    script = client.get(reverse("enrol:script", args=["guess"]))
    assert b"Too many bad tokens from this address: wait 15 minutes." in script.content
    assert subprocess.run(["sh"], input=script.content, capture_output=True).returncode == 1
    assert b"ez_main" in client.get(reverse("enrol:script", args=[made.token])).content


@pytest.mark.parametrize("spoil", [_used, _revoked, _failed])
def test_what_is_used_or_over_is_not_revoked(made, spoil):
    spoil(made)
    with pytest.raises(WrongState):
        enrolling.revoke(made.enrolment, None, SOON)


def test_without_tls_nothing_is_handed_over(made, client, settings, operator, client_of):
    settings.DEBUG = False
    assert b"has no TLS" in client.get(reverse("enrol:script", args=[made.token])).content
    assert client.post(reverse("enrol:register", args=[made.token])).status_code == 403
    page = client_of(operator).post(reverse("admin:fleet_enrolment_new"), {"max_streams": 4})
    assert b"Not possible here" in page.content
    assert Enrolment.objects.count() == 1
    settings.SECURE = True
    assert b"EZ_PROTOCOLS='=https'" in client.get(reverse("enrol:script", args=[made.token])).content


@pytest.mark.postgres
def test_of_two_at_once_one_is_registered(made):
    outcomes = at_once(8, lambda: enrolling.register(made.token, "h", FROM, SOON))
    assert sorted(type(each).__name__ for each in outcomes) == ["BadToken"] * 7 + ["NoneType"]
    assert Vps.objects.count() == 1


# ------------------------------------------------------------------------------------------------ what goes wrong


def test_while_redis_is_away_the_token_stays_good(made, settings):
    url = settings.AGENT_REDIS_URL
    settings.AGENT_REDIS_URL = "redis://127.0.0.1:1"
    with pytest.raises(TryAgain):
        enrolling.register(made.token, "h", FROM, SOON)
    assert (Vps.objects.count(), RedisUser.objects.count(), state(made)) == (0, 0, EnrolmentState.WAITING)
    settings.AGENT_REDIS_URL = url
    enrolling.register(made.token, "h", FROM, SOON)


def test_a_server_that_could_not_leaves_nothing_behind(made):
    vps, access = enrolling.register(made.token, "h", FROM, SOON)
    user = f"vps-{vps.pk}"
    enrolling.fail(made.token, "install packages\x1b[2J\n", SOON)
    assert state(made) is EnrolmentState.FAILED
    assert Enrolment.objects.get().failure == "install packages [2J"
    assert not Vps.objects.exists()
    with redis.Redis.from_url(access.url, driver_info=None) as agent, pytest.raises(redis.AuthenticationError):
        agent.ping()
    assert user not in redis_users.missing()
    with pytest.raises(BadToken):
        enrolling.fail(made.token, "again", SOON)


def test_one_that_is_in_the_fleet_is_not_taken_out_by_its_token(made):
    vps, _access = enrolling.register(made.token, "h", FROM, SOON)
    heard(vps, SOON)
    assert enrolling.settle(SOON) == "1 in the fleet, 0 never heard"
    with pytest.raises(BadToken):
        enrolling.fail(made.token, "x", SOON)
    assert Vps.objects.get().state is VpsStatus.ACTIVE


def test_one_that_registered_and_is_never_heard_is_kept_to_be_looked_at(made):
    enrolling.register(made.token, "h", FROM, SOON)
    assert enrolling.settle(SOON + timedelta(minutes=14)) == "0 in the fleet, 0 never heard"
    assert enrolling.settle(SOON + timedelta(minutes=16)) == "0 in the fleet, 1 never heard"
    vps = Vps.objects.get()
    assert (vps.state, vps.status_message) == (VpsStatus.ERROR, "It registered and was never heard.")
    assert state(made) is EnrolmentState.FAILED
    assert any(job.call == "fleet.enrolling.settle" for job in JOBS)


def test_an_operator_who_was_faster_is_left_alone(made):
    vps, _access = enrolling.register(made.token, "h", FROM, SOON)
    Vps.objects.update(status=VpsStatus.DRAINING)
    heard(vps, SOON)
    enrolling.settle(SOON)
    assert Vps.objects.get().state is VpsStatus.DRAINING


# ------------------------------------------------------------------------------------------------ over HTTP


def test_what_the_server_is_told(made, client, settings, tmp_path):
    (tmp_path / "ca.crt").write_text("PEM")
    settings.REDIS_CA_FILE = str(tmp_path / "ca.crt")
    address = {name: reverse(f"enrol:{name}", args=[made.token]) for name in ("agent", "register", "state", "failed")}
    assert hashlib.sha256(client.get(address["agent"]).content).hexdigest() == bundle.current().hash
    assert client.get(address["state"]).status_code == 403
    answer = client.post(address["register"], {"hostname": "host7"}, REMOTE_ADDR=FROM)
    told = dict(line.split("=", 1) for line in answer.content.decode().splitlines())
    vps = Vps.objects.get()
    assert told["EZSTREAM_VPS_ID"] == str(vps.pk)
    assert told["EZSTREAM_REDIS_URL"] == redis_users.access(vps).url
    assert told["EZSTREAM_REDIS_CA_FILE"] == "/etc/ezstream/redis-ca.crt"
    assert told["EZSTREAM_WORK_DIR"] == places.HOME
    assert "no-store" in answer["Cache-Control"]
    assert (vps.host, Enrolment.objects.get().claimed_from) == (FROM, FROM)
    assert client.post(address["register"]).status_code == 403
    assert client.get(address["state"]).content == b"waiting"
    heard(vps, timezone.now())
    assert client.get(address["state"]).content == b"heard"
    assert client.get(address["state"]).content == b"heard"
    assert client.post(address["failed"], {"why": "x"}).status_code == 403


def test_a_failure_is_told_by_post_and_answers_are_no_pages(made, client):
    address = reverse("enrol:failed", args=[made.token])
    client.post(reverse("enrol:register", args=[made.token]))
    assert client.get(address).status_code == 405
    assert client.post(address, {"why": "start"}).status_code == 204
    assert not Vps.objects.exists()


def test_while_redis_is_away_it_is_said_in_words(made, client, settings):
    settings.AGENT_REDIS_URL = "redis://127.0.0.1:1"
    answer = client.post(reverse("enrol:register", args=[made.token]))
    assert answer.status_code == 503
    assert answer.content == b"Redis does not answer here: try again in a moment, the token is still good.\n"


def test_no_log_shows_the_token(made):
    assert mask(f"GET /enrol/{made.token}/register done") == "GET /enrol/•••/register done"


# ------------------------------------------------------------------------------------------------ the script


def test_the_script_is_whole_and_every_shell_reads_it(made, tmp_path):
    text = enrol.rendered(made.token)
    done = subprocess.run(["sh", "-n"], input=text, text=True, capture_output=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert text.count(made.token) == 1
    assert text == enrol.rendered(made.token)
    head = text[: text.rindex("ez_main\n")]
    assert subprocess.run(["sh"], input=head, text=True, capture_output=True).stdout == "", "half of it does something"


def test_a_file_in_the_script_is_put_whole(tmp_path):
    content = bytes(range(256)) * 100
    upload = Upload(str(tmp_path / "it's"), content, 0o640, f"{os.getuid()}:{os.getgid()}")
    subprocess.run(["sh", "-e"], input=enrolment_script._line(upload), text=True, check=True)
    (file,) = tmp_path.iterdir()
    assert (file.name, file.read_bytes(), file.stat().st_mode & 0o777) == ("it's", content, 0o640)


def test_words_with_quotes_stay_words():
    words = "it's $(reboot) `reboot` \"\\ \n x"
    done = subprocess.run(["sh"], input=enrolment_script.refuse(words), text=True, capture_output=True)
    assert done.stderr == f"EZStream: {words}\n"


def test_what_is_no_root_is_told_and_nothing_is_touched(made, tmp_path):
    script = tmp_path / "enrol.sh"
    script.write_text(enrol.rendered(made.token))
    script.chmod(0o644)
    tmp_path.chmod(0o755)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if _is_root() else []
    done = subprocess.run([*nobody, "sh"], input=script.read_text(), text=True, capture_output=True)
    assert done.returncode == 1
    assert done.stderr == "EZStream: run this as root: … | sudo sh\n"


def _is_root():
    return os.getuid() == 0


# ------------------------------------------------------------------------------------------------ pages


def test_the_command_is_shown_once_and_the_page_follows(client_of, operator, client):
    browser = client_of(operator)
    assert browser.get(reverse("admin:fleet_enrolment_new")).status_code == 200
    page = browser.post(reverse("admin:fleet_enrolment_new"), {"name": "fra-1", "region": "eu", "max_streams": 4})
    text = page.content.decode()
    token = re.search(r"/enrol/([\w-]{43})", text)[1]
    assert f"curl -fsSL http://localhost:8000/enrol/{token} | sudo sh" in text
    digest = re.search(r"([0-9a-f]{64})  enrol\.sh", text)[1]
    assert hashlib.sha256(client.get(f"/enrol/{token}").content).hexdigest() == digest
    assert "no-store" in page["Cache-Control"]
    row = Enrolment.objects.get()
    shown = reverse("admin:fleet_enrolment_change", args=[row.pk])
    assert token not in browser.get(shown).content.decode()
    fragment = reverse("admin:fleet_enrolment_state", args=[row.pk])
    assert "waiting for the server" in browser.get(fragment).content.decode()
    vps, _access = enrolling.register(token, "host7", FROM, timezone.now())
    said = browser.get(fragment).content.decode()
    assert "Registered as" in said
    assert 'hx-trigger="every 2s"' in said
    heard(vps, timezone.now())
    said = browser.get(fragment).content.decode()
    assert "in the fleet" in said
    assert "hx-trigger" not in said
    assert "fra-1" in browser.get(reverse("admin:fleet_enrolment_changelist")).content.decode()


def test_a_command_brings_along_an_authority_that_no_system_knows(client_of, operator, settings, tmp_path, client):
    settings.SITE_CA_FILE = str(tmp_path / "site.crt")
    (tmp_path / "site.crt").write_text("PEM of the site\n")
    page = client_of(operator).post(reverse("admin:fleet_enrolment_new"), {"name": "fra-1", "max_streams": 4})
    words = unescape(page.content.decode())
    told, token = re.search(
        r"echo (\S+) \| base64 -d \| curl --cacert /dev/stdin -fsSL \S+/enrol/([\w-]{43}) \|", words
    ).groups()
    assert base64.b64decode(told) == b"PEM of the site\n"
    script = client.get(f"/enrol/{token}").content.decode()
    assert "EZ_SITE_CA='PEM of the site\n'\n" in script
    assert "EZ_AUTHORITIES='/etc/ezstream/site-ca.crt'" in script
    assert subprocess.run(["sh", "-n"], input=script, text=True, capture_output=True).returncode == 0


def test_a_command_is_revoked_from_its_page(client_of, operator, made):
    address = reverse("admin:fleet_enrolment_revoke", args=[made.enrolment.pk])
    client_of(operator).get(address)
    assert state(made) is EnrolmentState.WAITING
    client_of(operator).post(address)
    assert state(made) is EnrolmentState.REVOKED
    page = client_of(operator).post(address, follow=True)
    assert b"used already, or over" in page.content


def test_a_bad_form_makes_no_command(client_of, operator):
    page = client_of(operator).post(reverse("admin:fleet_enrolment_new"), {"max_streams": 0})
    assert page.status_code == 200
    assert not Enrolment.objects.exists()


@pytest.mark.parametrize("address", ["admin:fleet_enrolment_new"])
def test_who_may_look_only_makes_none(client_of, alice, address):
    alice.is_staff = True
    alice.save()
    assert client_of(alice).get(reverse(address)).status_code == 403
    assert client_of(alice).post(reverse(address), {"max_streams": 4}).status_code == 403


def test_forms_of_strangers_are_not_taken(operator):
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(operator)
    assert browser.post(reverse("admin:fleet_enrolment_new"), {"max_streams": 4}).status_code == 403
