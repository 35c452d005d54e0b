"""The stand-ins that `bin/dev`, tests and benches start, in places that are hard to name."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from lab.dev import OnlyOne, RunsAlreadyError
from lab.hosts import needs
from lab.platform import has_nginx, live, make_folders, nginx_binary, nginx_conf
from lab.ports import free_port
from lab.valkey import Valkey

AWKWARD = 'it\'s a "place" with 100% $more {c++}; #1 ?'


@pytest.fixture
def awkward(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / AWKWARD
    path.mkdir()
    return path


@pytest.mark.parametrize("folder", ["short", "long " * 40])
def test_redis_runs_wherever_the_tree_is(folder: str, awkward: Path) -> None:
    server = Valkey(awkward / folder)
    before = set(os.listdir(tempfile.gettempdir()))
    server.start()
    try:
        with redis.Redis.from_url(server.url) as client:
            client.set("kept", "yes")
    finally:
        server.stop()
    assert not {name for name in set(os.listdir(tempfile.gettempdir())) - before if name.startswith("ez-redis-")}
    assert (awkward / folder / "appendonlydir").is_dir()


def test_nginx_reads_its_paths_whatever_is_in_them(awkward: Path) -> None:
    assert has_nginx()
    make_folders(awkward)
    conf = awkward / "nginx.conf"
    conf.write_text(nginx_conf(awkward, free_port(), record=True))
    command = [str(nginx_binary()), "-t", "-p", str(awkward), "-e", str(awkward / "error.log"), "-c", str(conf)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_was_live_before_the_start_is_not_live(tmp_path: Path) -> None:
    make_folders(tmp_path)
    (tmp_path / "hls" / "tube" / "key.m3u8").touch()
    assert len(live(tmp_path)) == 1
    make_folders(tmp_path)
    assert live(tmp_path) == []


def test_a_home_is_used_once_at_a_time(tmp_path: Path) -> None:
    with OnlyOne(tmp_path), pytest.raises(RunsAlreadyError, match="already"), OnlyOne(tmp_path):
        pass
    with OnlyOne(tmp_path):
        pass


@pytest.mark.parametrize(
    ("uid", "has", "words"),
    [
        (1000, lambda program: "/bin/x", "need root"),
        (0, lambda program: None, "apt-get install mmdebstrap systemd-container nftables"),
        (0, lambda program: None if program == "nft" else "/bin/x", "apt-get install nftables$"),
    ],
)
def test_what_hosts_need_is_named(uid, has, words, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(needs.os, "getuid", lambda: uid)
    monkeypatch.setattr(needs.shutil, "which", has)
    assert re.search(words, needs.missing())
