"""Upgrades of several servers, one after another: what is next, what ends it, who may, and what a lost worker costs."""

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import AuditEntry
from fleet import actions, tasks
from fleet.errors import WrongState
from fleet.lifecycle import Event
from fleet.management.commands import fleet_upgrade
from fleet.models import ProvisionRun, Rollout, RolloutStatus, RunStatus, Vps, VpsStatus
from fleet.provision import bundle, runner
from fleet.provision import lifecycle as runs
from fleet.rollouts import lifecycle as rollouts
from lab.races import at_once
from streams.tests import build

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def queued(monkeypatch):
    """What was given to the workers: ids of runs."""
    messages = []
    monkeypatch.setattr(tasks.provision.broker, "enqueue", lambda message: messages.append(*message.args))
    return messages


@pytest.fixture
def fleet(db):
    return [server(name, number) for number, name in enumerate(("ams", "fra", "sgp"))]


def server(name: str, number: int, **fields) -> Vps:
    return build.vps(name, ssh_port=1000 + number, sealed_password="x", host_key="ssh-ed25519 A", **fields)


def ends(run_id: int, reason: str = "", *, cancelled: bool = False) -> None:
    """As a worker ends it, and goes on."""
    run, worker = ProvisionRun.objects.get(pk=run_id), runs.take(run_id, timezone.now())
    if cancelled:
        runs.cancel(run, worker)
    elif reason:
        runs.fail(run, worker, reason)
    else:
        runs.finish(run, worker)
    tasks.go_on_with_rollout(timezone.now())


def now_of(rollout: Rollout) -> Rollout:
    return Rollout.objects.get(pk=rollout.pk)


def names(queued: list[int]) -> list[str]:
    return [ProvisionRun.objects.get(pk=pk).vps.name for pk in queued]


def test_one_after_another(fleet, queued, operator):
    rollout = actions.roll_out(fleet, operator)
    assert names(queued) == ["ams"]
    for number, name in ((0, "fra"), (1, "sgp")):
        tasks.go_on_with_rollout(timezone.now())
        assert len(queued) == number + 1, "the next begins when the one before is over"
        ends(queued[number])
        assert names(queued)[-1] == name
    ends(queued[2])
    assert (now_of(rollout).state, now_of(rollout).reason) == (RolloutStatus.DONE, "")
    assert now_of(rollout).ended_at is not None
    assert {run.to_version for run in rollout.runs.all()} == {bundle.version()}
    assert AuditEntry.objects.filter(verb="upgrade agent", actor=operator).count() == 3
    assert AuditEntry.objects.get(verb="upgrade agents").details["vpses"] == ["ams", "fra", "sgp"]


def test_the_first_failure_leaves_the_rest_as_it_is(fleet, queued):
    rollout = actions.roll_out(fleet, None)
    ends(queued[0])
    ends(queued[1], "It does not start.")
    assert names(queued) == ["ams", "fra"]
    assert (now_of(rollout).state, now_of(rollout).reason) == (RolloutStatus.FAILED, "«fra»: It does not start.")
    assert [vps.name for vps in rollouts.waiting(rollout)] == ["sgp"]
    actions.roll_out(fleet[1:], None)
    assert names(queued)[-1] == "fra", "another may begin"


def test_cancelled_the_one_in_hand_comes_to_its_end(fleet, queued, operator):
    rollout = actions.roll_out(fleet, None)
    actions.cancel_rollout(rollout, operator)
    assert now_of(rollout).state is RolloutStatus.CANCELLED
    ends(queued[0])
    assert len(queued) == 1
    assert ProvisionRun.objects.get().state is RunStatus.DONE
    with pytest.raises(WrongState, match="over already"):
        actions.cancel_rollout(rollout, operator)
    assert AuditEntry.objects.filter(verb="cancel upgrade of agents").count() == 1


def test_the_run_in_hand_cancelled_ends_all_of_it(fleet, queued):
    rollout = actions.roll_out(fleet, None)
    ends(queued[0], cancelled=True)
    assert now_of(rollout).state is RolloutStatus.CANCELLED
    assert now_of(rollout).reason.startswith("«ams»: Cancelled.")
    assert len(queued) == 1


def test_what_left_the_service_meanwhile_is_left_out_and_said(fleet, queued):
    rollout = actions.roll_out(fleet, None)
    actions.set_state(fleet[1], Event.SWITCH_OFF, None)
    runs.begin_upgrade(fleet[2], None, timezone.now(), "1+a")
    ends(queued[0])
    assert names(queued) == ["ams"]
    assert now_of(rollout).state is RolloutStatus.DONE
    assert "«fra», «sgp»" in now_of(rollout).reason


def test_what_was_removed_meanwhile_is_not_missed(fleet, queued):
    rollout = actions.roll_out(fleet, None)
    actions.remove(fleet[1], None)
    ends(queued[0])
    assert names(queued) == ["ams", "sgp"]
    assert now_of(rollout).state is RolloutStatus.RUNNING


def test_a_worker_lost_between_two_servers_is_made_up_for(fleet, queued):
    rollout = actions.roll_out(fleet, None)
    run = ProvisionRun.objects.get()
    runs.finish(run, runs.take(run.pk, timezone.now()))
    assert actions.take_up_lost(timezone.now()) == "0 provisionings taken up again"
    assert names(queued) == ["ams", "fra"]
    assert now_of(rollout).state is RolloutStatus.RUNNING


def test_workers_lost_for_good_end_it(fleet, queued):
    rollout = actions.roll_out(fleet, None)
    ProvisionRun.objects.update(takings=runs.MOST_TAKINGS)
    actions.take_up_lost(timezone.now() + runs.STALE * 2)
    assert now_of(rollout).state is RolloutStatus.FAILED
    assert "again and again" in now_of(rollout).reason


def test_a_worker_that_ends_hands_the_run_on_and_begins_no_other(fleet, queued, monkeypatch):
    actions.roll_out(fleet, None)
    monkeypatch.setattr(runner, "run", lambda run_id: False)
    tasks.provision.fn(queued[0])
    assert names(queued) == ["ams", "ams"]


def test_the_end_of_a_run_begins_the_next(fleet, queued, monkeypatch):
    actions.roll_out(fleet, None)

    def run(run_id):
        return runs.finish(ProvisionRun.objects.get(pk=run_id), runs.take(run_id, timezone.now()))

    monkeypatch.setattr(runner, "run", run)
    tasks.provision.fn(queued[0])
    assert names(queued) == ["ams", "fra"]


def test_two_at_once_are_refused(fleet, queued):
    actions.roll_out(fleet[:1], None)
    with pytest.raises(WrongState, match="being upgraded already"):
        actions.roll_out(fleet[1:], None)
    assert (Rollout.objects.count(), len(queued)) == (1, 1)
    assert AuditEntry.objects.filter(verb="upgrade agents").count() == 1


def test_nobody_to_upgrade_is_refused(db, queued):
    with pytest.raises(WrongState, match="no server"):
        actions.roll_out([], None)


def test_one_that_nobody_can_sign_in_to_is_refused_before_anything_begins(fleet, queued):
    Vps.objects.filter(name="sgp").update(sealed_password="")
    with pytest.raises(WrongState, match="password or a private key"):
        actions.roll_out(list(Vps.objects.all()), None)
    assert not Rollout.objects.exists()


@pytest.mark.postgres
def test_of_many_who_press_upgrade_all_at_once_one_wins(fleet, queued):
    outcomes = at_once(12, lambda: actions.roll_out(list(Vps.objects.all()), None))
    assert outcomes.count(None) == 1
    assert all(isinstance(each, WrongState) for each in outcomes if each is not None)
    assert (Rollout.objects.count(), ProvisionRun.objects.count(), len(queued)) == (1, 1, 1)


@pytest.mark.postgres
def test_of_many_who_go_on_at_once_one_begins_the_next(fleet, queued):
    actions.roll_out(fleet, None)
    run = ProvisionRun.objects.get()
    runs.finish(run, runs.take(run.pk, timezone.now()))
    assert at_once(12, lambda: tasks.go_on_with_rollout(timezone.now())) == [None] * 12
    assert names(queued) == ["ams", "fra"]


@pytest.mark.postgres
def test_an_upgrade_and_a_removal_at_once_are_never_both(fleet, queued):
    vps = fleet[0]
    verbs = iter([actions.upgrade, actions.remove] * 4)
    outcomes = at_once(8, lambda: next(verbs)(Vps.objects.get(pk=vps.pk), None))
    assert outcomes.count(None) == 1
    assert Vps.objects.filter(pk=vps.pk).exists() is ProvisionRun.objects.filter(vps=vps).exists()


# ------------------------------------------------------------------------------------------------ which of them


def test_who_is_to_be_upgraded(db, queued):
    ours = bundle.version()
    server("same", 1, agent_version=ours)
    server("old", 2, agent_version="0.0.1+abc")
    server("drains", 3, agent_version="0.0.1+abc", status=VpsStatus.DRAINING)
    server("off", 4, agent_version="0.0.1+abc", status=VpsStatus.INACTIVE)
    server("never-heard", 5, agent_version="")
    build.vps("pasted", agent_version="0.0.1+abc", ssh_port=6)
    found = rollouts.wanted(ours)
    assert [vps.name for vps in found.due] == ["drains", "never-heard", "old"]
    assert [vps.name for vps in found.unreachable] == ["pasted"]


# ------------------------------------------------------------------------------------------------ the command


@pytest.fixture
def worker(queued, monkeypatch):
    """Does what is queued whenever the command waits; `outcomes` are the reasons, empty for what goes well."""
    outcomes: list[str] = []

    def work(_seconds: float) -> None:
        if len(outcomes) < len(names(queued)):
            outcomes.append("It does not start." if names(queued)[-1] in worker_fails else "")
            ends(queued[-1], outcomes[-1])

    worker_fails: set[str] = set()
    monkeypatch.setattr(fleet_upgrade.time, "sleep", work)
    return worker_fails


def test_the_command_tells_and_waits(fleet, worker, capsys):
    Vps.objects.update(agent_version="0.0.1+abc")
    call_command("fleet_upgrade", "--all")
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"3 to agent {bundle.version()}: ams, fra, sgp"
    assert [line for line in said if line.startswith("«ams»")] == [
        "«ams»: waiting for a worker", f"«ams»: unchanged, it is {bundle.version()} already",
    ]  # fmt: skip
    assert Rollout.objects.get().state is RolloutStatus.DONE


def test_the_command_fails_with_what_failed(fleet, worker, capsys):
    worker.add("fra")
    with pytest.raises(CommandError, match=r"«fra»: It does not start\.; left as they are: sgp"):
        call_command("fleet_upgrade", "ams", "fra", "sgp")
    assert "«fra»: failed: It does not start." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [([], "name VPSes, or say --all"), (["ams", "--all"], "name VPSes"), (["xxx"], "no VPS named «xxx»")],
)
def test_what_the_command_does_not_take(fleet, worker, arguments, words):
    with pytest.raises(CommandError, match=words):
        call_command("fleet_upgrade", *arguments)


def test_the_command_has_nothing_to_do(fleet, worker, capsys):
    Vps.objects.update(agent_version=bundle.version())
    build.vps("pasted", agent_version="0.0.1+abc")
    call_command("fleet_upgrade", "--all")
    assert capsys.readouterr().out.splitlines() == [
        "«pasted»: not from here, we cannot sign in there", "every agent is of this version already",
    ]  # fmt: skip


def test_the_command_does_not_wait_for_ever(fleet, queued):
    with pytest.raises(CommandError, match="not over yet"):
        call_command("fleet_upgrade", "ams", "--limit", "0")
    with pytest.raises(CommandError, match="being upgraded already"):
        call_command("fleet_upgrade", "fra")
