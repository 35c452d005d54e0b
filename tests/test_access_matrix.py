"""Every address of the site, visited as nobody, as a stranger, as the owner and as an operator (SEC-1).

The table below is compared with the resolver: a new address without a row fails the first test. On the way every page
is searched for a destination's key: only the audited reveal to its owner may show it (DST-2).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import time, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib import admin
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from accounts.models import SignIn, UsageReport, User
from agent.protocol import DestinationState
from media_library.models import Upload, VideoFile
from ops.models import Job, Process
from streams import actions, schedule
from streams.models import Run, Stream
from streams.schedule_spec import ScheduleSpec
from streams.tests import build

CANARY = "canary-k3y-0f-a-channel"
ROLES = ("nobody", "stranger", "owner", "operator")
LOGIN = 302
"""Where a login is wanted, nobody is sent there."""


@dataclass(frozen=True)
class Row:
    """One address: its method, which of the world's ids it takes, and the answers in the order of ROLES."""

    name: str
    answers: tuple[int, int, int, int]
    method: str = "get"
    ids: tuple[str, ...] = ()


def everybody(name: str, *ids: str, answer: int = 200) -> Row:
    return Row(name, (answer,) * 4, ids=ids)


def members(name: str, method: str = "get", answer: int = 200) -> Row:
    return Row(name, (LOGIN, answer, answer, answer), method)


def owners(name: str, *ids: str, method: str = "get", answer: int = 200, operator: int = 404) -> Row:
    """Somebody's own thing: a stranger's is not there."""
    return Row(name, (LOGIN, 404, answer, operator), method, ids)


def watched(name: str, *ids: str, method: str = "get", answer: int = 200) -> Row:
    """Somebody's own thing that operators may see and handle, too."""
    return owners(name, *ids, method=method, answer=answer, operator=answer)


def api(name: str, *ids: str, method: str = "get", answer: int = 200) -> Row:
    return Row(name, (401, 404 if ids else answer, answer, answer), method, ids)


TABLE = [
    Row("home", (302, 302, 302, 302)),
    everybody("health"),
    everybody("health_ready", answer=503),
    # ------------------------------------------------------------------------ streams
    members("streams:list"),
    members("streams:rows"),
    members("streams:bulk", "post", 302),
    members("streams:new"),
    members("streams:pick"),
    watched("streams:show", "stream"),
    watched("streams:fragments", "stream"),
    Row("streams:picture", (LOGIN, 404, 404, 404), "get", ("stream",)),  # nothing is on air: no picture
    Row("streams:picture_in", (403,) * 4, "put", ("token",)),
    watched("streams:edit", "stream"),
    watched("streams:output", "stream", "output", method="post", answer=302),
    watched("streams:start", "stream", method="post", answer=302),
    watched("streams:stop", "stream", method="post", answer=302),
    watched("streams:duplicate", "stream", method="post", answer=302),
    watched("streams:delete", "stream"),
    watched("streams:schedule", "stream"),
    watched("streams:schedule_clear", "stream"),
    members("streams:destinations"),
    members("streams:destination_new"),
    owners("streams:destination_edit", "destination"),
    owners("streams:destination_delete", "destination"),
    owners("streams:destination_reveal", "destination", method="post"),
    # ------------------------------------------------------------------------ library
    members("library:list"),
    members("library:bulk_delete", "post", 302),
    Row("library:upload", (401, 200, 200, 200)),
    Row("library:upload_one", (401, 404, 200, 404), "head", ("upload",)),
    everybody("library:download", "token", answer=403),
    owners("library:show", "file"),
    owners("library:row", "file"),
    owners("library:play", "file", answer=200),
    watched("library:thumbnail", "file"),
    owners("library:rename", "file"),
    owners("library:delete", "file"),
    owners("library:refresh", "file", method="post", answer=302),
    # ------------------------------------------------------------------------ API
    api("api:list_streams"),
    api("api:get_stream", "stream"),
    api("api:start_stream", "stream", method="post", answer=409),
    api("api:stop_stream", "stream", method="post"),
    api("api:get_progress", "stream"),
    api("api:get_schedule", "stream"),
    Row("api:put_schedule", (401, 422, 422, 422), "put", ("stream",)),  # an empty body is looked at first
    api("api:delete_schedule", "stream", method="delete", answer=204),
    everybody("api:openapi-json"),
    everybody("api:api-root", answer=404),
    # ------------------------------------------------------------------------ account
    members("accounts:home"),
    members("accounts:usage"),
    members("accounts:usage_csv"),
    Row("accounts:register", (200, 302, 302, 302)),
    Row("account_login", (200, 302, 302, 302)),
    Row("account_signup", (200, 302, 302, 302)),
    Row("account_logout", (302, 200, 200, 200)),
    everybody("account_inactive"),
    members("account_reauthenticate"),
    members("account_email"),
    everybody("account_email_verification_sent"),
    members("account_change_password"),
    members("account_set_password", answer=302),
    everybody("account_reset_password"),
    everybody("account_confirm_login_code", answer=302),
    everybody("account_confirm_email", "key"),
    everybody("account_reset_password_from_key", "uidb36", "key"),
    everybody("account_reset_password_from_key_done"),
    everybody("account_reset_password_done"),
]

# Django's admin: nobody but operators ever gets in; `admin.None` are its redirects of old and its 404.
CONSOLE_PAGES = ["admin:index", "admin:password_change", "admin:password_change_done", "admin:jsi18n"]
CONSOLE_OTHERS = {
    "admin:login",
    "admin:logout",
    "admin:None",
    "admin:app_list",
    "admin:view_on_site",
    "admin:autocomplete",
}
SETS = {"nobody": {302, 403}, "stranger": {302, 403}, "owner": {302, 403}, "operator": {200, 302, 403}}


# ------------------------------------------------------------------------------------------------ the world


@pytest.fixture
def world(alice: User, bob: User, operator: User) -> dict[str, object]:
    """One of everything: alice owns it, bob has nothing, and a key that must not be seen."""
    vps = build.vps()
    stream = build.stream(alice, outputs=0)
    destination = build.destination(alice, key=CANARY)
    output = stream.outputs.create(destination=destination)
    run = build.running(stream, vps)
    state = DestinationState(id=output.pk, state="refused", since=1.7e9, reason="Wrong key.")
    report = asdict(build.report(run, destinations=(state,)))
    Run.objects.filter(pk=run.pk).update(report=report, reported_at=timezone.now(), log_tail=["line"])
    file = _file(alice)
    upload = Upload.objects.create(owner=alice, file=build.file(alice, status="uploading"), length=10)
    actions.set_schedule(stream, ScheduleSpec("UTC", (schedule.daily(time(20), time(22)),)), alice)
    now = timezone.now()
    stream.occurrences.create(starts_at=now - timedelta(hours=1), ends_at=now + timedelta(hours=1))
    Job.objects.create(name="clean", next_run_at=timezone.now())
    Process.objects.create(kind="worker", instance="w:1", seen_at=timezone.now())
    SignIn.objects.create(user=alice, succeeded=True)
    UsageReport.objects.create(user=alice, starts_on=now.date())
    return {
        "stream": stream.pk, "destination": destination.pk, "output": output.pk, "file": file.pk, "upload": upload.pk,
        "token": "nonsense", "key": "nonsense", "uidb36": "1", "stranger": bob, "owner": alice, "operator": operator,
    }  # fmt: skip


def _file(owner: User) -> VideoFile:
    Path(settings.MEDIA_ROOT).mkdir(parents=True, exist_ok=True)
    file = build.file(owner, "Sunrise", size=100, thumbnail=f"{uuid.uuid4()}.jpg")
    for name in (file.stored_name, file.thumbnail):
        default_storage.save(name, ContentFile(b"x" * 100))
    return file


def browser(world: dict[str, object], role: str) -> Client:
    client = Client()
    if role != "nobody":
        client.force_login(world[role])
    return client


def addresses(resolver: URLResolver | None = None, space: str = "") -> Iterator[str]:
    for each in (resolver or get_resolver()).url_patterns:
        if isinstance(each, URLResolver):
            yield from addresses(each, space + (f"{each.namespace}:" if each.namespace else ""))
        elif isinstance(each, URLPattern):
            yield f"{space}{each.name}"


def console() -> set[str]:
    return {name for name in addresses() if name.startswith("admin:")}


# ------------------------------------------------------------------------------------------------ the visits


def test_every_address_has_a_row():
    missing = set(addresses()) - console() - {row.name for row in TABLE}
    assert not missing, f"add these to TABLE: {sorted(missing)}"
    assert not {row.name for row in TABLE} - set(addresses()), "TABLE names addresses that are gone"


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_who_gets_what(world, row, role):
    answer = _visit(world, row, role)
    assert answer.status_code == row.answers[ROLES.index(role)]
    if (row.name, role) != ("streams:destination_reveal", "owner"):
        assert CANARY.encode() not in answer.content


def _visit(world, row, role):
    kwargs = _kwargs(row, world)
    return getattr(browser(world, role), row.method)(reverse(row.name, **kwargs), headers={"Tus-Resumable": "1.0.0"})


def _kwargs(row, world):
    values = [world[name] for name in row.ids]
    if row.name.startswith("account_"):
        return {"kwargs": dict(zip(row.ids, values, strict=True))} if values else {}
    return {"args": values}


@pytest.mark.parametrize("row", [row for row in TABLE if row.method == "post"], ids=lambda row: row.name)
def test_what_changes_something_wants_a_post(world, row):
    answer = browser(world, "owner").get(reverse(row.name, **_kwargs(row, world)))
    assert answer.status_code == 405


@pytest.mark.parametrize("row", [row for row in TABLE if row.method == "post"], ids=lambda row: row.name)
def test_what_changes_something_wants_a_token_of_ours(world, row):
    client = Client(enforce_csrf_checks=True)
    client.force_login(world["owner"])
    answer = client.post(reverse(row.name, **_kwargs(row, world)))
    assert answer.status_code == 403
    assert Stream.objects.get().state == "STREAMING"


# ------------------------------------------------------------------------------------------------ the console


def _console_addresses() -> list[str]:
    """Every list and every row's page of every model in the admin."""
    found = [reverse(name) for name in CONSOLE_PAGES]
    for model in admin.site._registry:
        base = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        found += [reverse(f"{base}_changelist"), reverse(f"{base}_add")]
        row = model._default_manager.first()
        if row is not None:
            found += [reverse(f"{base}_{page}", args=[row.pk]) for page in ("change", "history", "delete")]
    for stream in Stream.objects.all():
        verbs = ("start", "stop", "force-stop")
        found += [reverse("admin:streams_stream_verb", args=[stream.pk, verb]) for verb in verbs]
    return found


def test_every_console_address_is_of_a_known_kind():
    kinds = ("_changelist", "_add", "_change", "_history", "_delete", "_password_change", "_stream_verb")
    unknown = {name for name in console() - CONSOLE_OTHERS - set(CONSOLE_PAGES) if not name.endswith(kinds)}
    assert not unknown, f"visit these in _console_addresses: {sorted(unknown)}"


@pytest.mark.parametrize("role", ROLES)
def test_the_console_is_the_operators(world, role):
    client = browser(world, role)
    for address in _console_addresses():
        answer = client.get(address)
        assert answer.status_code in SETS[role], address
        assert CANARY not in answer.content.decode(), address


def test_an_operator_finds_one_of_everything(world):
    client = browser(world, "operator")
    for model in admin.site._registry:
        base = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        row = model._default_manager.first()
        if row is not None:
            assert client.get(reverse(f"{base}_changelist")).status_code == 200, base
            assert client.get(reverse(f"{base}_change", args=[row.pk])).status_code == 200, base


def test_the_world_keeps_its_key(world):
    """The canary would prove nothing if the key were not there."""
    stream = Stream.objects.get()
    assert stream.outputs.get().destination.key() == CANARY
    assert actions.reveal_key(stream.outputs.get().destination, world["owner"]) == CANARY
