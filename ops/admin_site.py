"""The operators' console: Django's admin with a home page of its own."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _


class OperatorsSite(admin.AdminSite):
    site_header = "EZStream"
    site_title = "EZStream"
    index_title = _("Operators")
