"""The cache: room, eviction, and what the next agent finds."""

from pathlib import Path

import pytest

from agent.cache import PARTS_KEPT, SPARE_DISK, Cache, NoRoom

PLENTY = 1 << 50
NOW = 2_000_000_000.0


def cache_of(directory: Path, limit: int = 1000, free: int = PLENTY) -> Cache:
    cache = Cache(directory, limit, lambda _: free)
    cache.open(NOW)
    return cache


def add(cache: Cache, key: str, size: int, now: float) -> Path:
    path = cache.output(key)
    path.write_bytes(b"x" * size)
    cache.commit(key, path, 4.0, now)
    return path


def test_what_is_whole_is_found_again_and_the_rest_is_cleared_away(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    path = add(cache, "1-10", 100, NOW)
    cache.output("2-20").write_bytes(b"half")
    (tmp_path / "3-30.json").write_text("{broken")
    (entry,) = cache_of(tmp_path).open(NOW)
    assert (entry.key, entry.path, entry.size, entry.duration_s) == ("1-10", path, 100, 4.0)
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(["1-10.json", path.name])


def test_a_file_that_was_cut_short_is_not_whole(tmp_path: Path) -> None:
    add(cache_of(tmp_path), "1-10", 100, NOW).write_bytes(b"x")
    assert not cache_of(tmp_path).open(NOW)
    assert not list(tmp_path.iterdir())


def test_young_parts_stay_and_old_ones_go(tmp_path: Path) -> None:
    part = tmp_path / "1-10.source.part"
    part.write_bytes(b"x")
    at = part.stat().st_mtime
    Cache(tmp_path, 1000).open(at + 10)
    assert part.exists()
    Cache(tmp_path, 1000).open(at + PARTS_KEPT + 10)
    assert not part.exists()


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    for number in range(3):
        add(cache, f"{number}-1", 300, NOW + number)
    cache.get("0-1", NOW + 10)
    assert cache.promise("9-9", 200) == ["1-1"]
    assert cache.get("0-1", NOW) is not None


def test_what_is_held_is_never_evicted(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    path = add(cache, "1-10", 900, NOW)
    cache.held = frozenset({"1-10"})
    with pytest.raises(NoRoom, match="no room"):
        cache.promise("2-20", 200)
    assert path.exists()


def test_what_is_on_its_way_counts(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    cache.promise("1-10", 300)
    with pytest.raises(NoRoom):
        cache.promise("2-20", 300)
    cache.release("1-10")
    assert cache.promise("2-20", 300) == []


def test_a_full_disk_counts_whatever_the_limit(tmp_path: Path) -> None:
    cache = cache_of(tmp_path, limit=PLENTY, free=SPARE_DISK + 100)
    assert cache.promise("1-10", 50) == []
    with pytest.raises(NoRoom):
        cache.promise("2-20", 51)


def test_an_output_has_a_name_of_its_own(tmp_path: Path) -> None:
    cache = cache_of(tmp_path)
    assert cache.output("1-10") != cache.output("1-10")
