from accounts import checks


def ids(found):
    return [message.id for message in found]


def test_a_cache_of_ones_own_is_refused(settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    assert ids(checks.limits_need_a_shared_cache(None)) == ["accounts.E001"]


def test_redis_is_fine():
    assert not checks.limits_need_a_shared_cache(None)


def test_https_without_a_trusted_proxy_is_warned_of(settings):
    settings.SECURE, settings.ALLAUTH_TRUSTED_PROXY_COUNT = True, 0
    assert ids(checks.addresses_behind_a_proxy(None)) == ["accounts.W001"]
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    assert not checks.addresses_behind_a_proxy(None)


def test_mail_to_nowhere_is_warned_of(settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
    assert ids(checks.mail_reaches_people(None)) == ["accounts.W002"]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    assert not checks.mail_reaches_people(None)
