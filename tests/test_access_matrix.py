"""Every address of the site, visited as nobody, as a stranger, as the owner and as an operator (SEC-1).

The table below is compared with the resolver: a new address without a row fails the first test. On the way every page
is searched for a destination's key: only the audited reveal to its owner may show it (DST-2).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import time as clock_time
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib import admin
from django.core.cache import cache
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from accounts.models import SignIn, UsageReport, User
from agent.protocol import DestinationState
from fleet.models import Enrolment, ProvisionRun, Rollout, Vps
from media_library.models import Upload, VideoFile
from ops.models import Job, Process
from ops.vps_page import QUESTIONS
from ops.vps_verbs import BY_SLUG
from streams import actions, schedule
from streams.actions.testing import ConnectionTest
from streams.models import Run, SlatePicture, Stream
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
    body: dict[str, object] | None = None


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


def api(name: str, *ids: str, method: str = "get", answer: int = 200, body: dict[str, object] | None = None) -> Row:
    return Row(name, (401, 404 if ids else answer, answer, answer), method, ids, body)


TABLE = [
    Row("home", (302, 302, 302, 302)),
    everybody("health"),
    everybody("health_ready", answer=503),
    Row("metrics", (404, 404, 404, 200)),
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
    watched("streams:renew", "stream", "output", method="post", answer=302),
    watched("streams:add_output", "stream", method="post", answer=302),
    watched("streams:remove_output", "stream", "output"),
    watched("streams:steer", "stream", method="post", answer=302),
    watched("streams:insert", "stream", method="post", answer=302),
    watched("streams:playing", "stream", method="post", answer=302),
    watched("streams:steer_item", "stream", "item", method="post", answer=302),
    watched("streams:move_item", "stream", "item", method="post", answer=302),
    watched("streams:remove_item", "stream", "item", method="post", answer=302),
    watched("streams:pick_next", "stream"),
    watched("streams:incidents", "stream"),
    watched("streams:incidents_csv", "stream"),
    watched("streams:samples", "stream"),
    watched("streams:run", "stream", "run"),
    watched("streams:start", "stream", method="post", answer=302),
    watched("streams:retry", "stream", method="post", answer=302),
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
    members("streams:destination_test", "post"),
    owners("streams:destination_test_saved", "destination", method="post"),
    owners("streams:destination_test_result", "test"),
    members("streams:inputs"),
    members("streams:input_new"),
    owners("streams:input_edit", "input"),
    owners("streams:input_delete", "input"),
    watched("streams:slate", "stream"),
    everybody("streams:slate_out", "token", answer=403),
    # ------------------------------------------------------------------------ servers that add themselves
    everybody("enrol:script", "token"),  # a script that says the token is not known
    everybody("enrol:agent", "token", answer=403),
    Row("enrol:register", (403,) * 4, "post", ("token",)),
    everybody("enrol:state", "token", answer=403),
    Row("enrol:failed", (403,) * 4, "post", ("token",)),
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
    api("api:list_destinations"),
    api("api:create_destination", method="post", answer=400),
    Row("api:get_destination", (401, 404, 200, 404), "get", ("destination",)),
    Row("api:change_destination", (401, 422, 422, 422), "patch", ("destination",)),  # what is asked is read first
    Row("api:delete_destination", (401, 404, 409, 404), "delete", ("destination",)),
    Row("api:test_destination", (401, 404, 409, 404), "post", ("destination",)),
    Row("api:get_test", (401, 404, 200, 404), "get", ("test",)),
    api("api:retry_stream", "stream", method="post", answer=409),
    api("api:steer_stream", "stream", method="post", answer=409, body={"order": "next"}),
    api("api:insert_next", "stream", method="post", answer=409, body={"file_id": 0}),
    api("api:replace_playlist", "stream", method="post", answer=422, body={"file_ids": []}),
    api("api:change_playing", "stream", method="patch", body={"loop": True}),
    api("api:add_output", "stream", method="post", answer=409, body={"destination_id": 0}),
    api("api:switch_output", "stream", "output", method="post", body={"enabled": True}),
    api("api:renew_output", "stream", "output", method="post", answer=409),
    api("api:remove_output", "stream", "output", method="delete", answer=409),
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
CONSOLE_PAGES += [
    "admin:incidents",
    "admin:incidents_csv",
    "admin:fleet",
    "admin:accounts_auditentry_csv",
    "admin:fleet_upgrade",
]
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
    vps.set_password(CANARY)
    vps.save()
    _provisioning(vps)
    stream = build.stream(alice, outputs=0)
    destination = build.destination(alice, key=CANARY)
    output = stream.outputs.create(destination=destination)
    run = build.running(stream, vps)
    state = DestinationState(id=output.pk, state="refused", since=1.7e9, reason="Wrong key.")
    report = asdict(build.report(run, destinations=(state,)))
    Run.objects.filter(pk=run.pk).update(report=report, reported_at=timezone.now(), log_tail=["line"])
    file = _file(alice)
    live = build.live_input(alice, url=f"rtmp://studio.example.org/live/{CANARY}")
    stream.items.create(live=live, position=9)
    _slate(stream)
    test = ConnectionTest(str(uuid.uuid4()), alice.pk, "tube.example", "vps-1", vps.pk, time.time(), "ok")
    cache.set(f"connection-test:{test.id}", test)
    cache.set(f"connection-test:{test.id}:result", {"state": "ok"})
    upload = Upload.objects.create(owner=alice, file=build.file(alice, status="uploading"), length=10)
    actions.set_schedule(stream, ScheduleSpec("UTC", (schedule.daily(clock_time(20), clock_time(22)),)), alice)
    now = timezone.now()
    stream.occurrences.create(starts_at=now - timedelta(hours=1), ends_at=now + timedelta(hours=1))
    Job.objects.create(name="clean", next_run_at=timezone.now())
    Process.objects.create(kind="worker", instance="w:1", seen_at=timezone.now())
    SignIn.objects.create(user=alice, succeeded=True)
    UsageReport.objects.create(user=alice, starts_on=now.date())
    return {
        "stream": stream.pk, "destination": destination.pk, "output": output.pk, "item": stream.items.first().pk,
        "run": run.pk, "file": file.pk, "upload": upload.pk, "input": live.pk, "test": test.id,
        "token": "nonsense", "key": "nonsense", "uidb36": "1", "stranger": bob, "owner": alice, "operator": operator,
    }  # fmt: skip


def _file(owner: User) -> VideoFile:
    Path(settings.MEDIA_ROOT).mkdir(parents=True, exist_ok=True)
    file = build.file(owner, "Sunrise", size=100, thumbnail=f"{uuid.uuid4()}.jpg")
    for name in (file.stored_name, file.thumbnail):
        default_storage.save(name, ContentFile(b"x" * 100))
    return file


def _provisioning(vps: Vps) -> None:
    run = ProvisionRun.objects.create(vps=vps, place="127.0.0.1:22", status="FAILED", ended_at=timezone.now())
    Rollout.objects.create(version="1.0+a").vpses.set([vps])
    run.steps.create(name="packages", title="Install", position=0, status="FAILED", output="E: no", remedy="Look.")


def _slate(stream: Stream) -> None:
    picture = SlatePicture.objects.create(
        stream=stream, stored_name=f"slates/{uuid.uuid4()}.jpg", original_name="sea.jpg", size=100, sha256="0" * 64
    )
    default_storage.save(picture.stored_name, ContentFile(b"x" * 100))


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
    options = {} if row.body is None else {"data": row.body, "content_type": "application/json"}
    visit = getattr(browser(world, role), row.method)
    return visit(reverse(row.name, **kwargs), headers={"Tus-Resumable": "1.0.0"}, **options)


def _kwargs(row, world):
    values = [world[name] for name in row.ids]
    if row.name.startswith("account_"):
        return {"kwargs": dict(zip(row.ids, values, strict=True))} if values else {}
    return {"args": values}


KEPT_IN_REDIS = {"streams:destination_test_result", "api:get_test"}
"""What an agent answered is kept nowhere else."""


@pytest.mark.parametrize("row", [row for row in TABLE if row.method == "get"], ids=lambda row: row.name)
def test_pages_work_while_redis_is_away(world, row, no_redis):
    answer = _visit(world, row, "owner")
    assert answer.status_code == (503 if row.name in KEPT_IN_REDIS else row.answers[2])
    if b"stream-outage" in answer.content:
        assert b"(Redis) does not answer" in answer.content


@pytest.mark.parametrize("row", [row for row in TABLE if row.method != "get"], ids=lambda row: row.name)
def test_verbs_are_done_or_refused_in_words_while_redis_is_away(world, row, no_redis):
    answer = _visit(world, row, "owner")
    assert answer.status_code in (row.answers[2], 409, 503)
    assert answer.status_code != 503 or b"does not answer" in answer.content


SHARED = {"api:create_destination": "the list's address, which GET asks for"}


@pytest.mark.parametrize(
    "row", [row for row in TABLE if row.method == "post" and row.name not in SHARED], ids=lambda row: row.name
)
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
        found.append(reverse("admin:streams_stream_move", args=[stream.pk]))
    found += [reverse("admin:fleet_enrolment_new")]
    for row in Enrolment.objects.all():
        found += [reverse(f"admin:fleet_enrolment_{page}", args=[row.pk]) for page in ("state", "revoke")]
    for run in ProvisionRun.objects.all():
        found += [reverse("admin:fleet_provisionrun_fragments", args=[run.pk])]
        found += [reverse("admin:fleet_provisionrun_verb", args=[run.pk, verb]) for verb in ("resume", "cancel")]
    for rollout in Rollout.objects.all():
        found += [reverse(f"admin:{name}", args=[rollout.pk]) for name in ("rollout", "rollout_cancel")]
    for vps in Vps.objects.all():
        found += [reverse(f"admin:fleet_vps_{page}", args=[vps.pk]) for page in ("connection", "provision")]
        found += [reverse(f"admin:{name}", args=[vps.pk]) for name in ("vps", "vps_load", "vps_start")]
        found += [reverse("admin:vps_ask", args=[vps.pk, what]) for what in QUESTIONS]
        found += [reverse("admin:vps_verb", args=[vps.pk, verb]) for verb in BY_SLUG]
    return found


def test_every_console_address_is_of_a_known_kind():
    kinds = ("_changelist", "_add", "_change", "_history", "_delete", "_password_change", "_stream_verb")
    kinds += ("_stream_move", "_enrolment_new", "_enrolment_state", "_enrolment_revoke")
    kinds += ("_vps_connection", "_vps_provision", "_provisionrun_fragments", "_provisionrun_verb")
    kinds += ("rollout", "rollout_cancel")
    kinds += ("vps", "vps_load", "vps_start", "vps_ask", "vps_verb")
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
