"""Where `ezstream upgrade` leads when it fails (tests/e2e/test_deploy.py upgrades a host)."""

from __future__ import annotations

import subprocess

import pytest

UPGRADE = """
SOURCE=/elsewhere; whole=/dump
make_release() { mkdir -p "$BASE/releases/r2"; printf '%s' "$BASE/releases/r2"; }
prepare_release() { :; }; backup_database_only() { :; }; restart() { :; }
install_units() { :; }; install_nginx() { :; }; host_name() { echo host; }; close_settings() { :; }
manage() { case "$1 $*" in *r1*) ;; *return-to*) [ "$undoes" ] ;; esac; }
wait_well() { case $(readlink "$CURRENT") in *r1) [ "$old_is_well" ] ;; *) false ;; esac; }
"""
BACK = {
    "all is well": ("undoes=y old_is_well=y", "the old release is in use again and well: nothing"),
    "the database is down": ("undoes= old_is_well=", "and is not well either"),
    "only the way back fails": ("undoes= old_is_well=y", "the database has the layout of r2"),
}


@pytest.mark.parametrize("has_previous", [True, False])
@pytest.mark.parametrize(("how", "said"), BACK.values(), ids=BACK)
def test_a_failed_upgrade_leads_back_to_the_old_release(shell, installed, tmp_path, how, said, has_previous):
    before = tmp_path / "releases" / "r0"
    if has_previous:
        before.mkdir()
        (tmp_path / "previous").symlink_to(before)
    with pytest.raises(subprocess.CalledProcessError) as failed:
        shell(f"{UPGRADE}{how}\nupgrade", **installed)
    assert said in failed.value.stderr
    assert (tmp_path / "current").readlink() == tmp_path / "releases" / "r1"
    assert not (tmp_path / "releases" / "r2").exists()
    assert (tmp_path / "previous").is_symlink() is has_previous
    assert not has_previous or (tmp_path / "previous").readlink() == before


def test_a_release_in_use_is_never_deleted(shell, installed, tmp_path):
    """The link could not be set back."""
    stuck = 'mv() { case $(readlink "$CURRENT.new") in *r1) return 1 ;; *) command mv "$@" ;; esac; }'
    with pytest.raises(subprocess.CalledProcessError) as failed:
        shell(f"{UPGRADE}{stuck}\nundoes= old_is_well=\nupgrade", **installed)
    assert "r2 is still in use" in failed.value.stderr
    assert (tmp_path / "current").resolve() == tmp_path / "releases" / "r2"
    assert (tmp_path / "current" / ".").is_dir()


def test_the_first_upgrade_leads_back_to_what_was_installed(shell, installed, tmp_path):
    shell(f"{UPGRADE}wait_well() {{ :; }}\nupgrade", **installed)
    assert (tmp_path / "previous").readlink() == tmp_path / "releases" / "r1"


def test_the_old_release_runs_again_also_when_its_units_could_not_be_installed(shell, installed, tmp_path):
    lines = (
        f'{UPGRADE}install_units() {{ false; }}; restart() {{ readlink "$CURRENT"; }}; undoes=y old_is_well=y\nupgrade'
    )
    with pytest.raises(subprocess.CalledProcessError) as failed:
        shell(lines, **installed)
    assert failed.value.stdout.splitlines()[-1] == str(tmp_path / "releases" / "r1")
    assert "and is not well either" in failed.value.stderr
