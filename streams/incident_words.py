"""Incidents in plain words."""

from __future__ import annotations

from typing import Final

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from streams.incident_kinds import Incident, What

_TONES: Final = {What.START: "danger", What.OUTAGE: "danger", What.PLAYER: "danger", What.DESTINATION: "warning"}


def what(incident: Incident) -> str:
    """What happened, without the cause."""
    n, subject = incident.times, incident.subject
    if incident.what is What.SLATE and n > 1:
        return _("The slate was on air %(n)d times") % {"n": n}
    if incident.what is What.PLAYER:
        words = ngettext("The player ended and was started again", "The player ended %(n)d times", n)
        return words % {"n": n}
    if incident.what is What.DESTINATION and n > 1:
        return _("%(name)s: off air %(n)d times") % {"name": subject, "n": n}
    if incident.what is What.SKIPPED and n > 1:
        return _("%(n)d items were skipped") % {"n": n}
    return {
        What.START: _("It could not go on air"),
        What.OUTAGE: _("Off air as a whole"),
        What.DESTINATION: _("%(name)s: off air") % {"name": subject},
        What.SLATE: _("The slate was on air"),
        What.INPUT: _("%(name)s: the live input was away") % {"name": subject},
        What.SKIPPED: _("«%(name)s» was skipped") % {"name": subject},
    }[incident.what]


def tone(incident: Incident) -> str:
    return _TONES.get(incident.what, "info")
