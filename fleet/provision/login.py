"""The step that puts a key in the place of the password. Pure.

The password goes only after a sign-in by the key has worked, once before and once after the server was told to take no
passwords.
"""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext as _

from fleet.provision import places
from fleet.provision.ssh import Result
from fleet.provision.step import Action, Command, Finding, Look, Step, Upload, Verb, fields

_LOOK: Final = """\
home=$(getent passwd "$1" | cut -d : -f 6)
grep -qxF "$2" "$home/.ssh/authorized_keys" 2>/dev/null && echo key=there
mkdir -p /run/sshd 2>/dev/null
sshd -T 2>/dev/null | grep -x 'passwordauthentication no' >/dev/null && echo passwords=off
true
"""
_ADD: Final = """\
set -e; umask 077
home=$(getent passwd "$1" | cut -d : -f 6); group=$(id -gn "$1")
install -d -m 700 -o "$1" -g "$group" "$home/.ssh"
list="$home/.ssh/authorized_keys"
[ -z "$(tail -c 1 "$list" 2>/dev/null)" ] || echo >>"$list"
grep -qxF "$2" "$list" 2>/dev/null || echo "$2" >>"$list"
chown "$1:$group" "$list"; chmod 600 "$list"
"""
_RELOAD: Final = "sshd -t && { systemctl reload ssh 2>/dev/null || systemctl reload sshd; }"
_NO_PASSWORDS: Final = b"# EZStream signs in by key.\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"


def step(user: str, public_line: str, *, has_password: bool) -> Step:
    """`has_password`: we still know one. Another user than root needs it for sudo, so there it stays."""
    is_root = user == "root"

    def judge(seen: Result) -> Finding:
        found = fields(seen.out)
        is_so = found.get("key") == "there" and found.get("passwords") == "off"
        note = "" if is_root else _("The password is kept for sudo.")
        return Finding(is_so and not (has_password and is_root), note)

    def check(seen: Result) -> Finding:
        found = fields(seen.out)
        return Finding(found.get("key") == "there" and found.get("passwords") == "off")

    look = ("sh", "-c", _LOOK, "look", user, public_line)
    forget: tuple[Action, ...] = (Verb.FORGET_PASSWORD,) if is_root else ()
    return Step(
        name="key",
        title=_("Sign in by key, not by password"),
        look=Look(look, judge),
        make=lambda seen: (
            Command(("sh", "-c", _ADD, "add", user, public_line)),
            Verb.NEW_CONNECTION_BY_KEY,
            Upload(places.SSHD_DROP_IN, _NO_PASSWORDS, 0o644),
            Command(("sh", "-c", _RELOAD)),
            Verb.NEW_CONNECTION_BY_KEY,
            *forget,
        ),
        check=Look(look, check),
        remedy=_("The password still works for us. Look at /etc/ssh/sshd_config there, then resume."),
    )
