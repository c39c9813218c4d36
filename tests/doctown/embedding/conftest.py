"""The embedding model that `make` fetches, loaded once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from doctown.embedding.model import EmbeddingModel, load_model

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def model_folder() -> Path:
    return REPOSITORY / (os.environ.get("EMBEDDING_MODEL_PATH") or "models/minilm-l6")


@pytest.fixture(scope="session")
def model(model_folder: Path) -> EmbeddingModel:
    return load_model(model_folder, threads=2)
