"""Test connection, and the host key that is confirmed by it."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils.translation import gettext as _

from accounts.models import User
from fleet import actions
from fleet.errors import WrongState
from fleet.models import Vps
from fleet.provision import keys
from fleet.provision.probing import Probe


def page(request: HttpRequest, vps: Vps, context: dict[str, Any]) -> HttpResponse:
    """GET shows what is known; POST tests, confirms a key or forgets it."""
    verb = request.POST.get("verb", "")
    if request.method == "POST" and verb in ("confirm", "forget"):
        return _change_key(request, vps, verb)
    found = actions.test_connection(vps, cast(User, request.user)) if request.method == "POST" else None
    return TemplateResponse(request, "admin/fleet/vps/connection.html", {**context, **_shown(vps, found)})


def _shown(vps: Vps, found: Probe | None) -> dict[str, Any]:
    vps.refresh_from_db(fields=["host_key"])  # a first key may have been taken on trust
    return {
        "vps": vps,
        "title": _("Test connection"),
        "probe": found,
        "pinned": keys.fingerprint(vps.host_key) if vps.host_key else "",
        "ways": [
            words
            for is_there, words in (
                (vps.sealed_private_key, _("a private key")),
                (vps.sealed_password, _("a password")),
            )
            if is_there
        ],
    }


def _change_key(request: HttpRequest, vps: Vps, verb: str) -> HttpResponse:
    actor = cast(User, request.user)
    try:
        if verb == "confirm":
            actions.confirm_host_key(vps, request.POST.get("host_key", ""), actor)
            messages.success(request, _("The host key is confirmed. Test the connection again to sign in."))
        else:
            actions.forget_host_key(vps, actor)
            messages.success(request, _("The host key is forgotten. The next test shows which one answers."))
    except WrongState as refusal:
        messages.error(request, str(refusal))
    return redirect("admin:fleet_vps_connection", vps.pk)
