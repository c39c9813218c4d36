"""Options of a build, beside the settings of the worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from doctown.embedding import EmbeddingSettings, Method
from doctown.engines import Engine
from doctown.repository import Limits, Network, Selection

DEFAULT_OUTPUT = Path("output")
# A build is as fast as the account's rate limits allow: tier 2 of OpenAI takes 83 requests a second, each of one or
# two seconds. Another server (OPENAI_BASE_URL) may queue what it cannot do at once: it gets the worker's default.
MAX_CONCURRENT_OF_OPENAI = 100


@dataclass(frozen=True)
class BuildOptions:
    """One build: what is read, what is documented of it, and where the pack goes.

    The pack is the file `file_name` in the folder `output`, by default NAME.docpack.
    `kinds` are those of symbols to document, None for the default ones; `via` is who buys the summaries; `clusters` is
    their number, None for a good one. `previous` is an earlier pack whose summaries are taken over, unless `renew` has
    every summary written anew; by default it is the one that will be replaced. Without `may_replace_model` an offline
    build does not replace a pack with a model's summaries. `cache_folder` keeps vectors. `network` restricts where
    git URLs may lead, as services do; None leads everywhere.
    """

    source: str
    output: Path = DEFAULT_OUTPUT
    file_name: str | None = None
    selection: Selection = field(default_factory=Selection)
    include_tests: bool = False
    kinds: frozenset[str] | None = None
    via: Engine = "local"
    embeddings: Method = "minilm"
    embedding_settings: EmbeddingSettings = field(default_factory=EmbeddingSettings)
    clusters: int | None = None
    previous: Path | None = None
    renew: bool = False
    may_replace_model: bool = True
    limits: Limits = field(default_factory=Limits)
    cache_folder: Path | None = None
    network: Network | None = None
