"""The database's word on who agents are, and that Redis follows it: also after it forgot, and with a real agent."""

import itertools
import re

import pytest
import redis
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from accounts.models import AuditEntry
from agent.protocol import Ping, Pong, client_name, commands_channel
from agent.tests.servers import AgentProcess, Ear
from fleet import actions, redis_users
from fleet.errors import NotYet
from fleet.models import RedisUser
from lab.processes import wait_until
from lab.races import at_once
from lab.valkey import Valkey
from ops import redis_health
from streams.models import Run
from streams.tests import build

OUT_WITHIN_S = 2.0


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    valkey = Valkey(tmp_path_factory.mktemp("users"))
    valkey.start()
    yield valkey
    valkey.stop()


@pytest.fixture
def control(server, settings, transactional_db):
    settings.REDIS_URL = settings.AGENT_REDIS_URL = settings.AGENT_REDIS_PUBLIC_URL = server.url
    with redis.Redis.from_url(server.url, decode_responses=True) as client:
        yield client
        redis_users.RedisUser.objects.all().delete()
        redis_users.apply()


@pytest.fixture
def vps(control):
    return build.vps()


def can_sign_in(url):
    try:
        with redis.Redis.from_url(url, driver_info=None) as client:
            return client.ping()
    except redis.AuthenticationError:
        return False


def test_access_is_made_once_and_is_the_vps_s_own(vps, control):
    first, again = redis_users.access(vps), redis_users.access(vps)
    assert first == again
    assert f"vps-{vps.pk}:" in first.url
    assert can_sign_in(first.url)
    password = RedisUser.objects.get().passwords()[0]
    assert password not in repr(first)
    assert password not in RedisUser.objects.get().sealed_password
    assert password not in "".join(control.acl_list())


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("rediss://redis.example.com:6380", r"rediss://vps-\d+:[\w-]{43}@redis\.example\.com:6380"),
        ("rediss://:control@[2001:db8::7]:6380/3?ssl_ca_certs=/x", r"rediss://vps-\d+:[\w-]{43}@\[2001:db8::7\]:6380"),
        ("unix:///run/redis.sock?db=2", r"unix://vps-\d+:[\w-]{43}@/run/redis\.sock"),
    ],
)
def test_the_address_is_the_one_from_outside_without_what_is_ours(vps, settings, address, url):
    settings.AGENT_REDIS_PUBLIC_URL = address
    assert re.fullmatch(url, redis_users.access(vps).url)


def test_the_ca_comes_along(vps, settings, tmp_path):
    (tmp_path / "ca.crt").write_text("PEM")
    settings.REDIS_CA_FILE = str(tmp_path / "ca.crt")
    assert redis_users.access(vps).ca == "PEM"


def test_a_redis_that_forgot_is_told_again(vps, server):
    url = redis_users.access(vps).url
    server.stop()
    server.start()
    assert not can_sign_in(url)
    redis_users.heal()
    assert can_sign_in(url)


def test_the_check_says_it_and_puts_it_right(vps, control):
    url = redis_users.access(vps).url
    control.acl_deluser(f"vps-{vps.pk}")
    control.execute_command("ACL SETUSER", "vps-999", "on", "nopass", "+@all")
    words = f"the agents' users are not as they should be: {vps.name}, vps-999"
    assert words in [each.words for each in redis_health.look(timezone.now())]
    fixed = [each for each in redis_health.look(timezone.now(), fix=True) if each.is_fixed]
    assert [each.words for each in fixed] == ["the agents' users were not as they should be"]
    assert can_sign_in(url)
    assert "vps-999" not in control.acl_users()
    assert not [each for each in redis_health.look(timezone.now(), fix=True) if each.is_fixed]


def test_rights_that_grew_are_cut_again(vps, control):
    redis_users.access(vps)
    control.execute_command("ACL SETUSER", f"vps-{vps.pk}", "+@all", "~*", "allchannels")
    assert redis_users.apply()
    assert "+@all" not in str(control.acl_list())[60:]
    assert not redis_users.apply()


def test_nothing_else_in_redis_is_touched(vps, control):
    control.execute_command("ACL SETUSER", "somebody", "on", ">pw", "+get", "~x")
    redis_users.apply()
    assert "somebody" in control.acl_users()
    control.acl_deluser("somebody")


def test_one_sealed_under_a_lost_key_spoils_no_other(vps, control, settings):
    url = redis_users.access(vps).url
    lost = build.vps("lost")
    redis_users.access(lost)
    RedisUser.objects.filter(vps=lost).update(sealed_password="gone:AAAA")
    redis_users.apply()
    assert can_sign_in(url)
    assert f"vps-{lost.pk}" not in control.acl_users()


# ------------------------------------------------------------------------------------------------ rotating, cutting off


def test_both_passwords_are_good_until_the_new_one_is_used(vps, control, operator):
    old = redis_users.access(vps).url
    redis_users.rotate(vps, operator)
    new = redis_users.access(vps).url
    redis_users.rotate(vps, operator)
    assert new == redis_users.access(vps).url != old
    assert can_sign_in(old)
    assert can_sign_in(new)
    assert redis_users.settle() == 0
    password = RedisUser.objects.get().passwords()[-1]
    with redis.Redis.from_url(new, client_name=client_name(vps.pk, password), driver_info=None) as agent:
        agent.ping()
        with redis.Redis.from_url(old, client_name=client_name(vps.pk, "old"), driver_info=None) as other:
            other.ping()
            assert redis_users.settle() == 0
        wait_until(lambda: len(control.client_list()) == 2, "the old connection is gone", 5)
        assert redis_users.settle() == 1
        agent.ping()
    assert not can_sign_in(old)
    assert can_sign_in(new)
    assert redis_users.access(vps).url == new
    assert AuditEntry.objects.filter(verb="rotate redis password").count() == 1


def test_who_is_cut_off_is_out_and_stays_out_until_admitted(vps, operator):
    old = redis_users.access(vps).url
    with redis.Redis.from_url(old, driver_info=None) as agent, agent.pubsub() as pubsub:
        pubsub.subscribe(commands_channel(vps.pk))
        pubsub.get_message(timeout=5)
        redis_users.cut_off(vps, operator)
        with pytest.raises(redis.ConnectionError):
            pubsub.get_message(timeout=5)
    redis_users.heal()
    assert not can_sign_in(old)
    with pytest.raises(redis_users.CutOffError):
        redis_users.access(vps)
    redis_users.admit(vps, operator)
    assert not can_sign_in(old)
    assert can_sign_in(redis_users.access(vps).url)
    verbs = list(AuditEntry.objects.order_by("pk").values_list("verb", flat=True))
    assert verbs == ["cut off from redis", "admit to redis"]


def test_what_is_undone_in_the_database_never_reached_redis(vps, operator):
    url = redis_users.access(vps).url
    with transaction.atomic():
        redis_users.cut_off(vps, operator)
        transaction.set_rollback(True)
    assert can_sign_in(url)


def test_while_redis_is_away_the_word_is_kept(vps, server, operator):
    url = redis_users.access(vps).url
    server.stop()
    with pytest.raises(NotYet, match="noted, not done: Redis does not answer"):
        redis_users.cut_off(vps, operator)
    redis_users.heal()
    server.start()
    redis_users.heal()
    assert not can_sign_in(url)


def test_a_vps_that_is_deleted_takes_its_user_along(vps, control, client_of, operator):
    redis_users.access(vps)
    page = client_of(operator).post(f"/admin/fleet/vps/{vps.pk}/delete/", {"post": "yes"})
    assert page.status_code == 302
    assert f"vps-{vps.pk}" not in control.acl_users()


def test_a_vps_that_is_removed_is_out_of_redis(control, operator, alice):
    never_used, used = build.vps("never used"), build.vps("used")
    run = build.running(build.stream(alice), used)
    Run.objects.filter(pk=run.pk).update(slot_released_at=timezone.now())
    for vps in (never_used, used):
        url = redis_users.access(vps).url
        assert can_sign_in(url)
        actions.remove(vps, operator)
        assert not can_sign_in(url)
    assert redis_users.missing() == []


@pytest.mark.postgres
def test_whoever_writes_last_writes_what_is_true(vps, control, operator):
    """Many at once, each with its own view of the database: what is left agrees with it."""
    redis_users.access(vps)
    verbs = itertools.cycle([redis_users.rotate, redis_users.cut_off, redis_users.admit, _heal])
    outcomes = at_once(16, lambda: next(verbs)(vps, operator))
    assert outcomes == [None] * 16
    assert not redis_users.apply(), "Redis did not agree"


def _heal(*_who):
    redis_users.heal()


# ------------------------------------------------------------------------------------------------ a Redis without ACL


def test_a_redis_without_acl_is_told_clearly_and_shared_only_when_allowed(vps, control, settings):
    control.execute_command("ACL SETUSER", "weak", "on", ">pw", "~*", "&*", "+@all", "-acl")
    weak = settings.AGENT_REDIS_URL.replace("unix://", "unix://weak:pw@")
    settings.AGENT_REDIS_URL = settings.AGENT_REDIS_PUBLIC_URL = weak
    with pytest.raises(redis_users.NoUsersError, match=r"keeps no users for agents .+ AGENTS_SHARE_REDIS_USER=1"):
        redis_users.access(vps)
    found = [each.words for each in redis_health.look(timezone.now())]
    assert any(words.startswith("Redis keeps no users") for words in found)
    settings.AGENTS_SHARE_REDIS_USER = True
    assert redis_users.access(vps).url == weak
    with pytest.raises(CommandError, match=r"still in Redis\. .+ another password of that user puts it out"):
        call_command("redis_users", vps.name, "--cut-off")
    redis_users.admit(vps, None)
    assert not [each for each in redis_health.look(timezone.now()) if "keeps no users" in each.words]
    settings.AGENT_REDIS_URL = settings.AGENT_REDIS_PUBLIC_URL = settings.REDIS_URL


@pytest.mark.parametrize(("address", "is_said"), [("redis://redis.example.com", True), ("redis://127.0.0.1", False)])
def test_a_door_that_is_open_to_everybody_is_said(control, settings, address, is_said):
    settings.AGENT_REDIS_PUBLIC_URL = address
    found = [each.words for each in redis_health.look(timezone.now())]
    assert any("whoever reaches it" in words for words in found) == is_said


# ------------------------------------------------------------------------------------------------ the command


def test_the_command_does_and_tells(vps, control, capsys):
    call_command("redis_users", vps.name)
    assert "no Redis user yet" in capsys.readouterr().out
    call_command("redis_users", vps.name, "--access")
    lines = dict(line.split("=", 1) for line in capsys.readouterr().out.splitlines())
    assert lines["EZSTREAM_VPS_ID"] == str(vps.pk)
    assert can_sign_in(lines["EZSTREAM_REDIS_URL"])
    call_command("redis_users", vps.name, "--rotate")
    assert "two passwords" in capsys.readouterr().out
    call_command("redis_users", vps.name, "--cut-off")
    call_command("redis_users")
    said = capsys.readouterr().out
    assert "cut off since" in said
    assert "Redis agreed; 0 old passwords" in said
    with pytest.raises(CommandError, match="cut off"):
        call_command("redis_users", vps.name, "--access")
    call_command("redis_users", vps.name, "--admit")
    with pytest.raises(CommandError, match="no VPS named"):
        call_command("redis_users", "nobody")


# ------------------------------------------------------------------------------------------------ a real agent


@pytest.fixture
def agent(vps, tmp_path):
    process = AgentProcess(redis_users.access(vps).url, tmp_path / "work", "127.0.0.1:1", vps.pk)
    yield process
    process.clear_away()


def test_a_real_agent_lives_under_its_own_user_and_asks_for_nothing_more(vps, control, server, agent, operator):
    control.execute_command("ACL LOG", "RESET")
    ear = Ear(server.url)
    agent.start()
    ear.wait_for(lambda message: message.vps_id == vps.pk)
    ear.command(vps.pk, Ping(timestamp=5.0))
    ear.wait_for(lambda message: isinstance(message, Pong) and message.ping_timestamp == 5.0)
    assert control.execute_command("ACL LOG") == []
    users = {each["user"] for each in control.client_list() if each["name"].startswith("ezstream-agent")}
    assert users == {f"vps-{vps.pk}"}
    redis_users.cut_off(vps, operator)
    wait_until(lambda: not _connections(control, vps), "the agent is out", OUT_WITHIN_S)
    agent.end()
    ear.close()


def test_a_real_agent_comes_back_when_redis_has_forgotten(vps, control, server, agent):
    ear = Ear(server.url)
    agent.start()
    ear.wait_for(lambda message: message.vps_id == vps.pk)
    server.stop()
    server.start()
    redis_users.heal()
    again = Ear(server.url)
    again.wait_for(lambda message: message.vps_id == vps.pk)
    agent.end()


def test_a_real_agent_started_anew_ends_a_rotation(vps, control, server, agent, tmp_path):
    agent.start()
    wait_until(lambda: len(_connections(control, vps)) == 2, "the agent is there", 15)
    redis_users.rotate(vps, None)
    assert redis_users.settle() == 0
    agent.end()
    anew = AgentProcess(redis_users.access(vps).url, tmp_path / "work", "127.0.0.1:1", vps.pk)
    anew.start()
    wait_until(lambda: redis_users.settle() == 1, "the old password is gone", 15)
    anew.clear_away()


def _connections(control, vps):
    return [each for each in control.client_list() if each["user"] == f"vps-{vps.pk}"]
