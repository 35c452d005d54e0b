"""Settings of the fleet that cannot work, found at the start."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from fleet.provision.apt import Upgrade


@register()
def provisioning_settings(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    known = [each.value for each in Upgrade]
    if settings.PROVISION_UPGRADE in known:
        return []
    hint = f"Set PROVISION_UPGRADE to one of: {', '.join(known)}."
    return [Error("PROVISION_UPGRADE is nothing we know.", hint=hint, id="fleet.E001")]
