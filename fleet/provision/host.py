"""Steps about the machine itself: what it is, its clock, our user and directories, the nginx of others. Pure."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext as _

from fleet.provision import apt, facts, places
from fleet.provision.remedies import APT
from fleet.provision.ssh import Result
from fleet.provision.step import Command, Finding, Look, Step, always, fields, is_line

_CLOCK: Final = """\
echo "kept=$(systemctl is-active chrony chronyd ntp ntpd ntpsec openntpd systemd-timesyncd | grep -c '^active')"
systemd-detect-virt -q --container && echo container=yes
true
"""
_NGINX: Final = """\
command -v nginx >/dev/null || { echo state=absent; exit 0; }
packages="nginx nginx-common nginx-core nginx-light nginx-full nginx-extras"
changed=$(dpkg --verify $packages 2>/dev/null | grep ' c /etc/nginx/')
sites=$(cd /etc/nginx && ls -A sites-enabled conf.d 2>/dev/null | grep -v -e '^default$' -e ':$' -e '^$')
pages=$(ls -A /var/www/html 2>/dev/null | grep -v '^index.nginx-debian.html$')
[ -z "$changed$sites$pages" ] && echo state=ours-to-stop || echo state=foreign
echo "running=$(systemctl is-active nginx)"; echo "starts=$(systemctl is-enabled nginx 2>/dev/null)"
"""
_USER: Final = 'getent passwd "$1" | cut -d : -f 6,7'
_DIRECTORIES: Final[dict[str, tuple[str, str]]] = {
    places.ETC: ("755", "root:root"),
    places.HOME: ("700", f"{places.USER}:{places.USER}"),
    places.NGINX_ETC: ("700", f"{places.USER}:{places.USER}"),
}


def system() -> Step:
    def judge(seen: Result) -> Finding:
        found = facts.read(seen.out)
        facts.require_fit(found)
        return Finding(True, found.words)

    return Step(name="system", title=_("Look at the system"), look=Look(facts.ARGV, judge))


def clock() -> Step:
    def judge(seen: Result) -> Finding:
        found = fields(seen.out)
        if found.get("container") == "yes":
            return Finding(True, _("A container: its clock is the machine's around it."))
        return Finding(found.get("kept", "0") != "0")

    begin = Command(("systemctl", "enable", "--now", "systemd-timesyncd.service"))
    return Step(
        name="clock",
        title=_("Keep the clock right"),
        look=Look(("sh", "-c", _CLOCK), judge),
        make=always(*apt.install("systemd-timesyncd"), begin),
        limit_s=300,
        failures=APT,
    )


def others_nginx() -> Step:
    """Ours is an instance of its own; what an nginx of others serves is not touched."""

    def judge(seen: Result) -> Finding:
        found = fields(seen.out)
        if found.get("state") == "foreign":
            words = _("nginx serves something else here: left alone, its ports stay open; ours runs beside it.")
            return Finding(True, words)
        is_off = found.get("running") != "active" and found.get("starts") != "enabled"
        return Finding(found.get("state") == "absent" or is_off)

    return Step(
        name="nginx-of-others",
        title=_("Switch nginx's welcome page off"),
        look=Look(("sh", "-c", _NGINX), judge),
        make=always(Command(("systemctl", "disable", "--now", "nginx.service"))),
    )


def user() -> Step:
    add = ("useradd", "--system", "--user-group", "--no-create-home", "--home-dir", places.HOME, "--shell",
           "/usr/sbin/nologin", places.USER)  # fmt: skip
    return Step(
        name="user",
        title=_("Make the user «%(user)s»") % {"user": places.USER},
        look=Look(("sh", "-c", _USER, "user", places.USER), is_line(f"{places.HOME}:/usr/sbin/nologin")),
        make=always(Command(add)),
        remedy=_("Somebody else has this name there: remove or rename that user (deluser), then resume."),
    )


def directories() -> Step:
    wanted = "\n".join(f"{mode} {owner} {path}" for path, (mode, owner) in _DIRECTORIES.items())
    made = [
        Command(("install", "-d", "-m", mode, "-o", owner.split(":")[0], "-g", owner.split(":")[1], path))
        for path, (mode, owner) in _DIRECTORIES.items()
    ]
    return Step(
        name="directories",
        title=_("Make the directories"),
        look=Look(("stat", "-c", "%a %U:%G %n", *_DIRECTORIES), is_line(wanted)),
        make=always(*made),
    )
