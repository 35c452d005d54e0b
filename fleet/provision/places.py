"""Where things lie on a server, and as whom they run."""

from __future__ import annotations

from typing import Final

from fleet.provision import unit, upgrade

USER: Final = upgrade.USER
HOME: Final = "/var/lib/ezstream-agent"
ETC: Final = "/etc/ezstream"
ENVIRONMENT: Final = upgrade.CONFIG
NGINX_ETC: Final = "/etc/ezstream-nginx"
NGINX_CONF: Final = f"{NGINX_ETC}/nginx.conf"
NGINX_UNIT: Final = "ezstream-nginx.service"
AGENT_UNIT: Final = unit.NAME
SITE_CA: Final = f"{ETC}/site-ca.crt"
FIREWALL: Final = f"{ETC}/firewall.nft"
FIREWALL_UNIT: Final = "ezstream-firewall.service"
UNITS: Final = "/etc/systemd/system"
SSHD_DROP_IN: Final = "/etc/ssh/sshd_config.d/00-ezstream.conf"
