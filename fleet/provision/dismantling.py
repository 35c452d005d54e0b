"""The steps of decommissioning: nothing of ours stays on the server but the way in. Pure.

The packages stay, others may use them by now; so does the key that signs in by: whoever took the password off the
server would shut its owner out with it.
"""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext as _

from fleet.provision import detached, places, upgrade
from fleet.provision.step import Command, Look, Step, always, is_line

_UNIT_THERE: Final = """\
[ -e "$2" ] && echo file
systemctl is-active --quiet "$1" && echo active
systemctl is-enabled --quiet "$1" 2>/dev/null && echo enabled
true
"""
_UNIT_AWAY: Final = """\
systemctl disable --now "$1" 2>/dev/null
rm -f -- "$2" && systemctl daemon-reload
systemctl reset-failed "$1" 2>/dev/null; true
"""
_RULES_THERE: Final = 'nft list table inet ezstream 2>/dev/null | head -n 1; [ ! -e "$1" ] || echo unit'
_RULES_AWAY: Final = """\
systemctl stop ezstream-firewall-undo.timer 2>/dev/null
nft delete table inet ezstream 2>/dev/null; true
"""
_FILES_THERE: Final = 'for each; do [ ! -e "$each" ] || echo "$each"; done'
_FILES: Final = (
    upgrade.FOLDER, places.ETC, places.HOME, places.NGINX_ETC, "/var/log/ezstream-nginx", detached.HOME,
)  # fmt: skip
_USER_THERE: Final = 'getent passwd "$1"; true'
_USER_AWAY: Final = """\
for try in 1 2 3 4 5 6 7 8 9 10; do
  left=
  for each in /proc/[0-9]*; do
    [ "$(stat -c %U "$each" 2>/dev/null)" = "$1" ] && left=yes && kill -KILL "${each#/proc/}" 2>/dev/null
  done
  [ -n "$left" ] || break
  sleep 0.2
done
userdel "$1"
"""


def agent() -> Step:
    return _without_unit("agent", _("Stop the agent, and take its service away"), places.AGENT_UNIT)


def nginx() -> Step:
    return _without_unit("nginx", _("Stop our nginx, and take its service away"), places.NGINX_UNIT)


def firewall() -> Step:
    unit = f"{places.UNITS}/{places.FIREWALL_UNIT}"
    return Step(
        name="firewall",
        title=_("Take our firewall rules away"),
        look=Look(("sh", "-c", _RULES_THERE, "look", unit), is_line("")),
        make=always(
            Command(("sh", "-c", _UNIT_AWAY, "away", places.FIREWALL_UNIT, unit)), Command(("sh", "-c", _RULES_AWAY))
        ),
    )


def user() -> Step:
    """With whatever of it still runs: a playout outlives its agent."""
    return Step(
        name="user",
        title=_("Remove the user «%(user)s»") % {"user": places.USER},
        look=Look(("sh", "-c", _USER_THERE, "look", places.USER), is_line("")),
        make=always(Command(("sh", "-c", _USER_AWAY, "away", places.USER))),
    )


def remains() -> Step:
    return Step(
        name="files",
        title=_("Delete its files"),
        look=Look(("sh", "-c", _FILES_THERE, "look", *_FILES), is_line("")),
        make=always(Command(("rm", "-rf", "--", *_FILES))),
        limit_s=300,
    )


def _without_unit(name: str, title: str, unit: str) -> Step:
    path = f"{places.UNITS}/{unit}"
    return Step(
        name=name,
        title=title,
        look=Look(("sh", "-c", _UNIT_THERE, "look", unit, path), is_line("")),
        make=always(Command(("sh", "-c", _UNIT_AWAY, "away", unit, path))),
    )
