"""What people type about files."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _


class RenameForm(forms.Form):
    title = forms.CharField(
        label=_("Title"), max_length=255, widget=forms.TextInput(attrs={"autocomplete": "off"})
    )


class ChosenForm(forms.Form):
    """Carries the chosen files through the page that asks whether it is meant."""

    file = forms.Field(widget=forms.MultipleHiddenInput)
    confirmed = forms.BooleanField(widget=forms.HiddenInput)
    next = forms.CharField(widget=forms.HiddenInput)


class FindForm(forms.Form):
    """The list's search, sort and filter; anything unknown falls back to the default."""

    SORTS = {
        "newest": ("-created_at", "-id"),
        "oldest": ("created_at", "id"),
        "name": ("title", "id"),
        "longest": ("-duration_s", "id"),
        "largest": ("-size", "id"),
    }

    q = forms.CharField(required=False, max_length=255, label=_("Search"))
    sort = forms.ChoiceField(
        required=False,
        label=_("Sort"),
        choices=[
            ("newest", _("Newest first")),
            ("oldest", _("Oldest first")),
            ("name", _("By name")),
            ("longest", _("Longest first")),
            ("largest", _("Largest first")),
        ],
    )
    state = forms.ChoiceField(
        required=False,
        label=_("State"),
        choices=[
            ("", _("All")),
            ("completed", _("Ready")),
            ("uploading", _("Uploading")),
            ("processing", _("Processing")),
            ("failed", _("Failed")),
        ],
    )

    def value(self, name: str) -> str:
        """The cleaned value; empty when it was not valid."""
        self.is_valid()
        return str(self.cleaned_data.get(name) or "")

    @property
    def is_narrowed(self) -> bool:
        return bool(self.value("q") or self.value("state"))

    @property
    def order(self) -> tuple[str, ...]:
        return self.SORTS[self.value("sort") or "newest"]
