"""What templates ask about streams."""

from __future__ import annotations

from django import template

from streams import platforms

register = template.Library()


@register.filter
def platform_icon(platform: str) -> str:
    """The name of the icon a platform is shown with."""
    return platforms.known(platform).icon
