import zoneinfo

import pytest

from accounts import time_zones
from accounts.models import User


def test_every_renamed_zone_exists_under_its_new_name():
    assert set(time_zones._RENAMED.values()) <= zoneinfo.available_timezones()


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("Asia/Saigon", "Asia/Ho_Chi_Minh"),
        ("UTC", "UTC"),
        ("Etc/GMT+5", ""),
        ("Mars/Olympus", ""),
        ("../../etc/passwd", ""),
        ("", ""),
    ],
)
def test_only_zones_people_choose_from_are_kept(said, kept):
    assert time_zones.known(said) == kept


def test_all_of_them_can_be_chosen_once():
    flat = [name for _label, group in time_zones.choices() if isinstance(group, list) for name, _label in group]
    assert sorted([*flat, "UTC"]) == sorted(time_zones.names())


def test_an_unknown_zone_is_utc():
    assert time_zones.zone("nonsense") == zoneinfo.ZoneInfo("UTC")


@pytest.mark.parametrize(
    ("chosen", "cookie", "shown"),
    [
        ("Europe/Berlin", "Asia/Tokyo", "Europe/Berlin"),
        ("", "Asia%2FTokyo", "Asia/Tokyo"),
        ("", "nonsense", "UTC"),
        ("", None, "UTC"),
    ],
)
def test_the_accounts_zone_comes_before_the_browsers(chosen, cookie, shown):
    cookies = {} if cookie is None else {time_zones.COOKIE: cookie}
    assert time_zones.zone_for(User(time_zone=chosen), cookies).key == shown
