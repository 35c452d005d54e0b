"""What is ticked, searched and sorted in the list of streams."""

from __future__ import annotations

from typing import Final

from django import forms
from django.utils.translation import gettext_lazy as _

from streams.forms.fields import IdsField
from streams.groups import GROUPS
from streams.models import StreamQuerySet


class ConfirmedForm(forms.Form):
    """Carries what was ticked over the page that asks."""

    do = forms.CharField(widget=forms.HiddenInput)
    stream = IdsField()
    next = forms.CharField(required=False, widget=forms.HiddenInput)
    confirmed = forms.CharField(initial="1", widget=forms.HiddenInput)


class FilterForm(forms.Form):
    """The streams list: search, state, order. What is not offered counts as not asked for."""

    SORTS: Final[dict[str, tuple[str, ...]]] = {
        "": ("-created_at", "-id"),
        "title": ("title", "id"),
        "status": ("-status", "-status_since", "id"),
        "started": ("-last_started_at", "-id"),
    }
    q = forms.CharField(
        label=_("Search"),
        required=False,
        max_length=100,
        widget=forms.TextInput(attrs={"type": "search", "class": "form-control", "placeholder": _("Search by title")}),
    )
    STATE_LABELS: Final = [
        ("", _("all")),
        ("on_air", _("on air")),
        ("off_air", _("off air")),
        ("failed", _("failed")),
    ]
    state = forms.ChoiceField(
        label=_("State"),
        required=False,
        choices=STATE_LABELS,
        widget=forms.HiddenInput,
    )
    sort = forms.ChoiceField(
        label=_("Sort by"),
        required=False,
        choices=[
            ("", _("Newest first")),
            ("title", _("By title")),
            ("status", _("By state")),
            ("started", _("Last started first")),
        ],
        widget=forms.Select(attrs={"class": "form-select"}),
    )

    def narrowed(self, streams: StreamQuerySet) -> StreamQuerySet:
        self.is_valid()
        wanted = self.cleaned_data
        if wanted.get("q"):
            streams = streams.filter(title__icontains=wanted["q"])
        if wanted.get("state"):
            streams = streams.filter(status__in=GROUPS[wanted["state"]])
        return streams.order_by(*self.SORTS[wanted.get("sort", "")])
