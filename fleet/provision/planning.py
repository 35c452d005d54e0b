"""How a server of the fleet is to be, from its row and the settings."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings

from fleet.models import Vps
from fleet.provision import bundle, keys, places, redis_access, unit, upgrade
from fleet.provision.apt import Upgrade
from fleet.provision.dialing import Target
from fleet.provision.installing import Agent
from fleet.provision.redis_access import RedisAccess
from fleet.provision.step import Upload
from fleet.provision.steps import Plan


def target_of(vps: Vps) -> Target:
    """Raises `CannotOpenError` when the secrets do not open."""
    return Target(
        host=vps.host,
        port=vps.ssh_port,
        user=vps.ssh_user,
        password=vps.password(),
        private_key=vps.private_key(),
        host_key=vps.host_key,
        trust_first=settings.SSH_TRUST_FIRST_USE,
    )


def known_target_of(vps: Vps) -> Target:
    """For what comes back again and again, or pins nothing: no host key is trusted at first sight, by no setting.

    Raises as `target_of`.
    """
    return replace(target_of(vps), trust_first=False)


def plan_for(vps: Vps) -> Plan:
    """A key that is wished for and not there yet is made here, and kept before anybody is told of it."""
    if vps.use_key and not vps.sealed_private_key:
        vps.set_private_key(keys.make_private())
        Vps.objects.filter(pk=vps.pk).update(sealed_private_key=vps.sealed_private_key)
    return Plan(
        agent=_agent(vps, redis_access.access_for(vps)),
        upgrade=Upgrade(settings.PROVISION_UPGRADE),
        has_firewall=settings.PROVISION_FIREWALL,
        ssh_user=vps.ssh_user,
        ssh_port=vps.ssh_port,
        public_line=keys.public_line(vps.private_key()) if vps.use_key else "",
        has_password=bool(vps.sealed_password),
    )


def environment(vps: Vps, access: RedisAccess) -> str:
    """What its agent reads (deploy/agent.env.example)."""
    media = urlsplit(settings.AGENT_MEDIA_URL)
    lines = {
        "EZSTREAM_REDIS_URL": access.url,
        "EZSTREAM_VPS_ID": str(vps.pk),
        "EZSTREAM_WORK_DIR": places.HOME,
        "EZSTREAM_TRUSTED_HOSTS": media.netloc,
        "EZSTREAM_NGINX_CONF": places.NGINX_CONF,
    }
    if access.ca:
        lines["EZSTREAM_REDIS_CA_FILE"] = redis_access.CA_FILE
    if settings.SITE_CA_FILE:
        lines["EZSTREAM_MEDIA_CA_FILE"] = places.SITE_CA
    if media.scheme == "http":
        lines["EZSTREAM_PLAIN_HTTP_HOSTS"] = media.netloc
    if settings.ALLOW_PRIVATE_DESTINATIONS:
        lines["EZSTREAM_ALLOW_PRIVATE_DESTINATIONS"] = "1"
    return "".join(f"{name}={value}\n" for name, value in lines.items())


def secrets_of(vps: Vps, plan: Plan, access: RedisAccess) -> list[str]:
    """What must not be seen in any output."""
    return [vps.password(), vps.private_key(), access.url, access.password, plan.agent.environment.content.decode()]


def _agent(vps: Vps, access: RedisAccess) -> Agent:
    return agent_of(environment(vps, access), access.ca)


def site_ca() -> str:
    """PEM of who signed for the control plane itself; empty: who every system trusts."""
    return Path(settings.SITE_CA_FILE).read_text() if settings.SITE_CA_FILE else ""


def agent_of(environment: str, redis_ca: str) -> Agent:
    """What is put on a server that is told this."""
    authorities = {redis_access.CA_FILE: redis_ca, places.SITE_CA: site_ca()}
    built = bundle.current()
    return Agent(
        bundle=Upload(upgrade.path_of(built.hash), built.content),
        unit=Upload(f"{places.UNITS}/{places.AGENT_UNIT}", unit.content()),
        environment=Upload(places.ENVIRONMENT, environment.encode(), 0o600, f"{places.USER}:{places.USER}"),
        nginx_conf=_nginx_conf(),
        more=tuple(Upload(path, pem.encode()) for path, pem in authorities.items() if pem),
    )


@cache
def _nginx_conf() -> bytes:
    path = settings.BASE_DIR / "deploy" / "nginx-agent.conf.example"
    return bytes(path.read_bytes())
