"""Vectors for the texts of symbols, by the model, by their words, or none, and what to say about it in the pack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from doctown.embedding.cache import embed_cached
from doctown.embedding.model import MODEL_FILE, MODEL_NAME, Progress, Vectors, load_model
from doctown.embedding.settings import EmbeddingSettings
from doctown.embedding.words import word_vectors

Method: TypeAlias = Literal["minilm", "words", "none"]
Basis: TypeAlias = Literal["embeddings", "words"]


# Without the folder's name: a pack has the same bytes on every machine.
NO_MODEL = f"There is no {MODEL_FILE} in EMBEDDING_MODEL_PATH: words were compared."


@dataclass(frozen=True)
class Embeddings:
    """Unit vectors, a row for each text, zeros where a text has none; and where they come from.

    `basis` is that of the pack's clusters. `model` and `model_sha256` are None where the vectors are of words.
    """

    vectors: Vectors
    basis: Basis
    model: str | None
    model_sha256: str | None
    warnings: tuple[str, ...] = ()


def embed_texts(  # noqa: PLR0913 - what to embed and how, all named
    texts: Sequence[str],
    method: Method,
    settings: EmbeddingSettings,
    *,
    cache_folder: Path | None = None,
    progress: Progress | None = None,
    found: Callable[[int], None] = lambda _: None,
) -> Embeddings | None:
    """Return vectors for the texts (see `text.embedding_text`), or None for the method "none".

    "minilm" without a model in its folder gives those of "words", with a warning. Raises ModelError where a model is
    there and cannot be used. `found` is called with the number of vectors that the cache has.
    """
    if method == "none":
        return None
    model_file = settings.model_path / MODEL_FILE
    if method == "words" or not model_file.exists():
        warnings = () if method == "words" else (NO_MODEL,)
        return Embeddings(word_vectors(texts), "words", None, None, warnings)
    model = load_model(settings.model_path, provider=settings.provider)
    vectors = embed_cached(model, texts, cache_folder, progress, found)
    return Embeddings(vectors, "embeddings", MODEL_NAME, model.sha256, model.warnings)
