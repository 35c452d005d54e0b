"""What an agent finds out about its server before it is trusted with a stream."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from agent import self_test
from agent.config import Config
from agent.tests.servers import HOME, RedisServer
from lab.ports import free_port

VPS = 7


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    with RedisServer() as server, redis.Redis.from_url(server.url) as client:
        client.acl_setuser(
            "agent",
            enabled=True,
            passwords=["+word"],
            channels=["vps-commands:7"],
            commands=["+@pubsub", "+client|setname"],
        )
        client.acl_setuser("other", enabled=True, passwords=["+word"], channels=["vps-commands:8"], commands=["+@all"])
        yield server


def config(tmp_path: Path, redis_url: str = "redis://127.0.0.1:1/0", **more: Any) -> Config:
    return Config(redis_url=redis_url, vps_id=VPS, work_dir=tmp_path, trusted_hosts=frozenset(), **more)


def outcome(name: str, config: Config) -> tuple[bool, str]:
    found = self_test._outcome(name, self_test.CHECKS[name], config)
    return found["ok"], found["message"]


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def as_user(server: RedisServer, user: str, password: str = "word") -> str:
    return server.url.replace("redis://", f"redis://{user}:{password}@")


def test_a_good_server(redis_server: RedisServer, tmp_path: Path) -> None:
    found = self_test.run(config(tmp_path, as_user(redis_server, "agent")))
    assert found["ok"], found
    assert [each["name"] for each in found["checks"]] == list(self_test.CHECKS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("user", "password", "words"),
    [
        ("agent", "wrong-word", "Redis refuses the user or password in EZSTREAM_REDIS_URL"),
        ("nobody", "word", "Redis refuses the user or password in EZSTREAM_REDIS_URL"),
        ("other", "word", "this Redis user may not listen to the commands of this VPS"),
    ],
)
def test_a_redis_that_refuses(redis_server: RedisServer, tmp_path: Path, user: str, password: str, words: str) -> None:
    assert outcome("redis", config(tmp_path, as_user(redis_server, user, password))) == (False, words)


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_no_redis_at_all(tmp_path: Path, scheme: str) -> None:
    well, words = outcome("redis", config(tmp_path, f"{scheme}://:sesame@127.0.0.1:{free_port()}/0"))
    assert (well, words) == (False, "Redis cannot be reached (Connection refused)")


def test_a_redis_that_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_test, "REDIS_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"redis://:sesame@127.0.0.1:{server.getsockname()[1]}/0"
        assert outcome("redis", config(tmp_path, url)) == (False, "Redis does not answer")


def test_the_clock_is_held_against_that_of_redis(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = config(tmp_path, redis_server.url)
    well, words = outcome("clock", mine)
    assert well
    assert "0.0 s off that of Redis" in words
    monkeypatch.setattr(self_test, "MOST_OFF_SECONDS", -1.0)
    assert not outcome("clock", mine)[0]
    assert outcome("clock", config(tmp_path, as_user(redis_server, "agent")))[0], "it need not be allowed to ask"


def test_ffmpeg(tmp_path: Path) -> None:
    well, words = outcome("ffmpeg", config(tmp_path))
    assert well
    assert words.startswith("ffmpeg version ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("echo ' A....D aac  AAC'", "FFmpeg cannot encode with libx264"),
        ("echo 'not A....D libx264 '", "FFmpeg cannot encode with libx264 and aac"),
        ("exit 3", "fails with 3"),
        ("exec sleep 60", "does not end"),
    ],
)
def test_an_ffmpeg_that_will_not_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, words: str) -> None:
    monkeypatch.setattr(self_test, "FFMPEG_SECONDS", 1.0)
    well, said = outcome("ffmpeg", config(tmp_path, ffmpeg=script(tmp_path, text)))
    assert not well
    assert said.endswith(words)


def test_no_ffmpeg_at_all(tmp_path: Path) -> None:
    said = outcome("ffmpeg", config(tmp_path, ffmpeg="no-such-ffmpeg"))
    assert said == (False, "no-such-ffmpeg cannot be run (No such file or directory)")


def test_a_disk_with_too_little_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_test, "LEAST_FREE_GIB", 1e9)
    well, words = outcome("disk", config(tmp_path))
    assert not well
    assert "GiB free at" in words


def test_a_directory_that_cannot_be_written_in(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    well, words = outcome("disk", config(tmp_path / "file"))
    assert not well
    assert "Not a directory" in words


def test_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert outcome("certificates", config(tmp_path))[0]
    monkeypatch.setattr(self_test.certificates, "where", lambda: "/no/such/file")
    well, words = outcome("certificates", config(tmp_path))
    assert not well
    assert words == "/no/such/file cannot be read: install ca-certificates"


def test_an_nginx_that_is_configured_must_be_good(tmp_path: Path) -> None:
    mine = config(tmp_path, nginx=script(tmp_path, "echo '[emerg] unknown directive' >&2; exit 1"), nginx_conf=tmp_path)
    assert outcome("nginx", mine) == (False, "nginx refuses: unknown directive")


def test_the_command_answers_in_json_and_leaves_no_trace(redis_server: RedisServer, tmp_path: Path) -> None:
    settings = tmp_path / "agent.env"
    url = as_user(redis_server, "agent")
    settings.write_text(
        f"EZSTREAM_REDIS_URL='{url}'\nEZSTREAM_VPS_ID=7\nEZSTREAM_WORK_DIR={tmp_path}/work\n"
        "EZSTREAM_TRUSTED_HOSTS=files.example\n"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("EZSTREAM_")}
    command = [sys.executable, "-m", "agent", "--config", str(settings), "--self-test"]
    done = subprocess.run(command, cwd=HOME, env=clean, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    assert json.loads(done.stdout)["ok"]
    assert done.stderr == ""
    assert not (tmp_path / "work").exists()
    redis_url = f"EZSTREAM_REDIS_URL=redis://:sesame@127.0.0.1:{free_port()}/0\n"
    settings.write_text(settings.read_text() + redis_url)
    done = subprocess.run(command, cwd=HOME, env=clean, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "sesame" not in done.stdout + done.stderr
