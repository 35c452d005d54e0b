"""Where streams go to, and live inputs they come from. What is secret goes in and never comes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from streams import addresses, platforms
from streams.forms.fields import UnshownInput
from streams.models import LONGEST_BROADCAST_H, Destination, LiveInput, Platform, Via

WHEN: Final = {
    Via.NATIVE: _("Takes the least of the server, and tells the most. Right for nearly everybody."),
    Via.FFMPEG: _(
        "For a server that our own client does not get along with: a process of its own for this destination."
    ),
    Via.NGINX: _("For who runs rules of their own in the nginx of the VPS. It cannot encrypt: rtmp:// only."),
}
"""When each way to push is the right one, in a sentence."""


KEPT: Final = ("platform", "name", "url", "via", "renew_every_h")


class DestinationForm(forms.Form):
    """A destination's fields. The key goes in and never comes out."""

    platform = forms.ChoiceField(
        label=_("Platform"),
        choices=Platform.choices,
        initial=Platform.YOUTUBE,
        widget=forms.Select(attrs={"class": "form-select"}),
    )
    name = forms.CharField(
        label=_("Name"),
        max_length=80,
        error_messages={"required": _("Give the destination a name, so that you know it again.")},
        widget=forms.TextInput(attrs={"class": "form-control", "autocomplete": "off"}),
    )
    url = forms.CharField(
        label=_("Server URL"),
        max_length=500,
        error_messages={"required": _("Type the server's address: rtmp://… or rtmps://…")},
        widget=forms.TextInput(
            attrs={
                "class": "form-control",
                "inputmode": "url",
                "autocomplete": "off",
                "spellcheck": "false",
                "placeholder": "rtmps://…",
            }
        ),
    )
    via = forms.ChoiceField(
        label=_("Pushed by"),
        required=False,
        choices=Via.choices,
        initial=Via.NATIVE,
        widget=forms.RadioSelect(attrs={"class": "form-check-input"}),
    )
    renew_every_h = forms.IntegerField(
        label=_("New broadcast every … hours"),
        required=False,
        min_value=0,
        max_value=LONGEST_BROADCAST_H,
        help_text=_(
            "The connection is closed properly and made anew, at a video's end if one is near that time; the other "
            "destinations notice nothing. Empty: half an hour before the platform's limit (%(limits)s). 0: never."
        )
        % {"limits": platforms.limits_words()},
        widget=forms.NumberInput(attrs={"class": "form-control", "inputmode": "numeric"}),
    )
    key = forms.CharField(
        label=_("Stream key"),
        max_length=500,
        error_messages={"required": _("Paste the stream key of the platform.")},
        widget=forms.PasswordInput(
            render_value=False,
            attrs={"class": "form-control", "autocomplete": "new-password", "spellcheck": "false"},
        ),
    )

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        initial: dict[str, Any] | None = None,
        destination: Destination | None = None,
    ) -> None:
        if destination is not None:
            initial = {name: getattr(destination, name) for name in KEPT}
        initial = {"url": platforms.known(Platform.YOUTUBE).url, **(initial or {})}
        super().__init__(data, initial=initial)
        self.fields["key"].required = destination is None
        self.fields["key"].help_text = (
            _("Stored encrypted. Only you can look at it again, and it is written down when you do.")
            if destination is None
            else _("A key is stored. Leave this empty to keep it.")
        )
        if data is not None:
            self.data = self._with_url(data)

    def _with_url(self, data: QueryDict) -> QueryDict:
        """A known platform's server is filled in where none was typed (with JavaScript the page does it)."""
        platform = data.get("platform")
        if data.get("url", "").strip() or platform not in Platform.values:
            return data
        filled = data.copy()
        filled["url"] = platforms.known(platform).url
        return filled

    def clean_via(self) -> str:
        return self.cleaned_data["via"] or Via.NATIVE

    def clean(self) -> None:
        """nginx takes less than the other two: said beside the choice."""
        found = self.cleaned_data
        if {"via", "url"} <= set(found):
            words = addresses.via_problem(found["via"], found["url"], found.get("key", ""))
            if words:
                self.add_error("via", words)

    def clean_url(self) -> str:
        return self._without(addresses.url_problem, "url")

    def clean_key(self) -> str:
        return self._without(addresses.key_problem, "key") if self.cleaned_data["key"] else ""

    def _without(self, problem: Callable[[str], str | None], name: str) -> str:
        """What was typed; the rules are the actions', asked here so that all that is wrong is said at once."""
        typed: str = self.cleaned_data[name]
        if words := problem(typed):
            raise forms.ValidationError(words)
        return typed

    @property
    def is_advanced(self) -> bool:
        """Something was chosen there, or is wrong."""
        is_set = (self["via"].value() or Via.NATIVE) != Via.NATIVE or self["renew_every_h"].value() not in (None, "")
        return is_set or bool({"via", "renew_every_h"} & set(self.errors))

    def ways(self) -> list[tuple[str, Any, Any, bool]]:
        """How it may be pushed: the stored word, its name, when to take it, and whether it is chosen."""
        chosen = self["via"].value() or Via.NATIVE
        return [(via.value, via.label, WHEN[via], via == chosen) for via in Via]

    @property
    def is_untouched(self) -> bool:
        """Nobody typed into it: the optional part of the stream's page may be left out."""
        return not (self.data.get("name") or self.data.get("key"))


class LiveInputForm(forms.Form):
    """A live input's name and address. The address goes in and never comes out: it may hold a key."""

    prefix = "live"
    name = forms.CharField(
        label=_("Name"),
        max_length=80,
        error_messages={"required": _("Give the live input a name, so that you know it again.")},
        widget=forms.TextInput(attrs={"class": "form-control", "autocomplete": "off"}),
    )
    url = forms.CharField(
        label=_("Address"),
        max_length=500,
        error_messages={"required": _("Type the input's address: rtmp://…, rtmps://… or https://….")},
        widget=UnshownInput(
            attrs={
                "class": "form-control",
                "inputmode": "url",
                "autocomplete": "off",
                "spellcheck": "false",
                "placeholder": "https://…/live.m3u8",
            }
        ),
    )

    def __init__(
        self,
        data: QueryDict | None = None,
        *,
        initial: dict[str, Any] | None = None,
        live: LiveInput | None = None,
    ) -> None:
        super().__init__(data, initial={"name": live.name} if live else initial)
        self.fields["url"].required = live is None
        self.fields["url"].help_text = (
            _("RTMP, RTMPS or HLS. Stored encrypted; only its server is shown again.")
            if live is None
            else _("%(shown)s is stored. Leave this empty to keep it.") % {"shown": addresses.shown(live.url())}
        )

    def clean_url(self) -> str:
        typed: str = self.cleaned_data["url"]
        if typed and (words := addresses.live_url_problem(typed)):
            raise forms.ValidationError(words)
        return typed

    @property
    def is_untouched(self) -> bool:
        """Nobody typed into it: the optional part of the stream's page may be left out."""
        return not (self.data.get("live-name") or self.data.get("live-url"))
