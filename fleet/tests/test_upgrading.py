"""An upgrade from its first step to its last, and the way back: against a server that speaks SSH (`upgradable`)."""

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone
from dramatiq.middleware import Shutdown

from accounts.models import AuditEntry
from fleet import actions, tasks
from fleet.errors import Refused, WrongState
from fleet.models import ProvisionRun, RunStatus, StepStatus, Vps, VpsStatus
from fleet.provision import (
    bundle,
    detached,
    gating,
    keeping,
    keys,
    planning,
    redis_access,
    runner,
    session,
    upgrade,
    upgrading,
)
from fleet.provision import lifecycle as runs
from fleet.provision.gating import Heard
from fleet.provision.redis_access import RedisAccess
from fleet.provision.ssh import Result
from fleet.provision.step import Unfit
from fleet.provision.steps import Plan, steps, upgrade_steps
from fleet.provision.upgrade import Verdict
from fleet.tests.ssh_server import serving
from fleet.tests.test_provision_steps import AGENT
from fleet.tests.test_provisioning import in_thread
from fleet.tests.upgradable import Upgradable, row_of
from lab.processes import wait_until
from streams.models import Run
from streams.tests import build

pytestmark = pytest.mark.django_db(transaction=True)
OLD, NEW = "works (old)", "works (new)"


@pytest.fixture
def vps():
    with serving() as server:
        row = row_of(server, status=VpsStatus.ACTIVE)
        row.server = server
        yield row


@pytest.fixture
def there(vps, tmp_path, monkeypatch) -> Upgradable:
    """A server on which the old agent works, and the control plane brings a new one."""
    monkeypatch.setattr(detached, "HOME", str(tmp_path / "setup"))
    monkeypatch.setattr(keeping, "EVERY_S", 0.02)
    monkeypatch.setattr(runner, "LOOK_EVERY_S", 0.02)
    monkeypatch.setattr(session, "_PAUSE_S", 0.05)
    monkeypatch.setattr(upgrade, "GATE_S", 0.5)
    monkeypatch.setattr(redis_access, "access_for", lambda vps: RedisAccess("redis://vps:canary-redis@x"))
    monkeypatch.setattr(tasks.provision.broker, "enqueue", lambda message: message)
    there = Upgradable(tmp_path / "server", vps.server, monkeypatch)
    there.install(OLD, vps)
    return there


def do(vps: Vps) -> ProvisionRun:
    vps.refresh_from_db()
    run = actions.upgrade(vps, None)
    runner.run(run.pk)
    return again(run)


def again(run: ProvisionRun) -> ProvisionRun:
    return ProvisionRun.objects.select_related("vps").get(pk=run.pk)


def states(run: ProvisionRun) -> dict[str, StepStatus]:
    return {step.name: step.state for step in run.steps.all()}


CHANGED, UNCHANGED, FAILED, WAITING = (
    StepStatus.CHANGED, StepStatus.UNCHANGED, StepStatus.FAILED, StepStatus.WAITING,
)  # fmt: skip


# ------------------------------------------------------------------------------------------------ going well


@pytest.mark.parametrize("status", runs.UPGRADED_IN)
def test_a_new_agent_takes_the_place_of_the_old(vps, there, status):
    """The VPS is what it was, all the way."""
    Vps.objects.update(status=status, drain_moves=status is VpsStatus.DRAINING, status_message="as it was")
    old, new = there.agent, there.offer(NEW)
    run = do(vps)
    assert (run.state, run.reason) == (RunStatus.DONE, "")
    assert states(run) == {
        "bundle": CHANGED, "self-test": UNCHANGED, "configuration": UNCHANGED, "service": CHANGED, "gate": CHANGED,
    }  # fmt: skip
    assert there.link.readlink() == Path(there.agent.bundle.path)
    assert Path(upgrade.PREVIOUS).readlink() == Path(old.bundle.path)
    assert there.restarts() == 1
    fresh = Vps.objects.get()
    assert (fresh.agent_version, fresh.state, fresh.status_message) == (new.version, status, "as it was")
    assert fresh.drain_moves is (status is VpsStatus.DRAINING)
    assert run.steps.get(name="gate").note == f"agent {new.version}"
    assert (run.from_version.split("+")[0], run.to_version) == ("works", new.version)


def test_one_that_has_this_agent_is_left_alone(vps, there):
    run = do(vps)
    assert run.state is RunStatus.DONE
    assert set(states(run).values()) == {UNCHANGED}
    assert there.restarts() == 0


def test_other_settings_alone_are_a_restart_too(vps, there):
    there.offer(OLD, settings="A=2")
    run = do(vps)
    assert (states(run)["configuration"], states(run)["service"], run.state) == (CHANGED, CHANGED, RunStatus.DONE)
    assert there.restarts() == 1
    assert (there.home / "etc/agent.env").read_text() == "A=2"


def test_streams_on_air_are_named_before_it_has_passed(vps, there, alice):
    run = on_air(vps, alice)
    there.offer(NEW)
    assert do(vps).state is RunStatus.DONE
    assert Run.objects.get(pk=run.pk).reported_at > timezone.now() - timedelta(seconds=30)


def on_air(vps, alice) -> Run:
    run = build.running(build.stream(alice), vps)
    Run.objects.filter(pk=run.pk).update(live_since=build.ago(60), reported_at=build.ago(1))
    return run


def test_provisioning_afterwards_finds_nothing_to_do(vps, there):
    """Whichever road brought it there, the agent is not started again."""
    there.offer(NEW)
    do(vps)
    looked = [step for step in steps(Plan(agent=there.agent)) if step.name in ("bundle", "configuration", "service")]
    with planning_session(vps) as opened:
        assert [step.look.judge(opened.run(step.look.argv)).is_so for step in looked] == [True] * 3


def planning_session(vps):
    import contextlib

    return contextlib.closing(session.Session(lambda: planning.target_of(vps), lambda: None))


# ------------------------------------------------------------------------------------------------ the way back


@pytest.mark.parametrize(
    ("does", "failed", "words"),
    [
        ("broken", "service", "«Start the new agent»: «systemctl restart ezstream-agent.service» failed (1)."),
        ("mute", "gate", "«Hear the new agent, and its streams»: No heartbeat within 0 s."),
        ("forgets", "gate", "does not name 1 stream that was on air"),
    ],
)
def test_one_that_does_not_work_is_taken_back_by_itself(vps, there, alice, does, failed, words):
    on_air(vps, alice)
    old, _new = there.agent, there.offer(f"{does} (new)")
    run = do(vps)
    assert run.state is RunStatus.FAILED
    assert words in run.reason
    assert run.reason.endswith("It went back: the agent before is heard again.")
    found = states(run)
    assert (found[failed], found["way-back"], found["heard-again"]) == (FAILED, CHANGED, CHANGED)
    assert there.link.readlink() == Path(old.bundle.path)
    fresh = Vps.objects.get()
    assert (fresh.state, fresh.agent_version) == (VpsStatus.ACTIVE, run.from_version)
    assert "what the journal says" in run.steps.get(name=failed).output


def test_what_was_taken_back_is_not_taken_for_what_runs(vps, there):
    """Another try begins it anew, and so would provisioning."""
    there.offer("mute (new)")
    do(vps)
    service = next(step for step in steps(Plan(agent=there.agent)) if step.name == "service")
    with planning_session(vps) as opened:
        assert not service.look.judge(opened.run(service.look.argv)).is_so
    before = there.restarts()
    assert do(vps).state is RunStatus.FAILED
    assert there.restarts() == before + 2


def test_one_that_says_it_cannot_work_there_never_runs(vps, there):
    there.offer(NEW, settings="A=2")
    (there.home / "self-test").write_text(
        '{"version": "new", "checks": [{"ok": false, "message": "FFmpeg is missing"}]}'
    )
    run = do(vps)
    assert run.reason == "«Have the agent test the server»: FFmpeg is missing"
    assert states(run) == {
        "bundle": CHANGED, "self-test": FAILED, "configuration": WAITING, "service": WAITING, "gate": WAITING,
    }  # fmt: skip
    assert there.restarts() == 0
    assert (there.home / "etc/agent.env").read_text() == "A=1"
    assert Vps.objects.get().state is VpsStatus.ACTIVE


@pytest.mark.parametrize("status", runs.UPGRADED_IN)
def test_a_way_back_that_fails_too_is_an_error(vps, there, status):
    Vps.objects.update(status=status)
    there.offer("broken (new)")
    (there.home / "stuck").touch()
    run = do(vps)
    assert "And the way back failed: «Go back to the agent before»: «systemctl restart" in run.reason
    fresh = Vps.objects.get()
    assert (fresh.state, fresh.status_message) == (VpsStatus.ERROR, run.reason)


def test_a_server_without_an_agent_before_has_no_way_back(vps, there):
    there.offer("broken (new)")
    there.link.unlink()
    run = do(vps)
    assert "There is no agent before it to go back to." in run.reason
    assert Vps.objects.get().state is VpsStatus.ERROR


def test_settings_that_do_not_start_are_no_reason_for_another_agent(vps, there):
    there.offer(OLD, settings="A=2")
    (there.home / "stuck").touch()
    (there.home / "state").write_text("failed\n")
    run = do(vps)
    assert "way-back" not in states(run)
    assert run.state is RunStatus.FAILED


@pytest.mark.parametrize(
    "fields", [{"ssh_port": 1}, {"host_key": keys.written(keys.read_private(keys.make_private()))}]
)
def test_a_server_that_is_not_reached_is_what_it_was(vps, there, fields):
    Vps.objects.update(**fields)
    there.offer(NEW)
    run = do(vps)
    assert run.state is RunStatus.FAILED
    assert Vps.objects.get().state is VpsStatus.ACTIVE


def test_what_an_upgrade_says_holds_no_secret(vps, there):
    there.offer("broken (new)")
    there.program("journalctl", "#!/bin/sh\necho {home} redis://vps:canary-redis@x canary-redis\n")
    run = do(vps)
    kept = " ".join(str(value) for step in run.steps.values_list() for value in step) + run.reason
    assert "•••" in kept
    assert "canary-redis" not in kept


# ------------------------------------------------------------------------------------------------ cancelled, taken over


def test_cancelled_at_the_gate_it_goes_back(vps, there, monkeypatch, operator):
    monkeypatch.setattr(upgrade, "GATE_S", 60.0)
    old, _new = there.agent, there.offer("mute (new)")
    vps.refresh_from_db()
    run = actions.upgrade(vps, operator)
    worker = threading.Thread(target=in_thread, args=(run.pk,))
    worker.start()
    wait_until(lambda: there.restarts() > 0, "the new one was started")
    actions.cancel(run, operator)
    worker.join(60)
    run = again(run)
    assert (run.state, run.reason) == (RunStatus.CANCELLED, "Cancelled. The agent before runs on.")
    assert there.link.readlink() == Path(old.bundle.path)
    assert (states(run)["heard-again"], Vps.objects.get().state) == (CHANGED, VpsStatus.ACTIVE)


def test_cancelled_before_anybody_took_it_nothing_was_done(vps, there):
    there.offer(NEW)
    run = actions.upgrade(vps, None)
    actions.cancel(run, None)
    assert again(run).state is RunStatus.CANCELLED
    assert (there.restarts(), Vps.objects.get().state) == (0, VpsStatus.ACTIVE)
    with pytest.raises(WrongState):
        actions.resume(again(run), None)


@pytest.mark.parametrize("does", [NEW, "mute (new)"])
def test_a_worker_lost_at_the_gate_is_followed_by_one_that_knows_what_runs(vps, there, monkeypatch, does):
    there.offer(does)
    vps.refresh_from_db()
    run = actions.upgrade(vps, None)

    class Killed(BaseException):
        pass

    with monkeypatch.context() as patch:
        patch.setattr(gating, "judge", lambda *_args: (_ for _ in ()).throw(Killed()))
        patch.setattr(runs, "fail", lambda *_args: True)
        with pytest.raises(Killed):
            runner.run(run.pk)
    ProvisionRun.objects.update(touched_at=build.ago(600))
    runner.run(run.pk)
    assert again(run).state is (RunStatus.DONE if does == NEW else RunStatus.FAILED)
    assert there.restarts() == (1 if does == NEW else 2)
    assert Vps.objects.get().state is VpsStatus.ACTIVE


def test_a_worker_lost_on_the_way_back_is_followed_by_one_that_ends_it(vps, there, monkeypatch):
    old, _new = there.agent, there.offer("mute (new)")
    vps.refresh_from_db()
    run = actions.upgrade(vps, None)
    judge = gating.judge

    def judge_until_back(step, *seen):
        if step.name == "heard-again":
            raise Shutdown
        return judge(step, *seen)

    with monkeypatch.context() as patch:
        patch.setattr(gating, "judge", judge_until_back)
        assert not runner.run(run.pk)
    assert again(run).state is RunStatus.QUEUED
    assert runner.run(run.pk)
    assert again(run).reason.endswith("It went back: the agent before is heard again.")
    assert there.link.readlink() == Path(old.bundle.path)
    assert Vps.objects.get().state is VpsStatus.ACTIVE


def test_one_whose_workers_were_all_lost_is_in_trouble_only_when_it_is_silent(vps, there):
    for silent_s, state in ((1, VpsStatus.ACTIVE), (300, VpsStatus.ERROR)):
        run = runs.begin_upgrade(vps, None, timezone.now(), "1+b")
        run.steps.create(name="service", title="Start", position=3, status=StepStatus.RUNNING)
        Vps.objects.update(last_heartbeat_at=build.ago(silent_s))
        assert runs.fail(run, None, "lost")
        assert Vps.objects.get().state is state


# ------------------------------------------------------------------------------------------------ who may


def test_it_is_asked_for_once_and_written_down(vps, there, operator):
    new = there.offer(NEW)
    run = actions.upgrade(vps, operator)
    for verb in (actions.upgrade, actions.provision, actions.remove, actions.restart_agent, actions.decommission):
        with pytest.raises(WrongState, match="run is at work on this server"):
            verb(vps, operator)
    assert Vps.objects.get().state is VpsStatus.ACTIVE
    assert AuditEntry.objects.get(verb="upgrade agent").details == {"run": run.pk, "to": new.version}


@pytest.mark.parametrize("status", [VpsStatus.PROVISIONING, VpsStatus.ERROR])
def test_what_is_not_well_otherwise_is_provisioned_instead(vps, there, status):
    Vps.objects.update(status=status)
    with pytest.raises(WrongState, match="provision it"):
        actions.upgrade(vps, None)


def test_a_bundle_that_cannot_be_made_is_refused_in_words(vps, there, monkeypatch):
    def cannot():
        raise bundle.BundleError("the bundle wants redis 1 unchanged")

    monkeypatch.setattr(bundle, "current", cannot)
    with pytest.raises(Refused, match="wants redis"):
        actions.upgrade(vps, None)


def test_a_worker_that_brings_another_agent_than_was_asked_for_says_so(vps, there):
    there.offer(NEW)
    run = actions.upgrade(vps, None)
    there.offer("works (newest)")
    runner.run(run.pk)
    assert "brings another agent by now" in again(run).reason
    assert there.restarts() == 0


# ------------------------------------------------------------------------------------------------ steps as data


def test_in_which_order():
    assert [step.name for step in upgrade_steps(Plan(agent=AGENT))] == [
        "bundle", "self-test", "configuration", "service", "gate",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("current", "previous", "running", "words"),
    [
        ("new", "old", "active", ["swap old", "rm", "restart"]),
        ("new", "old", "failed", ["swap old", "rm", "restart"]),
        ("old", "older", "failed", ["rm", "restart"]),
        ("old", "", "active", []),
        ("new", "", "active", None),
        ("new", "gone", "active", None),
    ],
)
def test_what_the_way_back_makes_of_what_is_there(current, previous, running, words):
    paths = {"new": AGENT.bundle.path, "old": "/opt/ezstream/agent-b.pyz", "older": "/opt/ezstream/agent-c.pyz", "": ""}
    there = "".join(f"bundle={paths[name]}\n" for name in ("new", "old", "older"))
    shown = {**paths, "gone": "/opt/ezstream/agent-d.pyz"}
    seen = Result(0, f"current={shown[current]}\nprevious={shown[previous]}\nrunning={running}\n{there}")
    step, _heard = upgrading.back(AGENT)
    assert step.look.judge(seen).is_so is (words == [])
    if words is None:
        with pytest.raises(Unfit, match="no agent before"):
            step.make(seen)
    elif words:
        made = [("swap old" if paths["old"] in action.argv else action.argv[0]) for action in step.make(seen)]
        assert [word.replace("systemctl", "restart") for word in made] == words


@pytest.mark.parametrize(
    ("hears", "heard", "waited_s", "verdict", "words"),
    [
        ("", None, 1, Verdict.WAIT, "No heartbeat"),
        ("", None, 61, Verdict.FAILED, "No heartbeat within 30 s."),
        ("", Heard("1+a"), 99, Verdict.PASSED, "agent 1+a"),
        ("b", Heard("1+a"), 1, Verdict.WAIT, ""),
        ("b", Heard("1+a"), 31, Verdict.FAILED, "only agent 1+a was heard"),
        ("b", Heard("1+b"), 31, Verdict.PASSED, "agent 1+b"),
        ("b", Heard("1+b", unnamed=2), 1, Verdict.WAIT, ""),
        ("b", Heard("1+b", unnamed=2), 31, Verdict.FAILED, "does not name 2 streams"),
        ("b", None, 31, Verdict.FAILED, "No heartbeat within 30 s."),
    ],
)
def test_what_is_made_of_what_was_heard(hears, heard, waited_s, verdict, words):
    step = upgrading.gate(AGENT)
    found, said = gating.judge(type(step)(name="g", title="G", limit_s=30, hears=hears), heard, waited_s)
    assert found is verdict
    assert words in said
