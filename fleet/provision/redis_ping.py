"""Whether Redis is reached from a server as its agent would reach it. Runs there, by its own Python: stdlib alone.

Writes «ok» or why not. It does not sign in: nothing of what it reads is a secret to anybody but this process.
"""

from __future__ import annotations

import socket
import ssl
import sys
from urllib.parse import unquote, urlsplit

LIMIT_S = 2.0


def settings(path: str) -> dict[str, str]:
    with open(path, encoding="utf-8") as lines:
        pairs = [line.partition("=") for line in lines]
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}


def dial(env: dict[str, str]) -> socket.socket:
    url = urlsplit(env["EZSTREAM_REDIS_URL"])
    if url.scheme == "unix":
        local = socket.socket(socket.AF_UNIX)
        local.settimeout(LIMIT_S)
        local.connect(unquote(url.path))
        return local
    sock = socket.create_connection((url.hostname or "localhost", url.port or 6379), LIMIT_S)
    if url.scheme != "rediss":
        return sock
    context = ssl.create_default_context()
    if env.get("EZSTREAM_REDIS_CA_FILE"):
        context.load_verify_locations(env["EZSTREAM_REDIS_CA_FILE"])
    return context.wrap_socket(sock, server_hostname=url.hostname)


def look(path: str) -> str:
    try:
        with dial(settings(path)) as sock:
            sock.sendall(b"PING\r\n")
            return "ok" if sock.recv(64)[:1] in (b"+", b"-") else "what answers there is not Redis"
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not trusted: {error.verify_message}"
    except TimeoutError:
        return "no answer in time"
    except OSError as error:
        return error.strerror or type(error).__name__
    except (KeyError, ValueError):  # their words would repeat what was read
        return "its settings name no Redis"


if __name__ == "__main__":
    sys.stdout.write(look(sys.argv[1]))
