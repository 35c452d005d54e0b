"""The three packages EZStream ships (ACC-3). Basic is what users without one get."""

from decimal import Decimal

from django.db import migrations

GIB = 1024**3
PACKAGES = (
    ("Basic", 50 * GIB, 2, "1080p", "29.99", True),
    ("Pro", 200 * GIB, 5, "4K", "79.99", False),
    ("Premium", 500 * GIB, 10, "unlimited", "149.99", False),
)


def ship(apps, _schema_editor):
    package = apps.get_model("accounts", "Package")
    for name, storage, streams, quality, price, is_default in PACKAGES:
        package.objects.get_or_create(
            name=name,
            defaults={
                "max_storage": storage,
                "max_concurrent_streams": streams,
                "max_video_quality": quality,
                "price": Decimal(price),
                "is_default": is_default,
            },
        )


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]
    operations = [migrations.RunPython(ship, migrations.RunPython.noop)]
