"""A key of FIELD_KEYS is replaced without a flag day."""

import pytest
from django.core.management import CommandError, call_command

from fleet.models import RedisUser, Vps
from ops import secrets
from streams.models import Destination, LiveInput

pytestmark = pytest.mark.django_db
OLD, NEW = bytes(32), bytes(range(32))


@pytest.fixture
def destination(alice, settings):
    settings.FIELD_KEYS = {"old": OLD}
    row = Destination(owner=alice, name="Tube", url="rtmp://tube.example/live")
    row.set_key("k-123")
    row.save()
    return row


@pytest.fixture
def live(alice, settings):
    settings.FIELD_KEYS = {"old": OLD}
    row = LiveInput(owner=alice, name="Studio")
    row.set_url("rtmp://studio.example/live/k")
    row.save()
    return row


@pytest.fixture
def vps(settings):
    settings.FIELD_KEYS = {"old": OLD}
    row = Vps(name="fra-1", host="192.0.2.1")
    row.set_password("pw")
    row.save()
    return row


def test_everything_is_under_the_new_key_then_the_old_one_may_go(destination, live, vps, settings, capsys):
    settings.FIELD_KEYS = {"new": NEW, "old": OLD}
    call_command("secrets_reseal")
    assert "Sealed again: 3." in capsys.readouterr().out
    settings.FIELD_KEYS = {"new": NEW}
    destination.refresh_from_db()
    live.refresh_from_db()
    vps.refresh_from_db()
    assert (destination.key(), live.url(), vps.password()) == ("k-123", "rtmp://studio.example/live/k", "pw")
    assert vps.sealed_private_key == ""


def test_a_second_time_there_is_nothing_to_do(destination, settings):
    settings.FIELD_KEYS = {"new": NEW, "old": OLD}
    assert secrets.reseal() == 1
    assert secrets.reseal() == 0


def test_a_key_typed_meanwhile_is_kept(destination, settings, monkeypatch):
    settings.FIELD_KEYS = {"new": NEW, "old": OLD}
    rows = list(secrets._sealed_before(secrets.COLUMNS[0]))
    destination.set_key("k-456")
    destination.save()
    assert secrets._reseal(secrets.COLUMNS[0], rows[0]) == 0
    destination.refresh_from_db()
    assert destination.key() == "k-456"


def test_without_the_old_key_it_says_which_is_missing(destination, settings):
    settings.FIELD_KEYS = {"new": NEW}
    with pytest.raises(CommandError, match="«old»"):
        call_command("secrets_reseal")


def test_both_passwords_of_an_agent_are_sealed_again(vps, settings):
    user = RedisUser(vps=vps)
    user.sealed_password, user.sealed_next_password = user.sealed("old"), user.sealed("new")
    user.save()
    settings.FIELD_KEYS = {"new": NEW, "old": OLD}
    assert secrets.reseal() == 3
    settings.FIELD_KEYS = {"new": NEW}
    user.refresh_from_db()
    assert user.passwords() == ["old", "new"]
