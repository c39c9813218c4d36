"""The choice of vectors, and the settings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from doctown.embedding import EmbeddingSettings, embed_texts
from doctown.embedding.model import EmbeddingModel
from doctown.embedding.words import word_vectors
from doctown.errors import ConfigError, ModelError

REPOSITORY = Path(__file__).parents[3]
TEXTS = ["read a file", "draw a circle"]


def test_the_model_is_used_where_it_is(model: EmbeddingModel, model_folder: Path, tmp_path: Path) -> None:
    found = embed_texts(TEXTS, "minilm", EmbeddingSettings(model_folder), cache_folder=tmp_path)

    assert found is not None
    assert (found.basis, found.model, found.model_sha256) == ("embeddings", "all-MiniLM-L6-v2", model.sha256)
    assert found.warnings == ()
    assert np.array_equal(found.vectors, model.embed(TEXTS))
    assert list(tmp_path.iterdir()) != []


def test_without_a_model_words_are_compared_and_the_pack_is_told(tmp_path: Path) -> None:
    found = embed_texts(TEXTS, "minilm", EmbeddingSettings(tmp_path / "nothing"))

    assert found is not None
    assert (found.basis, found.model, found.model_sha256) == ("words", None, None)
    assert found.warnings == ("There is no model.onnx in EMBEDDING_MODEL_PATH: words were compared.",)
    assert np.array_equal(found.vectors, word_vectors(TEXTS))


def test_words_and_none_do_not_look_for_a_model(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("not a model")
    settings = EmbeddingSettings(tmp_path)

    words = embed_texts(TEXTS, "words", settings)

    assert words is not None
    assert words.warnings == ()
    assert embed_texts(TEXTS, "none", settings) is None


def test_a_model_that_is_there_and_wrong_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("not a model")
    (tmp_path / "tokenizer.json").write_text("{}")

    with pytest.raises(ModelError):
        embed_texts(TEXTS, "minilm", EmbeddingSettings(tmp_path))


def test_settings_come_from_the_given_mapping() -> None:
    given = {"EMBEDDING_MODEL_PATH": "/models/other", "EMBEDDING_PROVIDER": "CUDA"}

    assert EmbeddingSettings.from_env(given) == EmbeddingSettings(Path("/models/other"), "cuda")
    assert EmbeddingSettings.from_env({"EMBEDDING_PROVIDER": ""}) == EmbeddingSettings(
        REPOSITORY / "models/minilm-l6", "cpu"
    )


def test_an_unknown_provider_is_named_by_its_variable() -> None:
    with pytest.raises(ConfigError, match=r"^EMBEDDING_PROVIDER must be one of: cpu, cuda\.$"):
        EmbeddingSettings.from_env({"EMBEDDING_PROVIDER": "abacus"})
