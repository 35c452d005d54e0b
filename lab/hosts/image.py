"""The disk every host begins with: a minimal Debian, made once and kept in `~/.cache/ezstream-lab`.

Two steps, each named by what went into it: the packages (`{key}.tar.zst`, 30 s from the mirror, 70 MB) and the file
system with what is this machine's own, apt sources and extra certificates (`{key}.img`, 4 s). Both may be
deleted at any time.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lab.hosts.needs import run

SUITE: Final = "bookworm"
_PACKAGES: Final = (
    "systemd", "systemd-sysv", "dbus", "libpam-systemd", "openssh-server", "ca-certificates",
    "iproute2", "procps", "sudo", "apt-utils",
)  # fmt: skip
_SIZE: Final = "4G"
"""Sparse. What hosts write goes to disks of their own."""
_APT: Final = Path("/etc/apt")
_EXTRA_CERTIFICATES: Final = Path("/usr/local/share/ca-certificates")
_RECIPE: Final = "1"
"""Changed with what `_finish` does, for kept images to be made again."""


def cache_dir() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ezstream-lab"


def base_image(packages: Sequence[str] = ()) -> Path:
    """The image of a bare host, with `packages` more on it; made when it is not there yet."""
    wanted = sorted({*_PACKAGES, *packages})
    carried = _own_files()
    image = cache_dir() / f"{_key([_RECIPE, *wanted, *_spelled(carried)])}.img"
    with _one_at_a_time():
        if not image.exists():
            _build(image, _tarball(wanted), carried)
    return image


def _own_files() -> list[Path]:
    """The machine's apt sources, the keys they name, and its extra certificates."""
    sources = sorted(_APT.glob("sources.list")) + sorted(_APT.glob("sources.list.d/debian*.sources"))
    return [path for path in [*sources, *sorted(_EXTRA_CERTIFICATES.rglob("*.crt"))] if path.read_bytes().strip()]


def _spelled(paths: Sequence[Path]) -> Iterator[str]:
    return (f"{path}\n{hashlib.sha256(path.read_bytes()).hexdigest()}" for path in paths)


def _key(parts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    cache_dir().mkdir(parents=True, exist_ok=True)
    with (cache_dir() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _tarball(packages: Sequence[str]) -> Path:
    tarball = cache_dir() / f"{_key([SUITE, *packages])}.tar.zst"
    if not tarball.exists():
        part = tarball.with_name(f"part-{tarball.name}")
        sources = [path for path in _own_files() if path.is_relative_to(_APT)]
        options = ["--variant=minbase", "--mode=root", f"--include={','.join(packages)}"]
        run("mmdebstrap", "--quiet", *options, SUITE, part, *sources)
        part.rename(tarball)
    return tarball


def _build(image: Path, tarball: Path, carried: Sequence[Path]) -> None:
    part = image.with_name(f"part-{image.name}")
    part.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="ez-lab-root-", dir=cache_dir()) as root:
        run("tar", "--zstd", "-xpf", tarball, "-C", root)
        _finish(Path(root), carried)
        run("mkfs.ext4", "-q", "-O", "^has_journal", "-d", root, part, _SIZE)
    part.rename(image)


def _finish(root: Path, carried: Sequence[Path]) -> None:
    """What makes packages a bare server: its mirror, its trust, sshd with passwords; nothing that tells hosts apart."""
    shutil.rmtree(root / "etc/apt/sources.list.d", ignore_errors=True)
    (root / "etc/apt/sources.list").unlink(missing_ok=True)
    for path in carried:
        place = root / path.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    run("chroot", root, "update-ca-certificates")
    (root / "etc/ssh/sshd_config.d/password.conf").write_text("PermitRootLogin yes\nPasswordAuthentication yes\n")
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    (root / "etc/machine-id").write_text("")
    run("systemctl", f"--root={root}", "enable", "systemd-networkd")
