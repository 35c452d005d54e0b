"""One file that any Python runs, the same bytes from the same source."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError

from fleet.provision import bundle, unit, upgrade
from fleet.provision.bundle import BundleError

AGENT = settings.BASE_DIR / "agent"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundle.current().kept_in(tmp_path_factory.mktemp("bundles"))


def run(file: Path, *arguments: str, program: str = "") -> subprocess.CompletedProcess[str]:
    """Without anything that is installed here."""
    options = ["-c", f"import sys; sys.path.insert(0, {str(file)!r}); {program}"] if program else [str(file)]
    command = [sys.executable, "-I", "-S", "-W", "error", *options, *arguments]
    return subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=60)


def test_it_runs_with_nothing_installed_and_knows_itself(file):
    done = run(file, "--version")
    assert (done.returncode, done.stderr) == (0, "")
    made = bundle.current()
    assert done.stdout.strip() == made.version
    assert file.name == made.name == f"ezstream-agent-{made.hash[:12]}.pyz"
    assert made.version.endswith(f"+{made.hash[:12]}")


TURNS_THE_LINK = """
import os, sys

def main():
    os.replace(sys.argv[1] + ".new", sys.argv[1])
    from agent import later
    print(later.WHO)
"""


def test_by_way_of_a_link_it_stays_itself_when_the_link_is_turned(tmp_path):
    """What it imports only after an upgrade comes from its own file."""
    link = tmp_path / "current"
    for who, path in (("old", link), ("new", tmp_path / "current.new")):
        source = tmp_path / who
        source.mkdir()
        (source / "__init__.py").write_text(f'__version__ = "{who}"\n')
        (source / "__main__.py").write_text(TURNS_THE_LINK)
        (source / "later.py").write_text(f"WHO = {who!r}\n")
        path.symlink_to(bundle.make(source).kept_in(tmp_path))
    assert run(link, str(link)).stdout == "old\n"
    assert bundle.make(tmp_path / "new").name == link.readlink().name


def test_everything_in_it_can_be_imported(file):
    with zipfile.ZipFile(file) as archive:
        names = [name.removesuffix(".py").replace("/", ".") for name in archive.namelist() if name.startswith("agent/")]
    modules = sorted(name.removesuffix(".__init__") for name in names if not name.endswith("__main__"))
    assert len(modules) > 80
    program = f"import importlib; [importlib.import_module(name) for name in {modules}]; print('done')"
    assert run(file, program=program).stdout == "done\n"


def test_its_certificates_are_the_systems(file):
    program = "import certifi, requests; print(certifi.where(), requests.certs.where())"
    path = "/etc/ssl/certs/ca-certificates.crt"
    assert run(file, program=program).stdout.split() == [path, path]


def test_same_source_same_bytes(tmp_path):
    shutil.copytree(AGENT, tmp_path / "agent", copy_function=shutil.copyfile)
    for path in (tmp_path / "agent").rglob("*.py"):
        path.touch()
        path.chmod(0o777)
    assert bundle.make(tmp_path / "agent").content == bundle.make(AGENT).content
    (tmp_path / "agent" / "core.py").write_text("")
    assert bundle.make(tmp_path / "agent").hash != bundle.make(AGENT).hash


def test_it_carries_no_machine_code_no_tests_and_all_licences(file):
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        assert all(entry.date_time[0] == 1980 for entry in archive.infolist())
    assert {Path(name).suffix for name in names} <= {".py", "", ".md", ".txt"}
    assert not [name for name in names if "/tests/" in name]
    licensed = {re.match(r"(.*)-[\d.]+\.dist-info", name)[1] for name in names if "LICEN" in name}
    assert licensed == {name.replace("-", "_") for name in bundle.DISTRIBUTIONS}


def test_the_lock_pins_what_requirements_pin():
    pinned = [line.split()[:2] for line in bundle.LOCK.read_text().splitlines()]
    assert [name for name, _version in pinned] == list(bundle.DISTRIBUTIONS)
    requirements = (settings.BASE_DIR / "requirements.txt").read_text().splitlines()
    assert {f"{name}=={version}" for name, version in pinned} <= set(requirements)


@pytest.mark.parametrize("changed", ["version", "bytes"])
def test_other_packages_than_pinned_are_refused(changed, tmp_path, monkeypatch):
    lock = bundle.LOCK.read_text()
    digest = re.search(r"redis \S+ (\w+)", lock)[1]
    lock = lock.replace("redis 8", "redis 7") if changed == "version" else lock.replace(digest, "0" * 64)
    monkeypatch.setattr(bundle, "LOCK", tmp_path / "lock")
    bundle.LOCK.write_text(lock)
    bundle.current.cache_clear()
    with pytest.raises(BundleError, match=r"wants redis \d\S* unchanged: install requirements\.txt again"):
        bundle.make(AGENT)
    with pytest.raises(CommandError, match="redis"):
        call_command("agent_bundle", folder=tmp_path)


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setattr(bundle, "DISTRIBUTIONS", ("no-such-package",))
    with pytest.raises(BundleError, match="no-such-package is not installed"):
        bundle.make(AGENT)


def test_the_command_says_where_it_is(tmp_path, capsys, monkeypatch):
    bundle.current.cache_clear()
    monkeypatch.setattr(bundle, "LOCK", tmp_path / "lock")
    call_command("agent_bundle", folder=tmp_path, lock=True)
    path, version = capsys.readouterr().out.split()
    assert Path(path).read_bytes() == bundle.current().content
    assert version == bundle.current().version
    assert (tmp_path / "lock").read_text() == Path(bundle.__file__).with_name("bundle.lock").read_text()


def test_the_unit_names_the_places_of_the_upgrade():
    lines = unit.content().decode().splitlines()
    assert f"ExecStart=/usr/bin/python3 {upgrade.LINK} --config {upgrade.CONFIG}" in lines
    assert f"User={upgrade.USER}" in lines
