"""The buttons of a VPS's page. To add one, add a row: the page, the question and the answer follow from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from fleet import actions, redis_users
from fleet.lifecycle import Event
from fleet.models import Vps, VpsStatus
from fleet.provision import bundle
from fleet.provision.lifecycle import UPGRADED_IN

Do = Callable[[Vps, User, HttpRequest], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """`do` returns what came of it, in words, and raises `fleet.errors.Refused`. `text` empty: it is not asked first.
    `offered`: of which VPSes the button is there. `gone`: the VPS is no more afterwards. `more`: what else is said of
    this VPS when it is asked. `is_run`: it begins a run, which is shown afterwards. `permission`: of Django's."""

    slug: str
    label: Any
    do: Do
    text: Any = ""
    is_severe: bool = False
    gone: bool = False
    is_run: bool = False
    permission: str = "fleet.change_vps"
    more: Callable[[Vps], str] = lambda _vps: ""
    offered: Callable[[Vps], bool] = lambda _vps: True


def _check(vps: Vps, operator: User, _request: HttpRequest) -> str:
    found = actions.check(vps, operator, timezone.now())
    told = _("«%(vps)s» is well.") % {"vps": vps.name} if not found.reason else f"«{vps.name}»: {found.reason}"
    return " ".join([told, *found.notes])


def _put(event: Event) -> Do:
    def do(vps: Vps, operator: User, request: HttpRequest) -> str:
        new = actions.set_state(vps, event, operator, request)
        return _("«%(vps)s» is %(state)s now.") % {"vps": vps.name, "state": new.label}

    return do


def _restart(vps: Vps, operator: User, _request: HttpRequest) -> str:
    actions.restart_agent(vps, operator)
    return _("The agent of «%(vps)s» is begun anew.") % {"vps": vps.name}


def _begin(verb: Callable[[Vps, User], object]) -> Do:
    def do(vps: Vps, operator: User, _request: HttpRequest) -> str:
        verb(vps, operator)
        return _("A worker takes «%(vps)s» up in a moment.") % {"vps": vps.name}

    return do


def _versions(vps: Vps) -> str:
    ours = bundle.version()
    if vps.agent_version == ours:
        return _("It is %(ours)s already: that is looked at, and nothing is begun anew.") % {"ours": ours}
    return _("From %(theirs)s to %(ours)s.") % {"theirs": vps.agent_version or "–", "ours": ours}


def _redis(verb: Callable[[Vps, User], None], words: Any) -> Do:
    def do(vps: Vps, operator: User, _request: HttpRequest) -> str:
        verb(vps, operator)
        return f"«{vps.name}»: {words}"

    return do


def _remove(vps: Vps, operator: User, request: HttpRequest) -> str:
    actions.remove(vps, operator, request)
    return _("«%(vps)s» is removed.") % {"vps": vps.name}


def _is_not(*states: VpsStatus) -> Callable[[Vps], bool]:
    return lambda vps: vps.state not in states


def _has_login(vps: Vps) -> bool:
    return vps.state is not VpsStatus.PROVISIONING and bool(vps.sealed_private_key or vps.sealed_password)


def _may_upgrade(vps: Vps) -> bool:
    return _has_login(vps) and vps.state in UPGRADED_IN


def _has_access(vps: Vps) -> bool:
    user = getattr(vps, "redis_user", None)
    return user is not None and user.cut_off_at is None


def _is_cut_off(vps: Vps) -> bool:
    user = getattr(vps, "redis_user", None)
    return user is not None and user.cut_off_at is not None


VERBS: Final = (
    Verb(slug="check", label=gettext_lazy("Check health"), do=_check),
    Verb(
        slug="activate",
        label=gettext_lazy("Take streams"),
        do=_put(Event.ACTIVATE),
        text=gettext_lazy("It is chosen for new streams from now on, if it is well."),
        offered=_is_not(VpsStatus.ACTIVE, VpsStatus.PROVISIONING),
    ),
    Verb(
        slug="evacuate",
        label=gettext_lazy("Drain, moving its streams"),
        do=_put(Event.EVACUATE),
        text=gettext_lazy("It gets no new streams. Those on it are moved to others now, one after another."),
        offered=lambda vps: vps.state is VpsStatus.ACTIVE or (vps.state is VpsStatus.DRAINING and not vps.drain_moves),
    ),
    Verb(
        slug="drain",
        label=gettext_lazy("Drain, letting them finish"),
        do=_put(Event.DRAIN),
        text=gettext_lazy("It gets no new streams. Those on it stay until they end."),
        offered=lambda vps: vps.state is VpsStatus.ACTIVE or (vps.state is VpsStatus.DRAINING and vps.drain_moves),
    ),
    Verb(
        slug="deactivate",
        label=gettext_lazy("Switch off"),
        do=_put(Event.SWITCH_OFF),
        text=gettext_lazy("It gets no new streams, and nothing is expected of it. Those on it stay until they end."),
        offered=_is_not(VpsStatus.INACTIVE, VpsStatus.PROVISIONING),
    ),
    Verb(
        slug="restart-agent",
        label=gettext_lazy("Restart agent"),
        do=_restart,
        text=gettext_lazy("Its agent ends and begins anew, over SSH. Streams stay on air."),
        offered=_has_login,
    ),
    Verb(
        slug="upgrade-agent",
        label=gettext_lazy("Upgrade agent"),
        do=_begin(actions.upgrade),
        text=gettext_lazy(
            "The new agent tests the server, then takes the place of the one there. Streams stay on air. One that does "
            "not work is taken back by itself."
        ),
        is_run=True,
        more=_versions,
        offered=_may_upgrade,
    ),
    Verb(
        slug="rotate-redis",
        label=gettext_lazy("New Redis password"),
        do=_redis(redis_users.rotate, gettext_lazy("the new password is made. Provision hands it over.")),
        text=gettext_lazy("Both are good until its agent uses the new one. Provision hands it over."),
        offered=_has_access,
    ),
    Verb(
        slug="cut-off",
        label=gettext_lazy("Cut off from Redis"),
        do=_redis(redis_users.cut_off, gettext_lazy("its agent is out of Redis.")),
        text=gettext_lazy(
            "Its agent is out of Redis at once and cannot come back: we hear nothing from it, and its streams begin "
            "elsewhere. What it still sends only ends with the server."
        ),
        is_severe=True,
        offered=_has_access,
    ),
    Verb(
        slug="admit",
        label=gettext_lazy("Let into Redis again"),
        do=_redis(redis_users.admit, gettext_lazy("it may come back. Provision hands the new password over.")),
        text=gettext_lazy("With a new password. Provision hands it over."),
        offered=_is_cut_off,
    ),
    Verb(
        slug="decommission",
        permission="fleet.delete_vps",
        label=gettext_lazy("Decommission"),
        do=_begin(actions.decommission),
        text=gettext_lazy(
            "Over SSH: agent, nginx, firewall rules, files and the user go from the server; packages and our way in "
            "stay. Then it goes out of the fleet. A server that does not answer can only be removed."
        ),
        is_severe=True,
        is_run=True,
        offered=_has_login,
    ),
    Verb(
        slug="remove",
        permission="fleet.delete_vps",
        label=gettext_lazy("Remove"),
        do=_remove,
        text=gettext_lazy("It goes out of the fleet, with what is known of it. The server itself is left as it is."),
        is_severe=True,
        gone=True,
        offered=_is_not(VpsStatus.PROVISIONING),
    ),
)
BY_SLUG: Final = {verb.slug: verb for verb in VERBS}


def offered(vps: Vps, viewer: User) -> list[Verb]:
    return [verb for verb in VERBS if viewer.has_perm(verb.permission) and verb.offered(vps)]
