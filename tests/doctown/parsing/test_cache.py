"""The cache: what it keeps, what it refuses, and what it survives."""

import os
import shutil
from pathlib import Path

import pytest

from doctown.errors import ConfigError
from doctown.parsing import cache as cache_module
from doctown.parsing.cache import Cache, graph_key, record_key

KEY, OTHER, THIRD = "a" * 64, "b" * 64, "c" * 64


def entry_of(folder: Path, key: str) -> Path:
    return folder / "analysis" / key[:2] / key[2:]


def test_another_cache_on_the_folder_has_what_one_stored(tmp_path: Path) -> None:
    one, another = Cache(tmp_path), Cache(tmp_path)
    one.store(KEY, b"entry")
    another.store(OTHER, b"other")
    assert (one.load(KEY), one.load(OTHER), another.load(KEY)) == (b"entry", b"other", b"entry")
    assert one.load(THIRD) is None


def test_a_record_is_another_where_text_path_or_language_differ() -> None:
    keys = {record_key(path, language, text) for path in "ab" for language in ("c", "cpp") for text in (b"x", b"y")}
    assert len(keys) == 8
    assert record_key("a", "c", b"x") == record_key("a", "c", b"x")


def test_a_graph_is_another_where_a_record_or_a_manifest_differs() -> None:
    keys = {graph_key(records, manifests) for records in (["a"], ["a", "b"]) for manifests in ({}, {"go.mod": "x"})}
    assert len(keys) == 4


def test_records_of_other_extractors_are_not_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The key holds a hash of the package's sources and queries: a changed query makes another."""
    (tmp_path / "queries").mkdir()
    query = tmp_path / "queries" / "python.scm"
    monkeypatch.setattr("importlib.resources.files", lambda _package: tmp_path)
    found = set()
    for text in ("(call) @call", "(class) @class"):
        query.write_text(text, encoding="ascii")
        cache_module._sources_hash.cache_clear()
        cache_module._parsing_version.cache_clear()
        found.add(record_key("a.py", "python", b"x"))
    cache_module._sources_hash.cache_clear()
    cache_module._parsing_version.cache_clear()
    assert len(found) == 2


@pytest.mark.parametrize("damage", [b"", b"abc", b"\0" * 50])
def test_a_damaged_entry_is_no_entry_until_it_is_stored_again(damage: bytes, tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.store(KEY, b"entry")
    whole = entry_of(tmp_path, KEY).read_bytes()
    entry_of(tmp_path, KEY).write_bytes(damage)
    assert cache.load(KEY) is None
    entry_of(tmp_path, KEY).write_bytes(whole[:-1])
    assert cache.load(KEY) is None
    cache.store(KEY, b"entry")
    assert cache.load(KEY) == b"entry"


def test_a_folder_that_disappears_is_made_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.store(KEY, b"entry")
    shutil.rmtree(tmp_path / "analysis")
    assert cache.load(KEY) is None
    cache.store(KEY, b"entry")
    assert cache.load(KEY) == b"entry"


def test_a_folder_that_cannot_be_written_to_keeps_nothing_and_fails_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    shutil.rmtree(tmp_path / "analysis")
    (tmp_path / "analysis").write_bytes(b"a file")
    cache.store(KEY, b"entry")
    assert cache.load(KEY) is None
    cache.prune()


def test_what_others_may_write_to_is_refused(tmp_path: Path) -> None:
    Cache(tmp_path)
    assert (tmp_path / "analysis").stat().st_mode & 0o777 == 0o700
    (tmp_path / "analysis").chmod(0o770)
    with pytest.raises(ConfigError, match="can be written by others"):
        Cache(tmp_path)


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "analysis").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigError, match="can be written by others"):
        Cache(tmp_path)


def test_a_folder_that_cannot_be_made_is_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"The cache folder cannot be used \(Not a directory\): give another one"):
        Cache(tmp_path / "file" / "folder")


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path, max_bytes=250)
    for age_s, key in enumerate((KEY, OTHER, THIRD)):
        cache.store(key, b"x" * 100)
        os.utime(entry_of(tmp_path, key), (1000 + age_s, 1000 + age_s))
    assert cache.load(KEY)  # used just now
    cache.prune()
    assert cache.load(KEY)
    assert cache.load(OTHER) is None
    # One of 104 bytes is left of what may be 250: pruning goes below the limit.
    assert cache.load(THIRD) is None


def test_nothing_is_pruned_below_the_limit_or_without_storing(tmp_path: Path) -> None:
    cache = Cache(tmp_path, max_bytes=250)
    cache.store(KEY, b"x" * 200)
    cache.prune()
    Cache(tmp_path, max_bytes=1).prune()
    assert cache.load(KEY)
