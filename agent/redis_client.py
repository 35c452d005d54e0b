"""How this agent presents itself to Redis: one home for the daemon and its self-test."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from agent import protocol


def options(url: str, vps_id: int, ca_file: Path | None) -> dict[str, Any]:
    """For `from_url`. `ca_file`: who signed for a Redis with TLS, besides whom the system trusts.

    No driver_info: a connection that says nothing of itself needs no right to (fleet/redis_acl.py).
    """
    name = protocol.client_name(vps_id, unquote(urlsplit(url).password or ""))
    tls = {"ssl_ca_certs": str(ca_file)} if ca_file is not None and url.startswith("rediss:") else {}
    return {"client_name": name, "driver_info": None, **tls}
