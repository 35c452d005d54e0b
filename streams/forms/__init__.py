"""What people type about streams and destinations. The rules themselves are the actions'."""

from __future__ import annotations

from typing import Final

from django import forms

from streams.errors import Invalid, Refused
from streams.forms.fields import IdsField, ids, items
from streams.forms.lists import ConfirmedForm, FilterForm
from streams.forms.places import DestinationForm, LiveInputForm
from streams.forms.streams import StreamForm, stored, typed

__all__ = [
    "ConfirmedForm",
    "DestinationForm",
    "FilterForm",
    "IdsField",
    "LiveInputForm",
    "StreamForm",
    "ids",
    "items",
    "show_refusal",
    "stored",
    "typed",
]

_FIELD_OF_SPEC: Final = {"destinations": "outputs", "files": "playlist"}


def show_refusal(form: forms.Form, refusal: Refused) -> None:
    """Puts the words beside the field they are about."""
    fields = refusal.fields if isinstance(refusal, Invalid) else {"__all__": str(refusal)}
    for name, words in fields.items():
        field = _FIELD_OF_SPEC.get(name, name)
        form.add_error(field if field in form.fields else None, words)
