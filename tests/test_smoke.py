import pytest
from django.core.cache import cache


@pytest.mark.django_db
def test_database_and_redis_answer():
    cache.set("x", 1)
    assert cache.get("x") == 1
