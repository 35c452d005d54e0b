"""What apt really says when something is wrong: a real apt-get, with lists and mirrors of the tests' own."""

import contextlib
import fcntl
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fleet.provision import apt, remedies

pytestmark = pytest.mark.skipif(shutil.which("apt-get") is None, reason="this machine has no apt-get")


@pytest.fixture
def update(tmp_path):
    """The step's own command, on directories of this test instead of the system's."""
    for folder in ("etc/apt/apt.conf.d", "etc/apt/preferences.d", "etc/apt/trusted.gpg.d", "etc/apt/sources.list.d",
                   "lists/partial", "cache/archives/partial", "dpkg", "log"):  # fmt: skip
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "dpkg/status").touch()
    options = {
        "Dir::Etc": f"{tmp_path}/etc/apt", "Dir::State::lists": f"{tmp_path}/lists", "Dir::Cache": f"{tmp_path}/cache",
        "Dir::State::status": f"{tmp_path}/dpkg/status", "Dir::Log": f"{tmp_path}/log", "APT::Sandbox::User": "",
        "Acquire::http::Proxy": "false", "DPkg::Lock::Timeout": "0", "Acquire::http::Timeout": "2",
    }  # fmt: skip
    (command, *_more) = apt.lists().make(None)

    def run(mirror: str) -> str:
        (tmp_path / "etc/apt/sources.list").write_text(f"deb [arch=amd64] {mirror} bookworm main\n")
        ours = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
        done = subprocess.run([*command.argv, *ours], capture_output=True, text=True, timeout=120)
        assert done.returncode != 0, done.stdout
        return done.stdout + done.stderr

    return run


def known(said: str) -> remedies.Known:
    found = remedies.find(said, apt.lists().failures)
    assert found is not None, said
    return found


def test_a_mirror_that_is_not_there(update):
    assert known(update("http://127.0.0.1:1/debian")) is remedies.NO_MIRROR


def test_a_mirror_whose_name_is_not_known(update):
    assert known(update("http://mirror.invalid/debian")) is remedies.NO_DNS


@contextlib.contextmanager
def mirror(answers: bool):
    """One that has nothing, or takes questions and says nothing."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if answers:
                self.send_error(404)
            else:
                over.wait(60)

        def log_message(self, *_args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/debian"
    over.set()
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(("answers", "words"), [(True, remedies.NO_RELEASE), (False, remedies.NO_MIRROR)])
def test_a_mirror_that_is_of_no_use(update, answers, words):
    with mirror(answers) as url:
        assert known(update(url)) is words


def test_a_lock_that_somebody_holds(update, tmp_path):
    with (tmp_path / "lists/lock").open("w") as lock, mirror(answers=True) as url:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        assert known(update(url)) is remedies.LOCKED
