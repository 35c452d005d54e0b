"""`bin/dev`: the product on this machine, with a demo channel on air. Ctrl-C ends everything."""

from __future__ import annotations

import argparse
import fcntl
import os
import sys
import time
from pathlib import Path
from typing import Self

from lab.platform import APPS
from lab.ports import free_port, is_open
from lab.processes import end_on_signals, wait_for_the_end
from lab.product import ROOT, Plan, Product


class RunsAlreadyError(RuntimeError):
    """Another `bin/dev` has this home; the message says what to do."""


class OnlyOne:
    """`with OnlyOne(home):` two on the same data would spoil it. The lock ends with the process, however it ends."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._home = home
        self._file = (home / "dev.lock").open("w")

    def __enter__(self) -> Self:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._file.close()
            raise RunsAlreadyError(
                f"EZStream already runs on {self._home}: end it with Ctrl-C, or give this one another --var DIR."
            ) from error
        return self

    def __exit__(self, *exc: object) -> None:
        self._file.close()


def main() -> int:
    args = _arguments()
    with OnlyOne(args.var):
        return _run(args)


def _run(args: argparse.Namespace) -> int:
    started = time.monotonic()
    plan = Plan(
        home=args.var.resolve(),
        web_port=_port(args.port),
        rtmp_port=_ports(args.port + 10, len(APPS)),
        platform_port=_ports(args.port + 20),
        agents=args.agents,
        demo=not args.no_demo,
        echo=args.verbose,
        environ={name: value for name, value in os.environ.items() if name != "VAR_DIR"},
    )
    print("Starting EZStream …", flush=True)
    with Product(plan) as product:
        _say(product, time.monotonic() - started)
        wait_for_the_end()
        print("\nEnding …", flush=True)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=int(os.environ.get("PORT", "8000")), help="of the web pages")
    parser.add_argument("--agents", type=int, default=1, help="how many local VPSes (default 1)")
    parser.add_argument("--no-demo", action="store_true", help="no demo users, clips and channel")
    parser.add_argument("--verbose", action="store_true", help="print what every process says")
    var = Path(os.environ.get("VAR_DIR", ROOT / "var"))
    parser.add_argument("--var", type=Path, default=var, help="where data, logs and secrets are kept")
    return parser.parse_args()


def _port(wanted: int) -> int:
    """The wanted port, or a free one when somebody has it."""
    port = _ports(wanted)
    if port != wanted:
        print(f"Port {wanted} is taken: the pages are on port {port}.", flush=True)
    return port


def _ports(wanted: int, count: int = 1) -> int:
    """The first of `count` ports in a row, the wanted ones when nobody has them.

    The platform's stand beside the pages': destinations saved yesterday still lead there today.
    """
    taken = any(is_open(port) for port in range(wanted, wanted + count))
    return free_port(count) if taken else wanted


def _say(product: Product, seconds: float) -> None:
    lines = [f"\n  EZStream is up ({seconds:.1f} s).", "", f"    Pages           {product.url}/"]
    for who in product.facts.get("people", []):
        lines.append(f"    {who['role']:<15} {who['email']}   {who['password']}")
    lines += [
        f"    Operators       {product.url}/admin/",
        f"    Demo platform   {product.platform_url}/   (what the outside world receives)",
        f"    Logs            {product.plan.home / 'logs'}",
        "",
        "  Push your own streams to these servers, any key:",
        *(f"    {url}" for url in product.ingest.values()),
        "",
        "  Ctrl-C ends everything.",
    ]
    print("\n".join(lines), flush=True)


if __name__ == "__main__":
    end_on_signals()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except RunsAlreadyError as error:
        sys.exit(str(error))
