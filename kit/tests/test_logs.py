import io
import json
import logging.config

import pytest
import structlog
from django.conf import settings

from kit.logs import MASK, mask

SECRET = "abcd-efgh-1234"
PLACE = f"rtmp://a.example/live2/{SECRET}"


@pytest.fixture
def written():
    """What the handler of settings.LOGGING writes, as a function."""
    formatter = logging.config.DictConfigurator(settings.LOGGING).configure_formatter(
        dict(settings.LOGGING["formatters"]["line"])
    )
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    logger = logging.getLogger("ezstream.canary")
    logger.addHandler(handler)
    yield stream.getvalue
    logger.removeHandler(handler)


def fail() -> None:
    raise ValueError(f"cannot push to {PLACE}")


@pytest.mark.parametrize(
    ("logged", "masked"),
    [
        ("GET /account/password/reset/key/3-c4x9-0123abc/ 302", f"GET /account/password/reset/key/3-{MASK}/ 302"),
        ("GET /account/confirm-email/MQ:1abc:xyz/", f"GET /account/confirm-email/{MASK}/"),
        ("POST /account/confirm-email/", "POST /account/confirm-email/"),
        ("GET /library/download/7:1abc:xyz", f"GET /library/download/{MASK}"),
        (f"pushing to {PLACE} now", f"pushing to rtmp://a.example/live2/{MASK} now"),
        ("rediss://:word@redis.example:6379/0", f"rediss://:{MASK}@redis.example:6379/0"),
    ],
)
def test_secrets_in_texts_are_masked(logged, masked):
    assert mask(logged) == masked


def test_no_secret_reaches_a_line_by_any_road(written):
    log = structlog.get_logger("ezstream.canary")
    log.warning("a name tells", key=SECRET, deep={"password": SECRET}, places=[PLACE], order=f"Stop(key='{SECRET}')")
    plain = logging.getLogger("ezstream.canary")
    for logger in (log, plain):
        try:
            fail()
        except ValueError as error:
            logger.exception("an error tells")
            logger.warning("in a message: %s", error)
    lines = [json.loads(line) for line in written().splitlines()]
    assert len(lines) == 5
    assert SECRET not in written()
    assert sum(MASK in line.get("exception", "") for line in lines) == 2


def test_what_is_no_secret_stays_as_it_is(written):
    structlog.get_logger("ezstream.canary").warning("done", n=3, took_s=0.5, ok=True, vps=None, stream="a: b")
    line = json.loads(written())
    assert [line[name] for name in ("event", "n", "took_s", "ok", "vps", "stream")] == [
        "done", 3, 0.5, True, None, "a: b",
    ]  # fmt: skip
