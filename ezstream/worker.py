"""Dramatiq's entry point: `dramatiq ezstream.worker`. Importing it sets Django up and finds every app's actors."""

import importlib
import os

import django
import dramatiq
from django.apps import apps
from django.conf import settings
from django.utils.module_loading import module_has_submodule

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ezstream.settings")
django.setup()

from ops.middleware import EndInTime  # noqa: E402  (needs the app registry)

for config in apps.get_app_configs():
    for name in settings.DRAMATIQ_AUTODISCOVER_MODULES:
        if config.module and module_has_submodule(config.module, name):
            importlib.import_module(f"{config.name}.{name}")

dramatiq.get_broker().add_middleware(EndInTime())
