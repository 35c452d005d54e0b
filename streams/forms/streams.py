"""The stream editor's fields."""

from __future__ import annotations

from typing import Any, Final

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.http import QueryDict
from django.utils.datastructures import MultiValueDict
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from media_library.models import VideoFile
from media_library.stills import MOST_BYTES
from streams.actions import spec_of
from streams.forms.fields import IdsField, ItemsField, StillField, ids, items
from streams.models import LONGEST_BROADCAST_H, Order, Stream
from streams.rules import MOST_RESTARTS
from streams.spec import USUAL_RESTARTS

MOST_CLIPS: Final = 300
"""In the list to choose a slate from; the one that is chosen is always there."""


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
    playlist = ItemsField(
        label=_("Playlist"), error_messages={"required": _("Add at least one video or live input to the playlist.")}
    )
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
    max_restarts = forms.IntegerField(
        label=_("Tries to bring it back on air"),
        required=False,
        min_value=0,
        max_value=MOST_RESTARTS,
        initial=USUAL_RESTARTS,
        help_text=_("In a row, after 30 seconds, 1 minute, then every 2 minutes: 30 take about an hour."),
        widget=forms.NumberInput(attrs={"class": "form-control", "inputmode": "numeric"}),
    )
    restart_every_h = forms.IntegerField(
        label=_("Planned restart every … hours"),
        required=False,
        min_value=0,
        max_value=LONGEST_BROADCAST_H,
        help_text=_(
            "Every destination begins a new broadcast, all at once, when a video ends near that time. Empty: never. "
            "What a single platform needs is set at its destination."
        ),
        widget=forms.NumberInput(attrs={"class": "form-control", "inputmode": "numeric"}),
    )
    outputs = IdsField(
        label=_("Destinations"), error_messages={"required": _("Choose at least one destination, or add one.")}
    )
    enabled = IdsField(required=False)
    slate = forms.ChoiceField(
        label=_("When nothing can play"),
        required=False,
        choices=[
            ("made", _("A plain picture that EZStream makes")),
            ("clip", _("One of my videos, over and over")),
            ("picture", _("A picture of mine")),
        ],
        initial="made",
        widget=forms.RadioSelect(attrs={"class": "form-check-input"}),
    )
    slate_clip = forms.IntegerField(
        label=_("Video"), required=False, widget=forms.Select(attrs={"class": "form-select"})
    )
    slate_picture = StillField(
        label=_("Picture"),
        required=False,
        help_text=_("PNG, JPEG or WebP, at most 5 MiB and 4096×4096. It counts against your storage."),
        widget=forms.FileInput(
            attrs={"class": "form-control", "accept": "image/png,image/jpeg,image/webp", "data-most": MOST_BYTES}
        ),
    )

    def __init__(
        self,
        data: QueryDict | None = None,
        files: MultiValueDict[str, UploadedFile[Any]] | None = None,
        *,
        owner: User,
        initial: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(data, files, initial=initial)
        chosen = ids([self["slate_clip"].value() or ""])
        self.fields["slate_clip"].widget.choices = [("", _("Choose a video")), *_clips(owner, chosen)]

    def clean_slate(self) -> str:
        return self.cleaned_data["slate"] or "made"

    def clean_max_restarts(self) -> int:
        typed = self.cleaned_data["max_restarts"]
        return USUAL_RESTARTS if typed is None else int(typed)

    def clean_restart_every_h(self) -> int | None:
        return self.cleaned_data["restart_every_h"] or None

    def clean_title(self) -> str:
        title: str = self.cleaned_data["title"]
        return " ".join(title.split())


def _clips(owner: User, chosen: list[int]) -> list[tuple[int, str]]:
    """The owner's newest videos, and the one that is chosen."""
    mine = VideoFile.objects.of(owner).playable()
    newest = list(mine.values_list("pk", "title")[:MOST_CLIPS])
    missing = set(chosen) - {pk for pk, _title in newest}
    return [*newest, *mine.filter(pk__in=missing).values_list("pk", "title")]


def typed(data: QueryDict) -> dict[str, Any]:
    """What was typed into a StreamForm, unchecked: the page is shown again with nothing lost."""
    return {
        "title": data.get("title", "")[:255],
        "description": data.get("description", ""),
        "order": data.get("order", Order.SEQUENTIAL),
        "loop": "loop" in data,
        "keep_files_after_stop": "keep_files_after_stop" in data,
        "max_restarts": data.get("max_restarts", str(USUAL_RESTARTS)),
        "restart_every_h": data.get("restart_every_h", ""),
        "playlist": items(data.getlist("playlist")),
        "outputs": ids(data.getlist("outputs")),
        "enabled": ids(data.getlist("enabled")),
        "slate": data.get("slate", "made"),
        "slate_clip": data.get("slate_clip", ""),
    }


def stored(stream: Stream) -> dict[str, Any]:
    """The form's contents for a stream as it is."""
    spec = spec_of(stream)
    return {
        "title": spec.title,
        "description": spec.description,
        "order": spec.order,
        "loop": spec.loop,
        "keep_files_after_stop": spec.keep_files_after_stop,
        "max_restarts": spec.max_restarts,
        "restart_every_h": spec.restart_every_h,
        "playlist": list(spec.items),
        "outputs": [output.destination_id for output in spec.outputs],
        "enabled": [output.destination_id for output in spec.outputs if output.enabled],
        "slate": spec.slate.kind,
        "slate_clip": spec.slate.clip_id,
    }
