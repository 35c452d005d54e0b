"""Forms of accounts. allauth's are given our words and fields (ACCOUNT_FORMS)."""

from __future__ import annotations

from typing import Any

from allauth.account import forms as allauth
from allauth.account.models import EmailAddress
from allauth.core import context
from django import forms
from django.contrib import messages
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.auth.password_validation import UserAttributeSimilarityValidator
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from accounts import audit, throttle, time_zones
from accounts.models import User

PASSWORD_HELP = _("At least 8 characters. Not a common password, not your name, not digits only.")


class EmailTakenError(Exception):
    """Somebody else registered this e-mail between the check and the insert."""


class SignupForm(allauth.SignupForm):
    name = forms.CharField(
        label=_("Name"), max_length=120, widget=forms.TextInput(attrs={"autocomplete": "name", "autofocus": True})
    )
    time_zone = forms.CharField(required=False, widget=forms.HiddenInput(attrs={"data-time-zone": ""}))
    field_order = ["name", "email", "password1", "password2", "time_zone"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _rename(self, email=_("E-mail"), password1=_("Password"), password2=_("Password again"))
        self.fields["password1"].help_text = PASSWORD_HELP

    def clean_name(self) -> str:
        return " ".join(str(self.cleaned_data["name"]).split())

    def clean_time_zone(self) -> str:
        return time_zones.known(self.cleaned_data["time_zone"])

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean()
        newcomer = User(name=cleaned.get("name", ""))  # allauth compares with the e-mail only
        try:
            UserAttributeSimilarityValidator(["name"]).validate(cleaned.get("password1", ""), newcomer)
        except ValidationError as error:
            self.add_error("password1", error)
        return cleaned

    def validate_unique_email(self, value: str) -> str:
        """Only an account's own e-mail counts: one that somebody merely asked to change to is still free."""
        if not User.objects.filter(email=value).exists():
            return value
        email: str = super().validate_unique_email(value)
        return email

    def try_save(self, request: HttpRequest) -> tuple[AbstractBaseUser | None, HttpResponse | None]:
        try:
            with transaction.atomic():
                saved: tuple[AbstractBaseUser | None, HttpResponse | None] = super().try_save(request)
                return saved
        except IntegrityError as error:
            raise EmailTakenError from error


class LoginForm(allauth.LoginForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _rename(
            self,
            login=_("E-mail"),
            password=_("Password"),
            remember=_("Keep me signed in on this device for 30 days"),
        )
        self.fields["login"].widget.attrs["autofocus"] = True
        self.fields["password"].help_text = ""


class ChangePasswordForm(allauth.ChangePasswordForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _rename(
            self,
            oldpassword=_("Current password"),
            password1=_("New password"),
            password2=_("New password again"),
        )
        self.fields["oldpassword"].help_text = ""
        self.fields["password1"].help_text = PASSWORD_HELP


class ResetPasswordForm(allauth.ResetPasswordForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _rename(self, email=_("E-mail"))

    def clean_email(self) -> str:
        """The link goes to an account's own e-mail, never to one it only asked to change to."""
        email = str(self.cleaned_data["email"])
        self.users = list(User.objects.filter(email=email, is_active=True))
        return email


class ResetPasswordKeyForm(allauth.ResetPasswordKeyForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _rename(self, password1=_("New password"), password2=_("New password again"))
        self.fields["password1"].help_text = PASSWORD_HELP

    def save(self) -> None:
        super().save()
        throttle.forget(self.user.email, audit.address_of(context.request) or "0.0.0.0")  # noqa: S104


class AddEmailForm(allauth.AddEmailForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _rename(self, email=_("New e-mail"))

    def save(self, request: HttpRequest) -> EmailAddress:
        """Asks the new address. The account's own stays what it is until that answers (allauth's would drop an
        unverified one at once, and leave the account without any)."""
        pending = EmailAddress.objects.filter(user=self.user, verified=False)
        with transaction.atomic():
            pending.exclude(email=self.user.email).delete()
            address = EmailAddress.objects.create(user=self.user, email=self.cleaned_data["email"])
        address.send_confirmation(request)
        messages.info(request, _("Open the link we sent to %(email)s to finish the change.") % {"email": address.email})
        return address


class ReauthenticateForm(allauth.ReauthenticateForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _rename(self, password=_("Password"))
        self.fields["password"].help_text = ""


class ProfileForm(forms.ModelForm):  # type: ignore[type-arg]
    time_zone = forms.ChoiceField(
        label=_("Time zone"), required=False, choices=time_zones.choices, help_text=_("Times are shown in it.")
    )

    class Meta:
        model = User
        fields = ["name", "time_zone"]

    def save_changes(self) -> list[str]:
        """Writes what was changed and nothing else; the names of the changed fields."""
        if self.changed_data:
            self.instance.save(update_fields=self.changed_data)
        return self.changed_data


def _rename(form: forms.Form, **labels: Any) -> None:
    """Our labels; no placeholders, which vanish as soon as one types."""
    for name, label in labels.items():
        if name in form.fields:
            form.fields[name].label = label
            form.fields[name].widget.attrs.pop("placeholder", None)
