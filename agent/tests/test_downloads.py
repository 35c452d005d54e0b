"""Downloads against a real HTTP server that misbehaves."""

import hashlib
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.downloads import Broken, Cancelled, Download, Refused, Trust, Wanted
from agent.tests.servers import FileServer, file_server

BODY = bytes(range(256)) * 4096  # 1 MiB
SUM = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as server:
        server.files["/a"] = BODY
        yield server


def fetch(
    server: FileServer,
    directory: Path,
    path: str = "/a",
    *,
    size: int = len(BODY),
    sha256: str | None = SUM,
    seen: list[int] | None = None,
    cancelled: threading.Event | None = None,
    ca_file: Path | None = None,
) -> Path:
    trust = Trust(frozenset({server.host}), frozenset({server.host}), ca_file)
    wanted = Wanted(server.url(path), directory / "a.source", size, sha256)
    download = Download(wanted, trust, (seen if seen is not None else []).append, cancelled or threading.Event(), 0.01)
    download.fetch()
    return wanted.path


def test_a_file_in_pieces_of_what_the_server_gives(server: FileServer, tmp_path: Path) -> None:
    server.most = 300_000
    seen: list[int] = []
    path = fetch(server, tmp_path, seen=seen)
    assert path.read_bytes() == BODY
    assert [wanted for _, wanted in server.asked] == [f"bytes={start}-" for start in (0, 300_000, 600_000, 900_000)]
    assert seen == sorted(seen)
    assert seen[-1] == len(BODY)
    assert not list(tmp_path.glob("*.part"))


def test_broken_connections_are_resumed_where_they_broke(server: FileServer, tmp_path: Path) -> None:
    server.most = 400_000
    server.broken = 3
    assert fetch(server, tmp_path).read_bytes() == BODY
    starts = [int(wanted.removeprefix("bytes=").rstrip("-")) for _, wanted in server.asked]
    assert starts == sorted(starts)
    assert starts[1] > 0, "not from the beginning again"


def test_a_part_of_an_earlier_agent_is_gone_on_with(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "a.source.part").write_bytes(BODY[:700_000])
    fetch(server, tmp_path)
    assert server.asked == [("/a", "bytes=700000-")]


def test_a_part_of_something_else_is_fetched_anew(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "a.source.part").write_bytes(b"x" * 700_000)
    assert fetch(server, tmp_path).read_bytes() == BODY


def test_a_part_that_is_too_long_is_fetched_anew(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "a.source.part").write_bytes(BODY + b"x")
    assert fetch(server, tmp_path).read_bytes() == BODY


def test_a_server_without_ranges_is_read_from_the_start(server: FileServer, tmp_path: Path) -> None:
    server.ignores_ranges = True
    (tmp_path / "a.source.part").write_bytes(b"x" * 1000)
    assert fetch(server, tmp_path).read_bytes() == BODY


def test_passing_trouble_is_tried_again(server: FileServer, tmp_path: Path) -> None:
    server.statuses = [503, 500, 429]
    assert fetch(server, tmp_path).read_bytes() == BODY


def test_lasting_trouble_is_given_up(server: FileServer, tmp_path: Path) -> None:
    server.statuses = [503] * 100
    with pytest.raises(Broken, match="the server answers 503"):
        fetch(server, tmp_path)
    assert 100 - len(server.statuses) == 8


@pytest.mark.parametrize("code", [401, 403, 404, 410, 418])
def test_a_refusal_is_not_tried_again(server: FileServer, tmp_path: Path, code: int) -> None:
    server.statuses = [code]
    with pytest.raises(Refused):
        fetch(server, tmp_path)
    assert len(server.asked) == 1


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("size", [len(BODY) - 1, len(BODY) + 1])
def test_another_size_than_expected_is_refused(server: FileServer, tmp_path: Path, size: int, ranges: bool) -> None:
    server.ignores_ranges = not ranges
    with pytest.raises(Refused, match=f"has {len(BODY)} bytes, expected {size}"):
        fetch(server, tmp_path, size=size)


def test_another_checksum_is_refused_and_nothing_stays(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="checksum"):
        fetch(server, tmp_path, sha256="0" * 64)
    assert not list(tmp_path.iterdir())


def test_a_redirect_among_trusted_hosts_is_followed(server: FileServer, tmp_path: Path) -> None:
    server.redirects["/moved"] = "/a"
    assert fetch(server, tmp_path, "/moved").read_bytes() == BODY


def test_a_redirect_to_another_host_is_refused(server: FileServer, tmp_path: Path) -> None:
    with file_server() as other:
        other.files["/a"] = BODY
        server.redirects["/moved"] = other.url("/a")
        with pytest.raises(Refused, match="trusted"):
            fetch(server, tmp_path, "/moved")
        assert not other.asked


def test_redirects_in_circles_end(server: FileServer, tmp_path: Path) -> None:
    server.redirects["/round"] = "/round"
    with pytest.raises(Refused, match="circles"):
        fetch(server, tmp_path, "/round")


def test_a_cancelled_download_ends_and_keeps_its_part(server: FileServer, tmp_path: Path) -> None:
    cancelled = threading.Event()
    server.most = 100_000

    class Stop(list):
        def append(self, have: int) -> None:
            if have > 0:
                cancelled.set()

    with pytest.raises(Cancelled):
        fetch(server, tmp_path, seen=Stop(), cancelled=cancelled)
    assert (tmp_path / "a.source.part").exists()


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.example/a",
        "https://files.example@elsewhere.example/a",
        "https://user:word@files.example/a",
        "http://files.example/a",
        "file:///etc/passwd",
        "https://files.example.elsewhere.example/a",
        "//files.example/a",
        "https://[::1/a",
        "",
    ],
)
def test_untrusted_addresses(url: str) -> None:
    trust = Trust(frozenset({"files.example", "plain.example:8000"}), frozenset({"plain.example:8000"}))
    with pytest.raises(Refused):
        trust.check(url)


@pytest.mark.parametrize(
    "url", ["https://files.example/a?x=1", "https://FILES.example:8443/a", "http://plain.example:8000/a"]
)
def test_trusted_addresses(url: str) -> None:
    Trust(frozenset({"files.example", "plain.example:8000"}), frozenset({"plain.example:8000"})).check(url)


def test_a_certificate_of_the_control_planes_own(tmp_path: Path) -> None:
    """Trusted when it was handed over, and by nobody else."""
    both = tmp_path / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=ours"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(both), "-out", str(tmp_path / "crt")]
    subprocess.run(command, check=True, capture_output=True)
    both.write_text(both.read_text() + (tmp_path / "crt").read_text())
    with file_server(certificate=both) as server:
        server.files["/a"] = BODY
        with pytest.raises(Broken, match="SSLError"):
            fetch(server, tmp_path)
        assert fetch(server, tmp_path, ca_file=tmp_path / "crt").read_bytes() == BODY
