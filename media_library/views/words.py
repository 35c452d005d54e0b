"""What static/js/uploads.js says, in the reader's language."""

from __future__ import annotations

from django.utils.translation import gettext as _


def words() -> dict[str, str]:
    return {
        "waiting": _("Waiting for its turn"),
        "starting": _("Starting…"),
        "resuming": _("Going on where it stopped…"),
        "sending": _("{speed}/s, {left} left"),
        "paused": _("Paused at {percent} %"),
        "done": _("Uploaded. See the list below."),
        "cancelled": _("Cancelled."),
        "offline": _("No connection. It goes on by itself when the connection is back."),
        "failed": _("The upload stopped: {why}"),
        "no_answer": _("the server does not answer"),
        "signed_out": _("You are not signed in any more."),
        "sign_in": _("Sign in"),
        "twice": _("«{name}» is being uploaded already."),
        "pause": _("Pause {name}"),
        "resume": _("Resume {name}"),
        "cancel": _("Cancel {name}"),
        "dismiss": _("Dismiss {name}"),
        "seconds": _("{n} s"),
        "minutes": _("{n} min"),
        "hours": _("{n} h {m} min"),
    }
