"""Test connection: who answers at a VPS's address, whether we may in, and what it is (FLT-6). Within ten seconds."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _

from fleet.models import Vps
from fleet.provision import facts, keys, planning
from fleet.provision.dialing import Limits
from fleet.provision.errors import ADVICE, ChangedKey, SshError, UnknownKey
from fleet.provision.facts import Facts
from fleet.provision.ssh import connect
from fleet.provision.step import Unfit
from kit.crypto import CannotOpenError

LIMITS: Final = Limits(connect_s=3.0, banner_s=2.0, auth_s=3.0, command_s=3.0, total_s=7.0)
WHOLE_S: Final = 9.5
"""To the last word of the last command; the rest of ten seconds is for the page."""


@dataclass(frozen=True, slots=True)
class Probe:
    """`kind`: «ok», «unfit», or of an `SshError`. `host_key`: what was shown; empty when it did not come to that."""

    kind: str
    words: str
    advice: str = ""
    host_key: str = ""
    facts: Facts | None = None
    took_ms: int = 0

    @property
    def is_ok(self) -> bool:
        return self.kind == "ok"

    @property
    def fingerprint(self) -> str:
        return keys.fingerprint(self.host_key) if self.host_key else ""


def probe(vps: Vps) -> Probe:
    began = time.monotonic()
    found = _probe(vps)
    took_ms = round((time.monotonic() - began) * 1000)
    return Probe(found.kind, found.words, found.advice, found.host_key, found.facts, took_ms)


def _probe(vps: Vps) -> Probe:
    try:
        return _ask(vps)
    except (UnknownKey, ChangedKey) as error:
        return Probe(error.kind, str(error), _(ADVICE[error.kind]), error.host_key)
    except SshError as error:
        return Probe(error.kind, str(error), _(ADVICE.get(error.kind, "")))
    except CannotOpenError as error:
        words = _("Its password or key does not open: %(why)s.") % {"why": error}
        return Probe("sealed", words, _("Give it a password or key again, or put the old key back into FIELD_KEYS."))


def _ask(vps: Vps) -> Probe:
    until = time.monotonic() + WHOLE_S
    with connect(planning.target_of(vps), LIMITS) as ssh:
        ssh.until = until
        if not vps.host_key:
            Vps.objects.filter(pk=vps.pk, host_key="").update(host_key=ssh.host_key)
        found = facts.read(ssh.run(facts.ARGV).out)
        try:
            facts.require_fit(found)
        except Unfit as error:
            return Probe("unfit", str(error), error.remedy, ssh.host_key, found)
        return Probe("ok", _("It answers, and we may do everything there."), "", ssh.host_key, found)
