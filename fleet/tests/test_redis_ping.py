"""How Redis is reached from a server: the script that runs there, as it runs there, against the real thing."""

import contextlib
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from django.utils import timezone

from agent.tests.servers import RedisServer
from fleet.provision import redis_ping
from fleet.redis_certificates import Folder, renew
from fleet.tests.test_redis_certificates import TlsRedis

SECRET = "canary-redis-word"


@pytest.fixture
def ping(tmp_path):
    def run(*lines: str) -> str:
        """As the look runs it: by `python3 -c`."""
        path = tmp_path / "agent.env"
        path.write_text("\n".join(["# its settings", "EZSTREAM_VPS_ID=7", *lines, ""]))
        source = Path(redis_ping.__file__).read_text()
        done = subprocess.run(["python3", "-I", "-c", source, str(path)], capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr
        assert SECRET not in done.stdout + done.stderr
        return done.stdout

    return run


def test_redis_is_reached_without_signing_in(ping):
    with RedisServer(password=SECRET) as server:
        there = server.url.partition("@")[2]
        assert ping(f"EZSTREAM_REDIS_URL=redis://vps-7:{SECRET}@{there}") == "ok"
        assert ping(f'EZSTREAM_REDIS_URL = "redis://vps-7:{SECRET}@{there}"') == "ok"
        assert ping(f"EZSTREAM_REDIS_URL={server.unix_url}") == "ok"
    assert ping(f"EZSTREAM_REDIS_URL=redis://vps-7:{SECRET}@{there}") == "Connection refused"


def test_tls_is_judged_as_the_agent_judges_it(ping, tmp_path):
    folder = Folder(tmp_path / "tls")
    renew(folder, [], timezone.now())
    with TlsRedis(folder) as server:
        url = f"EZSTREAM_REDIS_URL=rediss://vps-7:{SECRET}@127.0.0.1:{server.port}"
        assert ping(url, f"EZSTREAM_REDIS_CA_FILE={folder.ca}") == "ok"
        assert ping(url).startswith("its certificate is not trusted: ")
        assert ping(url, "EZSTREAM_REDIS_CA_FILE=/nowhere") == "No such file or directory"
        assert ping(url.replace("rediss", "redis")) in ("what answers there is not Redis", "Connection reset by peer")


@contextlib.contextmanager
def answering(words: bytes):
    """Somebody who says this and no more; without words he says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                sock, _ = server.accept()
                taken.append(sock)
                sock.sendall(words)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        for sock in taken:
            sock.close()


@pytest.mark.parametrize(
    ("words", "told"), [(b"HTTP/1.1 400 no\r\n", "what answers there is not Redis"), (b"", "no answer in time")]
)
def test_who_is_not_redis(ping, words, told):
    with answering(words) as port:
        assert ping(f"EZSTREAM_REDIS_URL=redis://{SECRET}@127.0.0.1:{port}") == told


@pytest.mark.parametrize(
    "line", ["EZSTREAM_REDIS_URL=", f"EZSTREAM_REDIS_URL=redis://u:{SECRET}/x@h:1", "OTHER=1", "EZSTREAM_REDIS_URL"]
)
def test_settings_that_name_none(ping, line):
    assert ping(line) in ("its settings name no Redis", "Connection refused")
