"""The settings of embeddings, read from a given mapping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from doctown.errors import ConfigError

Provider: TypeAlias = Literal["cpu", "cuda"]

_PACKAGE = Path(__file__).resolve().parent.parent
_PACKAGED_MODEL_PATH = _PACKAGE / "models/minilm-l6"  # in an installed package (see setup.py)
DEFAULT_MODEL_PATH = _PACKAGED_MODEL_PATH if _PACKAGED_MODEL_PATH.is_dir() else _PACKAGE.parent / "models/minilm-l6"


@dataclass(frozen=True)
class EmbeddingSettings:
    """Where the model is and what computes it.

    `model_path` is a folder with `model.onnx` and `tokenizer.json`. `provider` is ONNX Runtime's: "cuda" needs the
    package onnxruntime-gpu.
    """

    model_path: Path = DEFAULT_MODEL_PATH
    provider: Provider = "cpu"

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> EmbeddingSettings:
        """Return the settings of EMBEDDING_MODEL_PATH and EMBEDDING_PROVIDER; empty ones have their defaults.

        Raises ConfigError for a provider that is not known.
        """
        provider = environ.get("EMBEDDING_PROVIDER", "").strip().lower() or "cpu"
        for known in get_args(Provider):
            if provider == known:
                return cls(Path(environ.get("EMBEDDING_MODEL_PATH") or DEFAULT_MODEL_PATH), known)
        raise ConfigError(f"EMBEDDING_PROVIDER must be one of: {', '.join(get_args(Provider))}.")
