"""The form of a VPS: its secrets go in and never come out."""

from __future__ import annotations

import ipaddress
import re
from typing import Any, Final

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from fleet.models import Enrolment, Vps
from fleet.provision import keys
from fleet.provision.errors import BadLogin

_LABEL: Final = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = re.compile(rf"(?=.{{1,253}}\Z)({_LABEL}\.)*{_LABEL}\.?\Z", re.IGNORECASE)
_USER: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9._-]{0,63}\Z")
_KEPT: Final = _("Leave it empty to keep what is there. It is stored encrypted and never shown.")


class VpsForm(forms.ModelForm):  # type: ignore[type-arg]
    password = forms.CharField(
        label=_("Password"), required=False, max_length=1024, strip=False, help_text=_KEPT,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
    )  # fmt: skip
    private_key = forms.CharField(
        label=_("Private key"), required=False, max_length=20_000, help_text=_KEPT,
        widget=forms.Textarea(attrs={"rows": 4, "cols": 72, "spellcheck": "false", "autocomplete": "off"}),
    )  # fmt: skip

    class Meta:
        model = Vps
        fields = [
            "name", "host", "region", "max_streams", "supports_multistream", "uplink_mbit", "ssh_user", "ssh_port",
            "use_key", "redis_by_tunnel",
        ]  # fmt: skip

    def clean_host(self) -> str:
        """An address or a name; an IPv6 address may come in brackets."""
        host = str(self.cleaned_data["host"]).strip()
        bare = host.removeprefix("[").removesuffix("]")
        try:
            return str(ipaddress.ip_address(bare))
        except ValueError:
            if not _NAME.match(host):
                raise ValidationError(_("This is neither an IP address nor the name of a host.")) from None
        return host

    def clean_ssh_user(self) -> str:
        user = str(self.cleaned_data["ssh_user"]).strip()
        if not _USER.match(user):
            raise ValidationError(_("This is no name of a user."))
        return user

    def clean_private_key(self) -> str:
        text = str(self.cleaned_data["private_key"])
        if text.strip():
            try:
                keys.read_private(text)
            except BadLogin as error:
                raise ValidationError(str(error)) from None
        return text

    def clean(self) -> dict[str, Any] | None:
        """A changed address is another server: what was confirmed of the old one says nothing of it."""
        if self.instance.pk and {"host", "ssh_port"} & set(self.changed_data):
            self.instance.host_key = ""
        return super().clean()

    def seal(self, vps: Vps) -> list[str]:
        """Seals what was typed into the row; gives the columns that changed."""
        changed = []
        if self.cleaned_data["password"]:
            vps.set_password(self.cleaned_data["password"])
            changed.append("sealed_password")
        if self.cleaned_data["private_key"].strip():
            vps.set_private_key(self.cleaned_data["private_key"])
            changed.append("sealed_private_key")
        return changed


class EnrolmentForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Enrolment
        fields = ["name", "region", "max_streams"]
        help_texts = {"name": _("Empty: the server's own name.")}
