"""The system's certificates. In a bundle, `certifi` is this module: a server's operator says whom it trusts, and a file
inside a zip has no path."""

from __future__ import annotations

import os
import ssl
from typing import Final

BUNDLES: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
"""Debian's place and Fedora's."""


def where() -> str:
    """The file; the first place when there is none, so that errors name it."""
    places = [path for path in (ssl.get_default_verify_paths().cafile, *BUNDLES) if path]
    return next((path for path in places if os.access(path, os.R_OK)), BUNDLES[0])
