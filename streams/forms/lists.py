"""What people type about streams and destinations. The rules themselves are the actions'."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from django import forms
from django.http import QueryDict
from django.utils.translation import gettext_lazy as _

from streams import platforms, rules
from streams.errors import Invalid, Refused
from streams.groups import GROUPS
from streams.models import Destination, Order, Platform, Stream, StreamQuerySet
from streams.playlist import MAX_ITEMS


class IdsField(forms.Field):
    """A list of ids in the order sent; anything that is not a number is dropped."""

    widget = forms.MultipleHiddenInput

    def to_python(self, value: Iterable[str] | None) -> list[int]:
        return ids(value or ())


def ids(texts: Iterable[Any]) -> list[int]:
    """One more than a playlist may have is kept, so that the rules can say so instead of a silent cut."""
    numbers = [int(text) for text in texts if str(text).isdecimal() and len(str(text)) < 19]
    return numbers[: MAX_ITEMS + 1]


class StreamForm(forms.Form):
    title = forms.CharField(
        label=_("Title"),
        max_length=255,
        error_messages={"required": _("Give the stream a title.")},
        widget=forms.TextInput(attrs={"class": "form-control", "autocomplete": "off"}),
    )
    description = forms.CharField(
        label=_("Description"),
        required=False,
        help_text=_("Only you see it."),
        widget=forms.Textarea(attrs={"class": "form-control", "rows": 2}),
    )
    playlist = IdsField(label=_("Playlist"), error_messages={"required": _("Add at least one video to the playlist.")})
    order = forms.ChoiceField(
        label=_("Order"),
        choices=Order.choices,
        initial=Order.SEQUENTIAL,
        widget=forms.RadioSelect(attrs={"class": "form-check-input"}),
    )
    loop = forms.BooleanField(
        label=_("Start over at the end"),
        required=False,
        initial=True,
        help_text=_("Off: the stream stops by itself after the last video."),
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )
    keep_files_after_stop = forms.BooleanField(
        label=_("Keep the files on the server after stopping"),
        required=False,
        help_text=_("The next start on the same server is quicker."),
        widget=forms.CheckboxInput(attrs={"class": "form-check-input"}),
    )
    outputs = IdsField(
        label=_("Destinations"), error_messages={"required": _("Choose at least one destination, or add one.")}
    )
    enabled = IdsField(required=False)

    def clean_title(self) -> str:
        title: str = self.cleaned_data["title"]
        return " ".join(title.split())


def typed(data: QueryDict) -> dict[str, Any]:
    """What was typed into a StreamForm, unchecked: the page is shown again with nothing lost."""
    return {
        "title": data.get("title", "")[:255],
        "description": data.get("description", ""),
        "order": data.get("order", Order.SEQUENTIAL),
        "loop": "loop" in data,
        "keep_files_after_stop": "keep_files_after_stop" in data,
        "playlist": ids(data.getlist("playlist")),
        "outputs": ids(data.getlist("outputs")),
        "enabled": ids(data.getlist("enabled")),
    }


def stored(stream: Stream) -> dict[str, Any]:
    """The form's contents for a stream as it is."""
    outputs = list(stream.outputs.filter(destination__deleted_at=None))
    return {
        "title": stream.title,
        "description": stream.description,
        "order": stream.order,
        "loop": stream.loop,
        "keep_files_after_stop": stream.keep_files_after_stop,
        "playlist": list(stream.items.order_by("position").values_list("file_id", flat=True)),
        "outputs": [output.destination_id for output in outputs],
        "enabled": [output.destination_id for output in outputs if output.enabled],
    }


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
                "placeholder": "rtmp://…",
            }
        ),
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
            initial = {"platform": destination.platform, "name": destination.name, "url": destination.url}
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

    def clean_url(self) -> str:
        return self._without(rules.url_problem, "url")

    def clean_key(self) -> str:
        return self._without(rules.key_problem, "key") if self.cleaned_data["key"] else ""

    def _without(self, problem: Callable[[str], str | None], name: str) -> str:
        """What was typed; the rules are the actions', asked here so that all that is wrong is said at once."""
        typed: str = self.cleaned_data[name]
        if words := problem(typed):
            raise forms.ValidationError(words)
        return typed

    @property
    def is_untouched(self) -> bool:
        """Nobody typed into it: the optional part of the stream's page may be left out."""
        return not (self.data.get("name") or self.data.get("key"))


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


_FIELD_OF_SPEC: Final = {"destinations": "outputs", "files": "playlist"}


def show_refusal(form: StreamForm | DestinationForm, refusal: Refused) -> None:
    """Puts the words beside the field they are about."""
    fields = refusal.fields if isinstance(refusal, Invalid) else {"__all__": str(refusal)}
    for name, words in fields.items():
        field = _FIELD_OF_SPEC.get(name, name)
        form.add_error(field if field in form.fields else None, words)
