"""The model: what its vectors are like, and what is said of files that are not it."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tokenizers

from doctown.embedding.model import DIMENSIONS, EmbeddingModel, load_model
from doctown.errors import ModelError
from doctown.machine import free_memory_bytes

TEXTS = [
    "read file\ndef read_file(path)\nRead the content of a file.",
    "load document\ndef load_document(path)\nReturn what a file on disk contains.",
    "draw circle\ndef draw_circle(x, y, radius)\nPaint a circle on the canvas.",
    "parse header\ndef parse_header(line)\nSplit a line of HTTP into a name and a value.",
    "mean\ndef mean(numbers)\nReturn the average.",
]


def test_vectors_are_of_length_one_and_the_same_each_time(model: EmbeddingModel) -> None:
    vectors = model.embed(TEXTS)

    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), DIMENSIONS)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(len(TEXTS)), abs=1e-6)
    assert np.array_equal(vectors, model.embed(TEXTS))


def test_the_nearest_text_is_the_one_that_means_the_same(model: EmbeddingModel) -> None:
    """ "Load a document" is nearer to "read a file" than circles, headers and means are."""
    vectors = model.embed(TEXTS)

    assert (vectors[1:] @ vectors[0]).argmax() == 0


def test_a_vector_depends_on_its_text_alone(model: EmbeddingModel) -> None:
    """Bit for bit the same alone, in any order, and in company of any number, whatever the batch or the thread."""
    together = model.embed([*TEXTS, *(text.replace("def", "fn") for text in TEXTS)])

    assert np.array_equal(together[: len(TEXTS)], np.concatenate([model.embed([text]) for text in TEXTS]))
    assert np.array_equal(together[: len(TEXTS)][::-1], model.embed(TEXTS[::-1]))


def test_equal_texts_are_embedded_once(model: EmbeddingModel) -> None:
    told: list[tuple[int, int]] = []

    vectors = model.embed([TEXTS[0], TEXTS[1], TEXTS[0], TEXTS[0]], lambda done, of: told.append((done, of)))

    assert told[-1] == (2, 2)
    assert np.array_equal(vectors[[2, 3]], vectors[[0, 0]])


def test_a_blank_text_has_a_vector_of_zeros(model: EmbeddingModel) -> None:
    vectors = model.embed(["", TEXTS[0], " \n"])

    assert vectors.any(axis=1).tolist() == [False, True, False]
    assert model.embed([]).shape == (0, DIMENSIONS)


def test_a_long_text_is_cut_at_128_tokens(model: EmbeddingModel) -> None:
    """Words beyond the limit change nothing; two of the 128 tokens are the model's own marks."""
    cut = model.embed(["word " * 126])

    assert np.array_equal(model.embed(["word " * 126 + "circle " * 300]), cut)
    assert not np.array_equal(model.embed(["word " * 125]), cut)


def test_progress_only_grows_and_ends_with_all(model: EmbeddingModel) -> None:
    told: list[int] = []

    model.embed(TEXTS, lambda done, _: told.append(done))

    assert told == sorted(told)
    assert told[-1] == len(TEXTS)


def test_the_models_sha256_is_that_of_its_file(model: EmbeddingModel, model_folder: Path) -> None:
    assert model.sha256 == hashlib.sha256((model_folder / "model.onnx").read_bytes()).hexdigest()
    assert model.dimensions == DIMENSIONS


def test_a_provider_that_is_not_there_gives_the_cpus_vectors_and_a_warning(
    model: EmbeddingModel, model_folder: Path
) -> None:
    """Holds where onnxruntime has no CUDA, which is what the lock installs."""
    asked = load_model(model_folder, provider="cuda", threads=2)

    assert asked.provider == "cpu"
    assert asked.warnings == (
        "EMBEDDING_PROVIDER=cuda cannot be had on this machine: embeddings were computed on CPU.",
    )
    assert model.warnings == ()
    assert np.array_equal(asked.embed(TEXTS), model.embed(TEXTS))


# --- Files that are not the model


def of_another_kind(folder: Path) -> None:
    (folder / "model.onnx").write_bytes(b"<html>Not found</html>")


def cut_short(folder: Path) -> None:
    content = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(content[: len(content) // 2])


def of_other_weights(folder: Path) -> None:
    """A third of the file, all of it in the table of word vectors, becomes zeros."""
    content = bytearray((folder / "model.onnx").read_bytes())
    table = slice(len(content) // 20, len(content) * 2 // 5)
    content[table] = bytes(table.stop - table.start)
    (folder / "model.onnx").write_bytes(content)


def with_a_broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")


def with_another_tokenizer(folder: Path) -> None:
    vocabulary = {word: number for number, word in enumerate(["[UNK]", "read", "a", "file", "from", "the", "of"])}
    other = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="[UNK]"))
    other.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    other.save(str(folder / "tokenizer.json"))


def with_a_larger_tokenizer(folder: Path) -> None:
    other = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 40_000}, unk_token="[UNK]"))
    other.save(str(folder / "tokenizer.json"))


def without_a_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()


def without_a_model(folder: Path) -> None:
    (folder / "model.onnx").unlink()


@pytest.mark.parametrize(
    ("spoil", "file", "what"),
    [
        (of_another_kind, "model.onnx", "is no ONNX model: it must be an export of all-MiniLM-L6-v2."),
        (cut_short, "model.onnx", "is no ONNX model: it must be an export of all-MiniLM-L6-v2."),
        (of_other_weights, "model.onnx", "is not all-MiniLM-L6-v2: sentences with known similarities have others"),
        (with_a_broken_tokenizer, "tokenizer.json", "is no tokenizer: it must be the tokenizer.json of all-MiniLM"),
        (
            with_another_tokenizer,
            "model.onnx",
            "is not all-MiniLM-L6-v2: sentences with known similarities have others",
        ),
        (
            with_a_larger_tokenizer,
            "model.onnx",
            "is not all-MiniLM-L6-v2: it does not turn token ids into 384 numbers.",
        ),
        (without_a_tokenizer, "tokenizer.json", "cannot be read (No such file or directory): the folder of all-MiniLM"),
        (without_a_model, "model.onnx", "cannot be read (No such file or directory): the folder of all-MiniLM-L6-v2"),
    ],
    ids=lambda value: value.__name__ if callable(value) else None,
)
def test_a_file_that_is_not_the_model_is_refused_in_a_sentence(
    spoil: Callable[[Path], None], file: str, what: str, model_folder: Path, tmp_path: Path
) -> None:
    for name in ("model.onnx", "tokenizer.json"):
        (tmp_path / name).write_bytes((model_folder / name).read_bytes())
    spoil(tmp_path)

    with pytest.raises(ModelError) as caught:
        load_model(tmp_path)

    assert str(caught.value).startswith(str(tmp_path / file))
    assert what in str(caught.value)
    assert "\n" not in str(caught.value)


# --- The machine


def test_memory_under_a_containers_limit_is_what_is_left_of_it(tmp_path: Path) -> None:
    """By hand: a limit of 1,000,000 with 700,000 used, 200,000 of them cached files, leaves 500,000."""
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal:  2000 kB\nMemAvailable:  1000 kB\n")
    (group / "memory.current").write_text("700000\n")
    (group / "memory.stat").write_text("anon 500000\ninactive_file 200000\n")

    (group / "memory.max").write_text("max\n")
    assert free_memory_bytes(tmp_path) == 1_024_000
    (group / "memory.max").write_text("1000000\n")
    assert free_memory_bytes(tmp_path) == 500_000


def test_embedding_needs_neither_onnxruntime_nor_tokenizers_until_a_model_is_loaded() -> None:
    code = "import sys, doctown.embedding; sys.exit(bool({'onnxruntime', 'tokenizers'} & {*sys.modules}) * 1)"

    ended = subprocess.run([sys.executable, "-c", code], env={"PATH": os.environ["PATH"]}, check=False)

    assert ended.returncode == 0
