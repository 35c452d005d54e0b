"""Choices that carry their colour: templates ask `status.tone`, they compare no strings."""

from __future__ import annotations

from django.db import models


class TonedChoices(models.TextChoices):
    """A TextChoices whose members know the tone they are shown in.

    Subclasses declare members as `NAME = "value", "Label"` and a `tones()` table. Tones are the design
    system's: neutral, info, live, warning, danger.
    """

    @classmethod
    def tones(cls) -> dict[str, str]:
        return {}

    @property
    def tone(self) -> str:
        return self.tones().get(self.value, "neutral")
