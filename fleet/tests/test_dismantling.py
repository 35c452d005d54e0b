"""Decommissioning: nothing of ours stays on the server but the way in, and the VPS leaves the fleet."""

import pytest

from accounts.models import AuditEntry
from fleet import actions, tasks
from fleet.errors import Refused, WrongState
from fleet.models import ProvisionRun, RedisUser, RunStatus, StepStatus, Vps, VpsStatus
from fleet.provision import dismantling, places, runner
from fleet.provision.ssh import Result
from fleet.provision.steps import decommission_steps
from fleet.tests.ssh_server import serving
from fleet.tests.upgradable import USER, Upgradable, row_of
from streams.models import Run
from streams.tests import build

pytestmark = pytest.mark.django_db(transaction=True)
GETENT = '#!/bin/sh\n[ -e {home}/user ] && echo "$2:x:999:999::/nowhere:/usr/sbin/nologin"\n'
USERDEL = "#!/bin/sh\nrm {home}/user\n"
NFT = """\
#!/bin/sh
echo "$*" >>{home}/asked
case "$1" in
  list) [ -e {home}/table ] && echo "table inet ezstream {{" ;;
  delete) rm {home}/table ;;
esac
"""


@pytest.fixture
def vps():
    with serving() as server:
        row = row_of(server, status=VpsStatus.ACTIVE)
        row.server = server
        yield row


@pytest.fixture
def there(vps, tmp_path, monkeypatch) -> Upgradable:
    monkeypatch.setattr(tasks.provision.broker, "enqueue", lambda message: message)
    there = Upgradable(tmp_path / "server", vps.server, monkeypatch)
    there.install("works", vps)
    for name, text in (("getent", GETENT), ("userdel", USERDEL), ("nft", NFT)):
        there.program(name, text)
    for name in ("user", "table", f"units/{places.NGINX_UNIT}", f"units/{places.FIREWALL_UNIT}", "var/video.flv"):
        (there.home / name).touch()
    return there


def do(vps: Vps) -> ProvisionRun:
    run = actions.decommission(Vps.objects.get(pk=vps.pk), None)
    runner.run(run.pk)
    return ProvisionRun.objects.select_related("vps").get(pk=run.pk)


def left(there: Upgradable) -> list[str]:
    names = ("opt", "etc", "var", "user", "table")
    return [name for name in names if (there.home / name).exists()] + [
        path.name for path in (there.home / "units").iterdir()
    ]


def test_nothing_of_ours_stays_and_the_vps_leaves_the_fleet(vps, there):
    RedisUser.objects.create(vps=vps, sealed_password="")
    run = do(vps)
    assert (run.state, run.reason) == (RunStatus.DONE, "")
    assert [step.status for step in run.steps.all()] == [StepStatus.CHANGED] * 5
    assert left(there) == []
    assert not Vps.objects.exists()
    assert (run.vps.removed_at is not None, run.vps.sealed_password, run.vps.host_key) == (True, "", "")
    assert RedisUser.objects.get().cut_off_at is not None
    assert run.vps.state is VpsStatus.INACTIVE
    assert AuditEntry.objects.filter(verb="decommission", target_id=str(vps.pk)).exists()


def test_what_is_away_already_is_left_alone(vps, there):
    do(vps)
    again = row_of(vps.server, "again")
    run = do(again)
    assert [step.status for step in run.steps.all()] == [StepStatus.UNCHANGED] * 5
    assert run.state is RunStatus.DONE


def test_it_is_refused_as_removing_is_while_something_is_on_it(vps, there, alice):
    run = build.running(build.stream(alice), vps)
    with pytest.raises(Refused, match=r"carries 1 stream\. Drain it"):
        actions.decommission(vps, None)
    assert (Vps.objects.get().state, ProvisionRun.objects.count()) == (VpsStatus.ACTIVE, 0)
    Run.objects.filter(pk=run.pk).update(slot_released_at=build.ago(1))
    assert do(vps).state is RunStatus.DONE


def test_meanwhile_nothing_else_is_done_with_it(vps, there):
    actions.decommission(vps, None)
    vps.refresh_from_db()
    assert (vps.state, vps.status_message) == (VpsStatus.PROVISIONING, "It is being decommissioned.")
    for verb in (actions.decommission, actions.provision, actions.upgrade, actions.remove, actions.restart_agent):
        with pytest.raises(WrongState):
            verb(vps, None)


def test_a_failure_is_told_and_it_can_be_begun_again_or_removed(vps, there):
    there.program("userdel", "#!/bin/sh\necho userdel: no >&2; exit 8\n")
    run = do(vps)
    assert run.reason.startswith(f"«Remove the user «{USER}»»: «sh -c")
    assert "userdel: no" in run.steps.get(name="user").output
    assert Vps.objects.get().state is VpsStatus.ERROR
    with pytest.raises(WrongState):
        actions.resume(run, None)
    there.program("userdel", USERDEL)
    assert do(vps).state is RunStatus.DONE
    assert left(there) == []


def test_a_server_that_does_not_answer_says_so_and_removing_is_what_is_left(vps, there):
    vps.server.close_door()
    vps.server.drop_all()
    run = do(vps)
    assert "nothing listens on port" in run.reason
    assert Vps.objects.get().state is VpsStatus.ERROR
    actions.remove(Vps.objects.get(), None)
    assert not Vps.objects.exists()


def test_cancelled_before_anything_it_says_what_is_left(vps, there):
    run = actions.decommission(vps, None)
    actions.cancel(run, None)
    run.refresh_from_db()
    assert run.reason.startswith("Cancelled. What was taken away stays away.")
    assert Vps.objects.get().state is VpsStatus.ERROR


# ------------------------------------------------------------------------------------------------ steps as data


def test_in_which_order():
    """The service before its user, the user before what it owns."""
    assert [step.name for step in decommission_steps()] == ["agent", "nginx", "firewall", "user", "files"]


@pytest.mark.parametrize("step", decommission_steps(), ids=lambda step: step.name)
@pytest.mark.parametrize(("said", "is_so"), [("", True), ("\n", True), ("file\n", False), ("active\nenabled\n", False)])
def test_only_what_is_there_is_taken_away(step, said, is_so):
    assert step.look.judge(Result(0, said)).is_so is is_so


def test_only_folders_of_ours_are_deleted():
    """Whatever is added there: nothing that others may have files in."""
    assert all("ezstream" in path and path.count("/") >= 2 for path in dismantling._FILES)
    (command,) = dismantling.remains().make(Result(0, ""))
    assert command.argv[:3] == ("rm", "-rf", "--")
