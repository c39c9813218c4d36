"""The cache of vectors: it saves work, and is never the reason for a wrong vector or a failed build."""

from __future__ import annotations

import logging
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from doctown.embedding.cache import FILE_NAME, embed_cached, read_vectors
from doctown.embedding.model import EmbeddingModel

TEXTS = ["read a file", "draw a circle", "", "read a file"]


def out_of_order(model: EmbeddingModel) -> EmbeddingModel:
    """The same model, that would fail if it were asked to compute anything."""
    return replace(model, _session=None, _tokenizer=None)  # type: ignore[arg-type]


def test_what_is_cached_is_not_computed_again(model: EmbeddingModel, tmp_path: Path) -> None:
    first = embed_cached(model, TEXTS, tmp_path)

    again = embed_cached(out_of_order(model), TEXTS[::-1], tmp_path)

    assert np.array_equal(first, model.embed(TEXTS))
    assert np.array_equal(again, first[::-1])


def test_only_new_texts_are_computed(model: EmbeddingModel, tmp_path: Path) -> None:
    """Of three distinct texts two are known: progress begins behind them."""
    embed_cached(model, ["a", "b"], tmp_path)
    told: list[tuple[int, int]] = []

    embed_cached(model, ["a", "b", "c"], tmp_path, lambda done, of: told.append((done, of)))

    assert told[0] == told[-1] == (3, 3)


def test_another_model_does_not_see_them(model: EmbeddingModel, tmp_path: Path) -> None:
    embed_cached(model, TEXTS, tmp_path)

    assert read_vectors(tmp_path, replace(model, sha256="of another"), TEXTS) == {}


def test_without_a_folder_nothing_is_kept(model: EmbeddingModel) -> None:
    assert np.array_equal(embed_cached(model, TEXTS, None), model.embed(TEXTS))
    assert embed_cached(model, [], None).shape == (0, model.dimensions)


@pytest.mark.parametrize(
    "content", [b"no database", b"SQLite format 3\0" + bytes(4_000), b""], ids=["text", "zeros", "empty"]
)
def test_a_damaged_file_is_replaced(
    content: bytes, model: EmbeddingModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said in the log, the vectors are right, and the next build finds them cached."""
    (tmp_path / FILE_NAME).write_bytes(content)

    vectors = embed_cached(model, TEXTS, tmp_path)

    assert np.array_equal(vectors, model.embed(TEXTS))
    assert np.array_equal(embed_cached(out_of_order(model), TEXTS, tmp_path), vectors)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_a_damaged_vector_is_computed_again(model: EmbeddingModel, tmp_path: Path) -> None:
    vectors = embed_cached(model, TEXTS, tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        changed = database.execute("UPDATE vectors SET vector = zeroblob(length(vector) - 4) || x'00000001'")

    assert changed.rowcount == 3
    assert read_vectors(tmp_path, model, TEXTS) == {}
    assert np.array_equal(embed_cached(model, TEXTS, tmp_path), vectors)


def test_a_folder_that_cannot_be_written_costs_only_time(
    model: EmbeddingModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()

    assert np.array_equal(embed_cached(model, TEXTS, in_the_way / "cache"), model.embed(TEXTS))
    assert "is not used" in caplog.text


def test_texts_are_not_in_the_file(model: EmbeddingModel, tmp_path: Path) -> None:
    """Source code stays out of it: only hashes and numbers are kept."""
    embed_cached(model, TEXTS, tmp_path)

    assert b"circle" not in (tmp_path / FILE_NAME).read_bytes()


def test_processes_write_at_once(model: EmbeddingModel, model_folder: Path, tmp_path: Path) -> None:
    """Two processes with texts of their own and one in common: all vectors are in the file afterwards."""
    code = (
        "import sys, pathlib, doctown.embedding.cache as cache, doctown.embedding.model as model\n"
        "folder, cached, *texts = sys.argv[1:]\n"
        "loaded = model.load_model(pathlib.Path(folder), threads=1)\n"
        "for text in texts: cache.embed_cached(loaded, [text], pathlib.Path(cached))\n"
    )
    texts = [[*(f"text {number} of {name}" for number in range(20)), "in common"] for name in ("one", "two")]
    command = [sys.executable, "-c", code, str(model_folder), str(tmp_path)]

    writers = [subprocess.Popen([*command, *of_one], stderr=subprocess.PIPE) for of_one in texts]

    assert [(writer.communicate()[1], writer.returncode) for writer in writers] == [(b"", 0), (b"", 0)]
    assert len(embed_cached(out_of_order(model), [*texts[0], *texts[1]], tmp_path)) == 42
