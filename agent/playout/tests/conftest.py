"""What the tests of the playout share.

Examples share the machine with real servers: how long one takes says nothing.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from .servers import NginxRtmp, tls_before

settings.register_profile("playout", deadline=None)
settings.load_profile("playout")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed one for localhost, key and certificate in one file."""
    home = tmp_path_factory.mktemp("certificate")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    command += [
        "-addext",
        "subjectAltName=DNS:localhost",
        "-keyout",
        str(home / "key"),
        "-out",
        str(home / "crt"),
    ]
    subprocess.run(command, check=True, capture_output=True)
    both = home / "both.pem"
    both.write_text((home / "key").read_text() + (home / "crt").read_text())
    return both


@pytest.fixture
def rtmps(certificate: Path) -> Iterator[tuple[NginxRtmp, int]]:
    """nginx-rtmp and the port of a TLS terminator before it."""
    with NginxRtmp() as server, tls_before(server.port, certificate) as port:
        yield server, port
