from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from agent import journal
from agent.tests.histories import config, record


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    wanted = record(failures=2, stopping=True)
    journal.save(tmp_path, wanted)
    assert journal.load(tmp_path) == wanted
    assert (tmp_path / journal.NAME).stat().st_mode & 0o777 == 0o600
    assert len(list(tmp_path.iterdir())) == 1


def test_nothing_is_none(tmp_path: Path) -> None:
    assert journal.load(tmp_path) is None


@given(cut=st.integers(0, 400), junk=st.binary(max_size=20))
def test_a_broken_one_is_none(tmp_path_factory, cut: int, junk: bytes) -> None:
    directory = tmp_path_factory.mktemp("run")
    journal.save(directory, journal.Record(config=config(), said_at=1.0))
    path = directory / journal.NAME
    path.write_bytes(path.read_bytes()[:cut] + junk)
    assert journal.load(directory) is None
