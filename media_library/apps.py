from pathlib import Path

from django.apps import AppConfig
from django.conf import settings
from django.utils.translation import gettext_lazy as _


class MediaLibraryConfig(AppConfig):
    name = "media_library"
    verbose_name = _("Media library")

    def ready(self) -> None:
        """Makes the directories once. At run time a missing one is an error: a disk may not be mounted."""
        from media_library import checks  # noqa: F401  (registers them)

        for directory in (settings.MEDIA_ROOT, settings.UPLOAD_DIR):
            try:
                Path(directory).mkdir(parents=True, exist_ok=True)
            except OSError:
                continue  # the checks say it, with a hint
