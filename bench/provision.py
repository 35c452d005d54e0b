"""From a bare server to a stream on air, and over it once more: `python -m bench.provision`.

The whole product on one machine, a bare Debian of the lab as the server, provisioned by password. Needs root and what
`lab.hosts.needs` names. The last line is JSON; seconds:

* `bare_to_air_s`: from «Provision» to the first picture at the receiving server. The stream is started the moment the
  server is ready for it.
* `ours_s`: of these, all but the steps that are apt's (lists, updates, packages).
* `again_s`: a second provisioning of the server, which changes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from agent.tests.servers import RedisServer
from lab.hosts import Host, Lab
from lab.ports import free_port
from lab.processes import wait_until
from lab.product import Plan, Product
from lab.receiver import Receiver

APT = ("mend", "lists", "upgrade", "packages", "clock")
LIMIT_S = 300.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", action="store_true", help="say how long each step took")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="ezprov-") as folder,
        Lab() as lab,
        RedisServer(address=lab.address, password="bench-word") as redis,
        Receiver(lab.address) as receiver,
        Product(plan(Path(folder) / "var", lab, redis, receiver)) as product,
    ):
        figures = measure(product, lab.host("bare"), receiver, told=options.steps)
    print(json.dumps(figures))
    return 0


def plan(home: Path, lab: Lab, redis: RedisServer, receiver: Receiver) -> Plan:
    ports = {name: free_port() for name in ("web_port", "rtmp_port", "platform_port")}
    environ = os.environ | {"REDIS_URL": redis.url, "SSH_TRUST_FIRST_USE": "1"}
    ingest = {"live": receiver.url("live")}
    return Plan(
        home=home, address=lab.address, agents=0, start_demo=False, ingest=ingest, environ=environ, **ports
    )  # fmt: skip


def measure(product: Product, host: Host, receiver: Receiver, told: bool) -> dict[str, Any]:
    os.environ.update(product.env)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ezstream.settings")
    import django

    django.setup()
    from fleet import actions as fleet
    from fleet.models import Vps, VpsStatus
    from ops import demo
    from streams.models import Stream

    vps = Vps(name="bare", host=host.address, max_streams=4)
    vps.set_password(host.password)
    vps.save()
    began = time.monotonic()
    run = fleet.provision(vps, None)
    wait_for(run)
    demo.start(Stream.objects.get(pk=product.facts["stream_id"]))
    wait_until(lambda: any(each.frames for each in receiver.publishes), "a picture arrives", LIMIT_S)
    bare_to_air_s = time.monotonic() - began
    took = {step.name: step.seconds or 0.0 for step in run.steps.all()}
    if told:
        tell(run)
    ours_s = bare_to_air_s - sum(seconds for name, seconds in took.items() if name in APT)
    assert Vps.objects.get(pk=vps.pk).state is VpsStatus.ACTIVE
    began = time.monotonic()
    again = fleet.provision(vps, None)
    wait_for(again)
    again_s = time.monotonic() - began
    if told:
        tell(again)
    changed = [step.name for step in again.steps.exclude(status="UNCHANGED")]
    assert not changed, f"the second run changed {changed}"
    return {"bare_to_air_s": round(bare_to_air_s, 1), "ours_s": round(ours_s, 1), "again_s": round(again_s, 1)}


def wait_for(run: Any) -> None:
    def is_over() -> bool:
        run.refresh_from_db()
        return bool(run.is_over)

    wait_until(is_over, "the provisioning ends", LIMIT_S)
    if run.state != "DONE":
        tell(run)
        raise SystemExit(f"it failed: {run.reason}")


def tell(run: Any) -> None:
    for step in run.steps.all():
        line = f"{step.name:16} {step.status:10} {step.seconds or 0:6.1f} s  {step.note}\n"
        sys.stderr.write(line)
        if step.status == "FAILED":
            sys.stderr.write(f"{step.command}\n{step.output}\n{step.remedy}\n")


if __name__ == "__main__":
    sys.exit(main())
