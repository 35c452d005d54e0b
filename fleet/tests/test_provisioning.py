"""A provisioning from its first step to its last, against a server that speaks SSH: with steps of the tests' own."""

import re
import threading
import uuid
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from dramatiq.middleware import Shutdown, TimeLimitExceeded

from accounts.models import AuditEntry
from fleet import actions, lifecycle, redis_users, tasks
from fleet.errors import WrongState
from fleet.lifecycle import TRANSITIONS, Event
from fleet.models import ProvisionRun, RunStatus, StepStatus, Vps, VpsStatus
from fleet.provision import detached, keeping, keys, planning, redis_access, remedies, runner, session, stepping
from fleet.provision import lifecycle as runs
from fleet.provision.step import Command, Finding, Look, Step, Unfit, Upload, Verb, always, known, succeeds
from fleet.provision.steps import FROM_SETTINGS, Plan
from fleet.tests.ssh_server import PASSWORD, QUICK, SshServer, serving
from fleet.tests.test_provision_steps import AGENT
from lab.processes import wait_until
from lab.races import at_once
from streams.tests import build

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server():
    with serving() as server:
        yield server


@pytest.fixture
def vps(server) -> Vps:
    row = Vps(name="it's «new»", host=server.host, ssh_port=server.port, host_key=server.target().host_key)
    row.set_password(PASSWORD)
    row.save()
    return row


@pytest.fixture
def plan(monkeypatch, tmp_path):
    """`plan(step, …)`: these are the steps from now on."""
    wanted = []
    monkeypatch.setattr(detached, "HOME", str(tmp_path / "setup"))
    monkeypatch.setattr(planning, "plan_for", lambda vps: Plan(agent=AGENT))
    monkeypatch.setattr(runner, "steps", lambda plan: tuple(wanted))
    monkeypatch.setattr(keeping, "EVERY_S", 0.05)
    monkeypatch.setattr(stepping, "ASK_EVERY_S", 0.05)
    monkeypatch.setattr(session, "_PAUSE_S", 0.1)
    monkeypatch.setattr(session, "RELOAD_S", 0.2)
    monkeypatch.setattr(tasks.provision.broker, "enqueue", lambda message: message)

    def these(*steps: Step) -> None:
        wanted[:] = steps

    return these


def made(path: Path, *, name: str = "make", script: str = 'echo making; echo made >"$1"', **fields) -> Step:
    """A step that is so when the file is there."""
    is_long = fields.pop("is_long", False)
    command = Command(("sh", "-c", script, "make", str(path)), is_long=is_long)
    look = Look(("test", "-e", str(path)), succeeds)
    return Step(name=name, title=name.title(), look=look, make=always(command), **fields)


def do(vps: Vps) -> ProvisionRun:
    run = actions.provision(vps, None)
    runner.run(run.pk)
    return again(run)


def again(run: ProvisionRun) -> ProvisionRun:
    return ProvisionRun.objects.get(pk=run.pk)


def state_of(vps: Vps) -> VpsStatus:
    return Vps.objects.get(pk=vps.pk).state


def states(run: ProvisionRun) -> list[str]:
    return [step.status for step in run.steps.all()]


# ------------------------------------------------------------------------------------------------ going well


def test_what_is_not_so_is_made_so_and_the_server_is_active(plan, vps, tmp_path):
    plan(made(tmp_path / "one", name="one"), made(tmp_path / "two", name="two", is_long=True))
    run = do(vps)
    assert (run.state, run.reason, run.worker) == (RunStatus.DONE, "", None)
    assert states(run) == [StepStatus.CHANGED, StepStatus.CHANGED]
    assert state_of(vps) is VpsStatus.ACTIVE
    first, second = run.steps.all()
    assert first.output.splitlines() == [f"$ sh -c {first.output.splitlines()[0][8:]}", "making"]
    assert second.output.splitlines()[-1] == "making"
    assert first.ended_at >= first.started_at


def test_a_second_time_nothing_is_changed(plan, vps, tmp_path, server):
    plan(made(tmp_path / "one"), made(tmp_path / "two", name="two", is_long=True))
    do(vps)
    server.commands.clear()
    run = do(vps)
    assert states(run) == [StepStatus.UNCHANGED, StepStatus.UNCHANGED]
    assert not any(step.output for step in run.steps.all())
    assert [command.split()[2] for command in server.commands] == ["test", "test"]


def test_files_are_put_and_notes_are_kept(plan, vps, tmp_path):
    upload = Upload(str(tmp_path / "file"), b"content", 0o600)
    look = Look(("cat", upload.path), lambda seen: Finding(seen.out == "content", "it is there"))
    plan(Step(name="file", title="File", look=look, make=always(upload)))
    (step,) = do(vps).steps.all()
    assert (step.state, step.note) == (StepStatus.CHANGED, "it is there")
    assert (tmp_path / "file").read_bytes() == b"content"


def test_no_secret_is_in_what_it_said(plan, vps, tmp_path):
    access = redis_access.access_for(vps)
    said = f"echo password {PASSWORD}; echo url {access.url}; echo {access.password} >&2; exit 1"
    plan(made(tmp_path / "one", script=said), made(tmp_path / "two", name="two"))
    run = do(vps)
    kept = " ".join(str(value) for step in run.steps.values_list() for value in step) + run.reason
    assert "•••" in kept
    assert PASSWORD not in kept
    assert access.password not in kept


def test_much_output_is_kept_in_its_last_part(plan, vps, tmp_path):
    plan(made(tmp_path / "one", script='seq 1 60000; printf "\\377\\000bytes\\n"; touch "$1"', is_long=True))
    (step,) = do(vps).steps.all()
    lines = step.output.splitlines()
    assert lines[-1] == "�bytes"
    assert lines[-2] == "60000"
    assert re.fullmatch(r"… \(\d+ lines before\)", lines[0])
    assert len(step.output) < 60_000


# ------------------------------------------------------------------------------------------------ going wrong


def test_a_failure_names_step_command_output_and_what_to_do(plan, vps, tmp_path, server):
    full = 'echo "No space left on device" >&2; exit 9'
    plan(made(tmp_path / "one"), made(tmp_path / "two", name="two", script=full), made(tmp_path / "3", name="three"))
    run = do(vps)
    assert run.state is RunStatus.FAILED
    assert run.reason == "«Two»: The disk of the server is full."
    assert states(run) == [StepStatus.CHANGED, StepStatus.FAILED, StepStatus.WAITING]
    failed = run.steps.get(name="two")
    assert failed.command.startswith('sh -c echo "No space left')
    assert "No space left on device" in failed.output
    assert failed.remedy.startswith("Free some room")
    vps.refresh_from_db()
    assert (vps.state, vps.status_message) == (VpsStatus.ERROR, run.reason)


def test_a_failed_run_goes_on_where_it_stopped(plan, vps, tmp_path, server, operator):
    script = f'test -e "{tmp_path}/mended" && touch "$1"'
    plan(made(tmp_path / "one"), made(tmp_path / "two", name="two", script=script), made(tmp_path / "3", name="three"))
    run = do(vps)
    assert run.state is RunStatus.FAILED
    (tmp_path / "mended").touch()
    server.commands.clear()
    actions.resume(run, operator)
    assert state_of(vps) is VpsStatus.PROVISIONING
    runner.run(run.pk)
    run = again(run)
    assert states(run) == [StepStatus.CHANGED] * 3
    assert (run.state, run.reason, state_of(vps)) == (RunStatus.DONE, "", VpsStatus.ACTIVE)
    assert not any(str(tmp_path / "one") in command for command in server.commands)
    assert AuditEntry.objects.filter(verb="resume provisioning", actor=operator).exists()


def test_what_follows_from_the_settings_is_done_again_when_it_is_resumed(plan, vps, tmp_path, operator):
    """What it failed by is often mended in them."""
    told, script = tmp_path / "told", f'test -e "{tmp_path}/mended" && touch "$1"'
    plan(
        made(tmp_path / "one", name="packages"), made(tmp_path / "two", name=FROM_SETTINGS), made(told, name="told"),
        made(tmp_path / "3", name="three", script=script),
    )  # fmt: skip
    run = do(vps)
    assert states(run) == [*[StepStatus.CHANGED] * 3, StepStatus.FAILED]
    (tmp_path / "mended").touch()
    told.unlink()
    actions.resume(run, operator)
    assert states(again(run)) == [StepStatus.CHANGED, *[StepStatus.WAITING] * 3]
    runner.run(run.pk)
    assert states(again(run)) == [StepStatus.CHANGED, StepStatus.UNCHANGED, StepStatus.CHANGED, StepStatus.CHANGED]


@pytest.mark.parametrize(
    ("before", "version", "wanted"),
    [
        (VpsStatus.INACTIVE, "", VpsStatus.ACTIVE),
        (VpsStatus.INACTIVE, "0.1.0", VpsStatus.INACTIVE),
        (VpsStatus.ERROR, "0.1.0", VpsStatus.ACTIVE),
        (VpsStatus.ACTIVE, "0.1.0", VpsStatus.ACTIVE),
        (VpsStatus.DRAINING, "0.1.0", VpsStatus.DRAINING),
    ],
    ids=["new", "switched off by an operator", "failed before", "in service", "drained"],
)
def test_afterwards_it_is_what_it_was_or_in_service(plan, vps, tmp_path, before, version, wanted):
    since = timezone.now() - timedelta(hours=1)
    drained = {"draining_since": since, "drain_moves": True} if before is VpsStatus.DRAINING else {}
    Vps.objects.filter(pk=vps.pk).update(status=before, agent_version=version, **drained)
    plan(made(tmp_path / "one"))
    assert do(vps).state is RunStatus.DONE
    vps.refresh_from_db()
    assert vps.state is wanted
    if wanted is VpsStatus.DRAINING:
        assert (vps.draining_since, vps.drain_moves) == (since, True)


@pytest.mark.parametrize("before", [VpsStatus.ACTIVE, VpsStatus.DRAINING])
def test_a_run_that_did_nothing_there_leaves_it_in_service(plan, vps, tmp_path, server, before):
    """Cancelled before a worker took it, and where SSH does not answer: it is chosen and looked at as it was before."""
    Vps.objects.filter(pk=vps.pk).update(status=before, agent_version="0.1.0")
    plan(made(tmp_path / "one"))
    actions.cancel(actions.provision(vps, None), None)
    assert state_of(vps) is before
    server.close()
    run = do(vps)
    assert run.state is RunStatus.FAILED
    vps.refresh_from_db()
    assert (vps.state, vps.status_message) == (before, run.reason)


def test_one_that_failed_in_the_middle_is_in_service_no_more(plan, vps, tmp_path):
    Vps.objects.filter(pk=vps.pk).update(status=VpsStatus.ACTIVE, agent_version="0.1.0")
    plan(made(tmp_path / "one"), made(tmp_path / "two", name="two", script="exit 3"))
    assert do(vps).state is RunStatus.FAILED
    assert state_of(vps) is VpsStatus.ERROR


def test_what_is_not_so_after_all_was_done_has_failed(plan, vps, tmp_path):
    plan(made(tmp_path / "one", script="true", remedy="Look there."))
    run = do(vps)
    assert run.reason == "«Make»: Everything was done, and yet it is not so."
    assert run.steps.get().remedy == "Look there."


def test_a_service_that_fails_is_told_by_its_journal(plan, vps, tmp_path):
    """What systemctl says is nothing; what the service said makes it a known failure."""
    why = ("echo", "nginx: [emerg] bind() to 127.0.0.1:1935 failed (98: Address already in use)")
    plan(made(tmp_path / "one", script="echo job failed; exit 1", why=why, failures=(remedies.PORT_TAKEN,)))
    run = do(vps)
    assert run.reason == "«Make»: Another program on the server has port 1935."
    assert "bind() to 127.0.0.1:1935 failed" in run.steps.get().output


def test_a_file_that_finds_no_room_is_told_so(plan, vps, tmp_path):
    full = Upload("/dev/full/../full", b"x" * 10)
    plan(Step(name="file", title="File", look=Look(("false",), succeeds), make=always(full)))
    run = do(vps)
    assert run.state is RunStatus.FAILED
    assert "could not be written" in run.reason


def test_a_server_that_does_not_fit_is_told_so(plan, vps):
    def judge(_seen):
        raise Unfit("This is Plan 9.", "Install Debian.")

    plan(Step(name="system", title="System", look=Look(("true",), judge)))
    run = do(vps)
    assert (run.reason, run.steps.get().remedy) == ("«System»: This is Plan 9.", "Install Debian.")


def test_a_passing_failure_is_tried_again(plan, vps, tmp_path):
    tries = f'echo x >>"{tmp_path}/tries"; [ $(wc -l <"{tmp_path}/tries") -ge 3 ]'
    script = f'{tries} && touch "$1" || {{ echo locked; exit 1; }}'
    locked = known("locked", "It is locked.", "Wait.", tries=5, pause_s=0.05)
    plan(made(tmp_path / "one", script=script, failures=(locked,)))
    (step,) = do(vps).steps.all()
    assert step.state is StepStatus.CHANGED
    assert step.output.count("Trying again") == 2


def test_one_that_does_not_pass_is_not_tried_for_ever(plan, vps, tmp_path):
    locked = known("locked", "It is locked.", "Wait.", tries=2, pause_s=0.01)
    plan(made(tmp_path / "one", script="echo locked; exit 1", failures=(locked,)))
    run = do(vps)
    assert run.reason == "«Make»: It is locked."
    assert run.steps.get().output.count("$ sh -c") == 3


@pytest.mark.parametrize("is_long", [False, True])
def test_a_command_that_does_not_end_is_given_up(plan, vps, tmp_path, is_long):
    plan(made(tmp_path / "one", script=f'sleep 60; touch "{tmp_path}/late"', is_long=is_long, limit_s=1))
    run = do(vps)
    assert run.state is RunStatus.FAILED
    assert "took longer than" in run.reason
    if is_long:
        assert not running(tmp_path / "setup/make")


def running(home: Path) -> bool:
    """Whether somebody holds the lock of a detached command."""
    import fcntl

    with (home / "lock").open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ssh_port": 1}, "nothing listens on port 1"),
        ({"host": "nowhere.invalid"}, "nowhere.invalid"),
        ({"host_key": keys.written(keys.read_private(keys.make_private()))}, "host key has changed"),
        ({"host_key": ""}, "not confirmed yet"),
    ],
)
def test_a_server_that_is_not_reached_is_told_as_by_the_test(plan, vps, settings, fields, words):
    plan(Step(name="system", title="System", look=Look(("true",), succeeds)))
    settings.SSH_TRUST_FIRST_USE = True
    run = actions.provision(vps, None)
    settings.SSH_TRUST_FIRST_USE = False
    Vps.objects.filter(pk=vps.pk).update(**fields)
    runner.run(run.pk)
    run = again(run)
    assert run.state is RunStatus.FAILED
    assert words in run.reason
    assert run.steps.get().remedy


@pytest.mark.parametrize(
    ("password", "private_key", "words"),
    [
        ("wrong-canary", "", "does not take the password of «root»"),
        ("", keys.make_private(), "does not take the key of «root»"),
    ],
)
def test_a_wrong_login_is_told_without_it(plan, vps, tmp_path, password, private_key, words):
    plan(made(tmp_path / "one"))
    vps.sealed_password = ""
    if private_key:
        vps.set_private_key(private_key)
    else:
        vps.set_password(password)
    vps.save()
    run = do(vps)
    step = run.steps.get()
    assert (run.state, step.state) == (RunStatus.FAILED, StepStatus.FAILED)
    assert words in run.reason
    assert step.remedy.startswith("Check the user and the password or key")
    assert "canary" not in f"{run.reason} {step.output} {step.command}"


def test_a_host_that_hangs_after_the_connection_is_told(plan, vps, server, tmp_path, monkeypatch):
    monkeypatch.setattr(session, "LIMITS", QUICK)
    server.before = "silent"
    plan(made(tmp_path / "one"))
    run = do(vps)
    assert run.state is RunStatus.FAILED
    assert "says nothing" in run.reason
    assert run.steps.get().remedy.startswith("The server may be overloaded")


def test_two_rows_of_one_server_are_not_provisioned_at_once(vps, plan):
    other = build.vps("the same", ssh_port=vps.ssh_port, host_key=vps.host_key, status=VpsStatus.INACTIVE)
    other.set_password(PASSWORD)
    other.save()
    run = actions.provision(vps, None)
    with pytest.raises(WrongState):
        actions.provision(other, None)
    runs.cancel(run, None)
    actions.provision(other, None)


def test_a_password_that_does_not_open_is_told(plan, vps, settings):
    plan(Step(name="system", title="System", look=Look(("true",), succeeds)))
    Vps.objects.filter(pk=vps.pk).update(sealed_password="old9:AAAA")
    run = do(vps)
    assert "does not open" in run.reason


def test_a_bug_of_ours_leaves_nothing_at_work(plan, vps):
    def judge(_seen):
        raise ZeroDivisionError

    plan(Step(name="system", title="System", look=Look(("true",), judge)))
    run = actions.provision(vps, None)
    with pytest.raises(ZeroDivisionError):
        runner.run(run.pk)
    run = again(run)
    assert (run.state, states(run)) == (RunStatus.FAILED, [StepStatus.FAILED])
    assert state_of(vps) is VpsStatus.ERROR


# ------------------------------------------------------------------------------------------------ lines that break


def test_a_connection_that_is_cut_in_the_middle_of_apt_loses_nothing(plan, vps, tmp_path, server):
    """It goes on there; we come back, hear what was said meanwhile and its end. It was begun once."""
    script = 'echo first; sleep 1; echo second; sleep 1; echo x >>"$1"; echo third'
    server.cut_after = "first"
    plan(made(tmp_path / "one", script=script, is_long=True))
    run = do(vps)
    assert run.state is RunStatus.DONE
    said = [line for line in run.steps.get().output.splitlines() if not line.startswith(("$", "—"))]
    assert said == ["first", "second", "third"]
    assert "the connection was lost" in run.steps.get().output
    assert (tmp_path / "one").read_text() == "x\n"


def test_a_connection_that_is_cut_in_a_short_command_begins_the_step_again(plan, vps, tmp_path, server):
    server.cut_after = "working"
    script = f'echo x >>"{tmp_path}/tries"; echo working; sleep 0.2; touch "$1"'
    plan(made(tmp_path / "one", script=script))
    run = do(vps)
    assert run.state is RunStatus.DONE
    assert "The connection was lost" in run.steps.get().output


def test_what_a_reboot_ended_is_begun_again(plan, vps, tmp_path):
    """As after a reboot there is no status, and nobody holds the lock."""
    script = f'echo x >>"{tmp_path}/tries"; [ $(wc -l <"{tmp_path}/tries") -ge 2 ] || kill -9 $PPID $$; touch "$1"'
    plan(made(tmp_path / "one", script=script, is_long=True))
    run = do(vps)
    assert run.state is RunStatus.DONE
    assert "ended on the server" in run.steps.get().output


def test_a_new_worker_follows_what_the_last_one_began(plan, vps, tmp_path, server):
    """The worker is gone, apt is not: the next one finds it at work, and does not begin it twice."""
    script = 'echo x >>"$1.tries"; echo begun; sleep 2; touch "$1"; echo ended'
    plan(made(tmp_path / "one", script=script, is_long=True))
    run = actions.provision(vps, None)
    with_shutdown(run, after=lambda: (tmp_path / "one.tries").exists())
    assert again(run).state is RunStatus.QUEUED
    assert runner.run(run.pk)
    assert again(run).state is RunStatus.DONE
    assert (tmp_path / "one.tries").read_text() == "x\n"
    assert again(run).steps.get().output.splitlines()[-2:] == ["begun", "ended"]


def with_shutdown(run: ProvisionRun, after) -> None:
    """Runs it until `after`; then the worker is told to end."""
    touch, worker = runs.touch, {}

    def interrupted(*args):
        if after():
            raise Shutdown
        return touch(*args)

    runs.touch = interrupted
    try:
        worker["goes_on"] = runner.run(run.pk)
    finally:
        runs.touch = touch
    assert worker["goes_on"] is False


# ------------------------------------------------------------------------------------------------ workers come and go


def test_a_worker_that_ends_hands_back_and_queues_it_again(plan, vps, monkeypatch, tmp_path):
    plan(made(tmp_path / "one"), made(tmp_path / "two", name="two"))
    queued = []
    run = actions.provision(vps, None)
    monkeypatch.setattr(tasks.provision.broker, "enqueue", queued.append)
    monkeypatch.setattr(runs, "touch", lambda *args: (_ for _ in ()).throw(Shutdown()))
    tasks.provision.fn(run.pk)
    assert again(run).state is RunStatus.QUEUED
    assert [message.args for message in queued] == [(run.pk,)]


def test_one_that_takes_too_long_in_all_has_failed(plan, vps, monkeypatch, tmp_path):
    plan(made(tmp_path / "one"))
    monkeypatch.setattr(runs, "touch", lambda *args: (_ for _ in ()).throw(TimeLimitExceeded()))
    run = do(vps)
    assert (run.state, run.reason) == (RunStatus.FAILED, "It took longer than half an hour.")


def test_a_message_that_comes_twice_does_nothing_twice(plan, vps, tmp_path, server):
    plan(made(tmp_path / "one"))
    run = do(vps)
    server.commands.clear()
    assert runner.run(run.pk)
    assert server.commands == []


def test_a_run_that_somebody_has_is_not_taken():
    run = begun()
    assert runs.take(run.pk, timezone.now()) is not None
    assert runs.take(run.pk, timezone.now()) is None


def begun(**fields) -> ProvisionRun:
    vps = build.vps(str(uuid.uuid4()), ssh_port=1000 + Vps.objects.count(), status=VpsStatus.INACTIVE)
    run = runs.begin(vps, None, timezone.now())
    ProvisionRun.objects.filter(pk=run.pk).update(**fields)
    return run


def test_a_run_whose_worker_is_gone_is_found_and_taken_up(monkeypatch):
    queued = []
    monkeypatch.setattr(tasks.provision.broker, "enqueue", queued.append)
    run = begun()
    first = runs.take(run.pk, timezone.now())
    now = timezone.now() + runs.STALE + timedelta(seconds=1)
    assert actions.take_up_lost(timezone.now()) == "0 provisionings taken up again"
    assert actions.take_up_lost(now) == "1 provisioning taken up again"
    assert [message.args for message in queued] == [(run.pk,)]
    second = runs.take(run.pk, now)
    assert second is not None
    assert runs.touch(run.pk, first, now) is None, "what the first one writes is not taken any more"
    assert not runs.finish(again(run), first)
    assert runs.finish(again(run), second)


def test_one_that_workers_die_of_is_not_taken_up_for_ever(monkeypatch):
    monkeypatch.setattr(tasks.provision.broker, "enqueue", lambda message: None)
    run = begun(takings=runs.MOST_TAKINGS)
    actions.take_up_lost(timezone.now() + runs.STALE * 2)
    assert again(run).state is RunStatus.FAILED
    assert "again and again" in again(run).reason
    assert again(run).may_resume


def test_one_that_nobody_took_is_queued_again(monkeypatch):
    queued = []
    monkeypatch.setattr(tasks.provision.broker, "enqueue", queued.append)
    begun()
    later = timezone.now() + runs.STALE * 2
    actions.take_up_lost(later)
    actions.take_up_lost(later)
    assert len(queued) == 1


# ------------------------------------------------------------------------------------------------ cancelling


def test_cancel_ends_what_is_at_work(plan, vps, tmp_path, operator):
    plan(made(tmp_path / "one", script=f'touch "{tmp_path}/begun"; sleep 60; touch "$1"', is_long=True))
    run = actions.provision(vps, None)
    worker = threading.Thread(target=in_thread, args=(run.pk,))
    worker.start()
    wait_until((tmp_path / "begun").exists, "the command runs")
    actions.cancel(run, operator)
    worker.join(40)
    run = again(run)
    assert run.state is RunStatus.CANCELLED
    assert states(run) == [StepStatus.FAILED]
    assert state_of(vps) is VpsStatus.ERROR
    assert not running(tmp_path / "setup/make")
    assert AuditEntry.objects.filter(verb="cancel provisioning").exists()


def in_thread(run_id: int) -> None:
    from django.db import connection

    try:
        runner.run(run_id)
    finally:
        connection.close()


def test_one_that_no_worker_has_is_cancelled_at_once(operator):
    run = begun()
    actions.cancel(run, operator)
    assert again(run).state is RunStatus.CANCELLED
    with pytest.raises(WrongState, match="over already"):
        actions.cancel(run, operator)
    actions.resume(again(run), operator)
    assert again(run).state is RunStatus.QUEUED


def test_one_whose_worker_is_gone_is_cancelled_when_that_is_found():
    run = begun()
    runs.take(run.pk, timezone.now())
    runs.ask_to_cancel(run, timezone.now())
    assert again(run).state is RunStatus.RUNNING
    actions.take_up_lost(timezone.now() + runs.STALE * 2)
    assert again(run).state is RunStatus.CANCELLED


# ------------------------------------------------------------------------------------------------ one at a time


def test_a_server_is_provisioned_once_at_a_time(vps, plan, operator):
    actions.provision(vps, operator)
    with pytest.raises(WrongState, match="while the VPS is «provisioning»"):
        actions.provision(vps, operator)
    twin = Vps(name="twin", host=f"[{vps.host}]", ssh_port=vps.ssh_port, host_key=vps.host_key)
    twin.set_password(PASSWORD)
    twin.save()
    with pytest.raises(WrongState, match="Another run is at work"):
        actions.provision(twin, operator)
    assert state_of(twin) is VpsStatus.INACTIVE
    assert ProvisionRun.objects.count() == 1
    assert AuditEntry.objects.filter(verb="provision").count() == 1


@pytest.mark.postgres
def test_of_many_who_press_provision_at_once_one_wins(vps, plan):
    outcomes = at_once(12, lambda: actions.provision(Vps.objects.get(pk=vps.pk), None))
    assert outcomes.count(None) == 1
    assert all(isinstance(each, WrongState) for each in outcomes if each is not None)
    assert ProvisionRun.objects.count() == 1


@pytest.mark.postgres
def test_of_many_workers_at_one_message_one_takes_it():
    run = begun()
    taken = []
    at_once(12, lambda: taken.append(runs.take(run.pk, timezone.now())))
    assert len([each for each in taken if each]) == 1


def test_what_is_wanted_before_it_begins(vps, plan, settings):
    nobody = Vps.objects.create(name="nobody", host="192.0.2.1", host_key="ssh-ed25519 AAAA")
    with pytest.raises(WrongState, match="password or a private key"):
        actions.provision(nobody, None)
    Vps.objects.filter(pk=vps.pk).update(host_key="")
    vps.refresh_from_db()
    with pytest.raises(WrongState, match="host key is not confirmed"):
        actions.provision(vps, None)
    settings.SSH_TRUST_FIRST_USE = True
    actions.provision(vps, None)


def test_by_setting_the_first_host_key_is_pinned(plan, vps, server, settings):
    settings.SSH_TRUST_FIRST_USE = True
    Vps.objects.filter(pk=vps.pk).update(host_key="")
    vps.refresh_from_db()
    plan(Step(name="system", title="System", look=Look(("true",), succeeds)))
    assert do(vps).state is RunStatus.DONE
    vps.refresh_from_db()
    assert vps.host_key == server.target().host_key


# ------------------------------------------------------------------------------------------------ key and heartbeat


def test_the_password_is_forgotten_when_the_key_has_worked(plan, vps, server: SshServer, tmp_path):
    private = keys.make_private()
    vps.set_private_key(private)
    vps.save()
    look = Look(("test", "-e", str(tmp_path / "key")), succeeds)
    verbs = (Command(("touch", str(tmp_path / "key"))), Verb.NEW_CONNECTION_BY_KEY, Verb.FORGET_PASSWORD)
    plan(Step(name="key", title="Key", look=look, make=always(*verbs)))
    run = do(vps)
    assert "does not take the key" in run.reason
    vps.refresh_from_db()
    assert vps.sealed_password
    (tmp_path / "key").unlink()
    server.authorized = [keys.public_line(private)]
    actions.resume(run, None)
    runner.run(run.pk)
    vps.refresh_from_db()
    assert (vps.state, vps.sealed_password) == (VpsStatus.ACTIVE, "")


def test_a_new_connection_that_fails_leaves_the_old_one(plan, vps, server, tmp_path):
    """As when a firewall lets nobody in any more: what is said next still goes over the old one."""
    firewall = Step(
        name="firewall",
        title="Firewall",
        look=Look(("test", "-e", str(tmp_path / "never")), succeeds),
        make=lambda seen: (server.close_door(), Verb.NEW_CONNECTION)[1:],
    )
    plan(firewall)
    run = do(vps)
    assert run.state is RunStatus.FAILED
    assert "nothing listens" in run.reason


def test_a_sshd_that_is_gone_for_a_moment_is_waited_for(plan, vps, server, monkeypatch, tmp_path):
    """As when it reads its configuration anew."""
    monkeypatch.setattr(session, "RELOAD_S", 20.0)
    look = Look(("test", "-e", str(tmp_path / "one")), succeeds)

    def make(_seen):
        server.close_door()
        threading.Timer(0.5, server.open_door).start()
        return Verb.NEW_CONNECTION, Command(("touch", str(tmp_path / "one")))

    plan(Step(name="reload", title="Reload", look=look, make=make))
    assert do(vps).state is RunStatus.DONE


HEARTBEAT = Step(name="heartbeat", title="Heartbeat", limit_s=1, is_heartbeat=True, remedy="Look at its journal.")


def test_the_first_heartbeat_is_waited_for(plan, vps):
    plan(HEARTBEAT)
    Vps.objects.filter(pk=vps.pk).update(last_heartbeat_at=timezone.now(), agent_version="1.2.3+ab")
    assert do(vps).steps.get().note == "agent 1.2.3+ab"


def test_a_heartbeat_from_before_the_restart_does_not_count(plan, vps, tmp_path):
    plan(made(tmp_path / "one", name="service"), replace(HEARTBEAT, why=("echo", "what the journal says")))
    Vps.objects.filter(pk=vps.pk).update(last_heartbeat_at=timezone.now())
    run = do(vps)
    assert run.reason == "«Heartbeat»: No heartbeat within 1 s."
    failed = run.steps.get(name="heartbeat")
    assert failed.remedy == "Look at its journal."
    assert "what the journal says" in failed.output


# ------------------------------------------------------------------------------------------------ what it is told


def test_what_an_agent_is_told(settings, tmp_path):
    settings.AGENT_MEDIA_URL = "http://media.example.org:8000"
    settings.AGENT_REDIS_PUBLIC_URL = "rediss://redis.example.org:6380"
    settings.REDIS_CA_FILE = str(tmp_path / "ca.crt")
    (tmp_path / "ca.crt").write_text("PEM")
    settings.SITE_CA_FILE = str(tmp_path / "site.crt")
    (tmp_path / "site.crt").write_text("PEM of the site")
    settings.ALLOW_PRIVATE_DESTINATIONS = False
    vps = build.vps()
    access = redis_access.access_for(vps)
    told = dict(line.split("=", 1) for line in planning.environment(vps, access).splitlines())
    assert told == {
        "EZSTREAM_REDIS_URL": f"rediss://vps-{vps.pk}:{access.password}@redis.example.org:6380",
        "EZSTREAM_REDIS_CA_FILE": "/etc/ezstream/redis-ca.crt",
        "EZSTREAM_MEDIA_CA_FILE": "/etc/ezstream/site-ca.crt",
        "EZSTREAM_VPS_ID": str(vps.pk),
        "EZSTREAM_WORK_DIR": "/var/lib/ezstream-agent",
        "EZSTREAM_TRUSTED_HOSTS": "media.example.org:8000",
        "EZSTREAM_PLAIN_HTTP_HOSTS": "media.example.org:8000",
        "EZSTREAM_NGINX_CONF": "/etc/ezstream-nginx/nginx.conf",
    }
    plan = planning.plan_for(vps)
    assert plan.agent.more == (
        Upload("/etc/ezstream/redis-ca.crt", b"PEM"),
        Upload("/etc/ezstream/site-ca.crt", b"PEM of the site"),
    )
    assert access.password not in repr(plan)
    assert access.password in planning.secrets_of(vps, plan, access)


def test_one_that_is_cut_off_or_a_redis_that_is_away_fails_in_words(plan, vps, tmp_path, settings):
    plan(made(tmp_path / "one"))
    redis_users.cut_off(vps, None)
    assert do(vps).reason == f"«{vps}» is cut off from Redis."
    redis_users.admit(vps, None)
    settings.AGENT_REDIS_URL = "redis://127.0.0.1:1"
    assert do(vps).reason == "Redis does not answer here (ConnectionError)."


def test_a_key_that_is_wished_for_is_made_and_kept_once():
    vps = build.vps(use_key=True)
    first = planning.plan_for(vps)
    second = planning.plan_for(Vps.objects.get(pk=vps.pk))
    assert first.public_line.startswith("ssh-ed25519 ")
    assert first.public_line == second.public_line


# ------------------------------------------------------------------------------------------------ the tables


def test_every_state_of_a_vps_has_a_way_out():
    assert {old for old, _event in TRANSITIONS} == set(VpsStatus)
    for (old, event), new in TRANSITIONS.items():
        vps = build.vps(f"{old} {event}", status=old)
        assert lifecycle.fire(vps.pk, event, "why") is new
        vps.refresh_from_db()
        assert (vps.state, vps.status_message) == (new, "why")


@pytest.mark.parametrize(
    ("status", "event"),
    [(status, event) for status in VpsStatus for event in Event if (status, event) not in TRANSITIONS],
)
def test_what_the_table_does_not_know_is_refused(status, event):
    vps = build.vps(status=status)
    with pytest.raises(WrongState):
        lifecycle.fire(vps.pk, event)
    assert state_of(vps) is status


def test_every_state_of_a_run_that_does_not_rest_has_a_way_out():
    rests = {RunStatus.DONE, RunStatus.FAILED, RunStatus.CANCELLED}
    for status in set(RunStatus) - rests:
        assert {(status, runs.Event.FAIL), (status, runs.Event.CANCEL)} <= set(runs.TRANSITIONS)
