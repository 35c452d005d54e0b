"""What our views are handed."""

from django.http import HttpRequest, HttpResponseRedirect
from django.shortcuts import redirect
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.middleware import HtmxDetails

from accounts.models import User


class Request(HttpRequest):
    """A request behind `login_required`: somebody is there, and htmx is told apart."""

    user: User
    htmx: HtmxDetails


def back(request: HttpRequest) -> HttpResponseRedirect:
    """To the page of ours the form stood on (`next`), else to the list."""
    wanted = request.POST.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return redirect(wanted if is_ours else "streams:list")
