"""Fields of ours."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext as _

from media_library import stills
from media_library.errors import Unfit
from media_library.stills import Still
from streams.playlist import MAX_ITEMS
from streams.spec import ItemSpec


class IdsField(forms.Field):
    """A list of ids in the order sent; anything that is not a number is dropped."""

    widget = forms.MultipleHiddenInput

    def to_python(self, value: Iterable[str] | None) -> list[int]:
        return ids(value or ())


def ids(texts: Iterable[Any]) -> list[int]:
    """One more than a playlist may have is kept, so that the rules can say so instead of a silent cut."""
    numbers = [int(text) for text in texts if str(text).isdecimal() and len(str(text)) < 19]
    return numbers[: MAX_ITEMS + 1]


class ItemsField(forms.Field):
    """A playlist in the order sent; what is neither a video's nor a live input's id is dropped."""

    widget = forms.MultipleHiddenInput

    def to_python(self, value: Iterable[str] | None) -> list[ItemSpec]:
        return items(value or ())


def items(texts: Iterable[Any]) -> list[ItemSpec]:
    """One more than a playlist may have is kept, as in `ids`."""
    found = (ItemSpec.parse(str(text)) for text in texts)
    return [item for item in found if item is not None][: MAX_ITEMS + 1]


class StillField(forms.FileField):
    """A picture, decoded and drawn anew: its value is a `Still`, or None when none was sent."""

    widget = forms.FileInput

    def clean(self, data: Any, initial: Any = None) -> Still | None:
        sent: UploadedFile[Any] | None = super().clean(data, initial)
        if not sent:
            return None
        try:
            return stills.clean(sent.name or _("picture"), sent.size or 0, sent.chunks())
        except Unfit as reason:
            raise forms.ValidationError(str(reason)) from reason


class UnshownInput(forms.TextInput):
    """What is typed may be read while it is typed, and is never sent back to the page: it may hold a key."""

    def format_value(self, value: Any) -> None:
        return None
