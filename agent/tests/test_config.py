import pytest

from agent.config import ConfigError, from_environment

GOOD = {
    "EZSTREAM_REDIS_URL": "redis://:sesame@localhost/0",
    "EZSTREAM_VPS_ID": "7",
    "EZSTREAM_WORK_DIR": "/var/lib/ezstream",
    "EZSTREAM_TRUSTED_HOSTS": "files.example, Plain.example:8000",
}


def test_the_least_that_is_needed() -> None:
    config = from_environment(GOOD)
    assert config.vps_id == 7
    assert config.trusted_hosts == {"files.example", "plain.example:8000"}
    assert config.on_exit == "handover"
    assert config.cache_bytes == 20 * 1024**3
    assert "sesame" not in repr(config)


@pytest.mark.parametrize("name", sorted(GOOD))
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is not set"):
        from_environment(GOOD | {name: " "})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("EZSTREAM_REDIS_URL", "http://sesame"),
        ("EZSTREAM_VPS_ID", "seven"),
        ("EZSTREAM_VPS_ID", "0"),
        ("EZSTREAM_WORK_DIR", "var"),
        ("EZSTREAM_TRUSTED_HOSTS", "https://files.example/"),
        ("EZSTREAM_PLAIN_HTTP_HOSTS", "user@files.example"),
        ("EZSTREAM_CACHE_BYTES", "-1"),
        ("EZSTREAM_MAX_STREAMS", "many"),
        ("EZSTREAM_ON_EXIT", "sesame"),
        ("EZSTREAM_ALLOW_PRIVATE_DESTINATIONS", "sesame"),
    ],
)
def test_what_is_wrong_is_named_and_not_repeated(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=name) as error:
        from_environment(GOOD | {name: value})
    assert "sesame" not in str(error.value)
