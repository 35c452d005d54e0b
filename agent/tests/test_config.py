from pathlib import Path

import pytest

from agent.config import ConfigError, from_environment, from_file

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


def test_a_file_says_the_same_as_the_environment(tmp_path: Path) -> None:
    path = tmp_path / "agent.env"
    lines = [f'{name}="{value}"' if "," in value else f"{name}={value}" for name, value in GOOD.items()]
    path.write_text(
        "\n".join(["# who it is", "; and where", "", *lines, " EZSTREAM_FFMPEG = 'ff mpeg' ", "EZSTREAM_ON_EXIT="])
    )
    config = from_environment(from_file(path))
    assert config == from_environment(GOOD | {"EZSTREAM_FFMPEG": "ff mpeg"})


@pytest.mark.parametrize(
    ("line", "value"), [("A=b=c", "b=c"), ('A="b', '"b'), ("A=''", ""), ("A='", "'"), ("A=b#c", "b#c"), ("A", "")]
)
def test_what_a_line_says(tmp_path: Path, line: str, value: str) -> None:
    (tmp_path / "file").write_text(line)
    assert from_file(tmp_path / "file") == {"A": value}


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none cannot be read \(No such file"):
        from_file(tmp_path / "none")
    (tmp_path / "file").write_bytes(b"A=\xff")
    with pytest.raises(ConfigError, match="it is not text"):
        from_file(tmp_path / "file")
