"""What our views are handed."""

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails

from accounts.models import User


class Request(HttpRequest):
    """A request behind `login_required`: somebody is there, and htmx is told apart."""

    user: User
    htmx: HtmxDetails
