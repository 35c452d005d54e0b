"""Operators' open pages, over WebSocket: the provisioning they watch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from channels.db import database_sync_to_async
from django.http import Http404
from django.utils import timezone

from accounts.models import User
from fleet.models import ProvisionRun
from fleet.provision import pages, telling
from streams.consumers import PageConsumer, eyes_of


class ProvisionConsumer(PageConsumer):
    """/ws/provision/{id}: first everything, then what changed, until it is over."""

    refresh_s: ClassVar[float] = 5.0
    _is_first = True

    async def join(self) -> str:
        if not await database_sync_to_async(_may_watch)(self.user, self._run_id):
            raise Http404("no such provisioning")
        return telling.group(self._run_id)

    async def provision_changed(self, event: dict[str, Any]) -> None:
        self.changed(event["run_id"], hurry=False)

    async def everything(self) -> set[int]:
        return {self._run_id}

    async def render(self, ids: Iterable[int]) -> str:
        is_first, self._is_first = self._is_first, False
        page: str = await database_sync_to_async(render_run)(self.scope, self._run_id, is_first)
        return page

    @property
    def _run_id(self) -> int:
        return int(self.scope["url_route"]["kwargs"]["run_id"])


def _may_watch(viewer: Any, run_id: int) -> bool:
    """As the page itself."""
    is_operator = isinstance(viewer, User) and viewer.is_staff and viewer.has_perm("fleet.view_provisionrun")
    return is_operator and ProvisionRun.objects.filter(pk=run_id).exists()


def render_run(scope: dict[str, Any], run_id: int, everything: bool) -> str:
    """Empty when it is gone, or the viewer no operator any more."""
    with eyes_of(scope) as viewer:
        run = ProvisionRun.objects.select_related("vps", "actor").filter(pk=run_id).first()
        if run is None or not _may_watch(viewer, run_id):
            return ""
        return pages.live_html(run, timezone.now(), everything=everything)
