"""For a server that adds itself: the script, the agent, its registration. No cookie is looked at, none is set.

Whatever sh is given it runs: a refusal is a script that says so and fails, with status 200, for curl hands on no other.
"""

from __future__ import annotations

from typing import Final, Protocol

import redis
import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST

from accounts import audit, throttle
from fleet import enrolling, enrolment_script, redis_users
from fleet.enrolling import BadToken, TryAgain
from fleet.enrolment_script import Enrolling
from fleet.models import EnrolmentState
from fleet.provision import bundle, planning
from fleet.provision.redis_access import RedisAccess

log = structlog.get_logger(__name__)
BAD_TOKENS: Final = throttle.Limit("enrol", attempts=30, window_s=15 * 60)
_TEXT: Final = "text/plain; charset=utf-8"
_SCRIPT: Final = "text/x-shellscript; charset=utf-8"


class View(Protocol):
    def __call__(self, request: HttpRequest, token: str) -> HttpResponse: ...


def rendered(token: str) -> str:
    """The script for one token, as it is asked for and as its sum is shown."""
    agent = planning.agent_of("", redis_users.ca())
    base = f"{settings.SITE_URL}/enrol/{token}"
    return enrolment_script.render(Enrolling(base, agent, bundle.current().hash, settings.SECURE, planning.site_ca()))


def is_possible() -> bool:
    """What is handed over is secret: only over TLS, but on a developer's machine."""
    return bool(settings.SECURE or settings.DEBUG)


def _guarded(view: View) -> View:
    """Answers in words what is refused; whoever guesses is told to wait."""

    @never_cache
    @csrf_exempt
    def guarded(request: HttpRequest, token: str) -> HttpResponse:
        try:
            if not is_possible():
                raise BadToken(_("This control plane has no TLS (SITE_URL): over plain HTTP no server is added."))
            return view(request, token)
        except TryAgain as error:
            return HttpResponse(f"{error}\n", _TEXT, 503)
        except BadToken as error:
            return _refused(request, str(error))

    return guarded


def _refused(request: HttpRequest, words: str) -> HttpResponse:
    try:
        throttle.count(BAD_TOKENS, f"enrol:{audit.address_of(request)}", timezone.now().timestamp())
    except throttle.LockedError as locked:
        words = _("Too many bad tokens from this address: wait %(n)d minutes.") % {"n": locked.minutes}
        return HttpResponse(f"{words}\n", _TEXT, 429)
    except redis.RedisError:
        log.warning("enrolment.not_counted")  # it is refused all the same
    return HttpResponse(f"{words}\n", _TEXT, 403)


@require_GET
def script(request: HttpRequest, token: str) -> HttpResponse:
    answer = _script(request, token)
    if answer.status_code != 200:
        answer = HttpResponse(enrolment_script.refuse(answer.content.decode().strip()), _SCRIPT)
    return answer


@_guarded
def _script(request: HttpRequest, token: str) -> HttpResponse:
    enrolling.find(token, timezone.now(), states=[EnrolmentState.WAITING])
    return HttpResponse(rendered(token), _SCRIPT)


@require_GET
@_guarded
def agent(request: HttpRequest, token: str) -> HttpResponse:
    enrolling.find(token, timezone.now(), states=[EnrolmentState.WAITING])
    return HttpResponse(bundle.current().content, "application/octet-stream")


@require_POST
@_guarded
def register(request: HttpRequest, token: str) -> HttpResponse:
    """Answers with the agent's environment, for a file of mode 0600."""
    name, address = request.POST.get("hostname", "")[:80], audit.address_of(request) or ""
    vps, access = enrolling.register(token, name, address, timezone.now())
    return HttpResponse(planning.environment(vps, RedisAccess(access.url, access.ca)), _TEXT)


@require_GET
@_guarded
def state(request: HttpRequest, token: str) -> HttpResponse:
    row = enrolling.find(token, timezone.now(), states=[EnrolmentState.REGISTERED, EnrolmentState.DONE])
    return HttpResponse("heard" if enrolling.is_heard(row, timezone.now()) else "waiting", _TEXT)


@require_POST
@_guarded
def failed(request: HttpRequest, token: str) -> HttpResponse:
    enrolling.fail(token, request.POST.get("why", ""), timezone.now())
    return HttpResponse(status=204)
