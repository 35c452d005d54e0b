"""Where things lie on a server, and as whom they run."""

from __future__ import annotations

from typing import Final

USER: Final = "ezstream"
HOME: Final = "/var/lib/ezstream-agent"
OPT: Final = "/opt/ezstream"
CURRENT: Final = f"{OPT}/current"
"""Leads to the bundle in use."""
ETC: Final = "/etc/ezstream"
ENVIRONMENT: Final = f"{ETC}/agent.env"
NGINX_ETC: Final = "/etc/ezstream-nginx"
NGINX_CONF: Final = f"{NGINX_ETC}/nginx.conf"
NGINX_UNIT: Final = "ezstream-nginx.service"
AGENT_UNIT: Final = "ezstream-agent.service"
FIREWALL: Final = f"{ETC}/firewall.nft"
FIREWALL_UNIT: Final = "ezstream-firewall.service"
UNITS: Final = "/etc/systemd/system"
SSHD_DROP_IN: Final = "/etc/ssh/sshd_config.d/00-ezstream.conf"
