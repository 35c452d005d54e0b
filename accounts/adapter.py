"""Where our accounts differ from allauth's: limits, what is recorded, and which columns are written."""

from __future__ import annotations

import time
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts import audit, throttle, time_zones
from accounts.models import SignIn, User


class Adapter(DefaultAccountAdapter):
    error_messages = DefaultAccountAdapter.error_messages | {
        "email_password_mismatch": _("This e-mail and password do not belong together."),
        "email_taken": _("There is already an account with this e-mail."),
        "enter_current_password": _("This is not your current password."),
        "incorrect_password": _("This is not your password."),
    }

    # ---------------------------------------------------------------- signing in and out
    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        email, address = str(credentials.get("email", "")), self.get_client_ip(request)
        try:
            throttle.attempt(email, address, time.time())
        except throttle.LockedError as locked:
            raise ValidationError(locked_message(locked.minutes), code="locked") from locked
        user: User | None = super().authenticate(request, **credentials)
        if user:
            throttle.succeeded(email, address)
        return user

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        user = User.objects.filter(email=str(credentials.get("email", ""))).first()
        if user:
            _remember_sign_in(user, request, succeeded=False)

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        _remember_sign_in(user, request, succeeded=True)
        audit.record(user, "log in", user, request)
        if not user.time_zone:
            user.time_zone = time_zones.of_browser(request.COOKIES)
            user.save(update_fields=["time_zone"])
        response: HttpResponse = super().post_login(request, user, **kwargs)
        return response

    def logout(self, request: HttpRequest) -> None:
        if isinstance(request.user, User):
            audit.record(request.user, "log out", request.user, request)
        super().logout(request)

    # ---------------------------------------------------------------- what is written
    def save_user(self, request: HttpRequest, user: User, form: Form, commit: bool = True) -> User:
        user.name = form.cleaned_data["name"]
        user.time_zone = form.cleaned_data.get("time_zone") or time_zones.of_browser(request.COOKIES)
        saved: User = super().save_user(request, user, form, commit)
        if commit:
            audit.record(saved, "register", saved, request)
        return saved

    def set_password(self, user: User, password: str) -> None:
        """Writes the one column: what an upload adds to the row meanwhile must stay."""
        user.set_password(password)
        user.save(update_fields=["password"])
        audit.record(user, "change password", user, self.request)

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        user = email_address.user
        if User.objects.filter(email=email_address.email).exclude(pk=user.pk).exists():
            self.add_message(request, messages.ERROR, "account/messages/email_confirmation_failed.txt")
            return False
        if not super().confirm_email(request, email_address):
            return False
        User.objects.filter(pk=user.pk).update(email_verified_at=timezone.now())
        audit.record(user, "verify e-mail", user, request, email=email_address.email)
        return True

    # ---------------------------------------------------------------- where to go next
    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("accounts:home")

    def get_email_verification_redirect_url(self, email_address: EmailAddress) -> str:
        return reverse("accounts:home" if self.request.user.is_authenticated else "account_login")


def locked_message(minutes: int) -> str:
    return ngettext(
        "Too many failed attempts from your address. Try again in %(n)d minute, or reset your password.",
        "Too many failed attempts from your address. Try again in %(n)d minutes, or reset your password.",
        minutes,
    ) % {"n": minutes}


def _remember_sign_in(user: User, request: HttpRequest, *, succeeded: bool) -> None:
    SignIn.objects.create(
        user=user,
        succeeded=succeeded,
        address=audit.address_of(request),
        user_agent=request.META.get("HTTP_USER_AGENT", "")[:300],
    )
