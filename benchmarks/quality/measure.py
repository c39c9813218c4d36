"""Document samples with a real model and compare each summary with the docstring that a person wrote.

Two figures, by all-MiniLM-L6-v2: the mean cosine between summary and docstring, and the mean reciprocal rank of the
right docstring among all of its codebase. The same is measured of the first answers as the model wrote them.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from benchmarks.quality.codebases import Codebase
from doctown.embedding import EmbeddingSettings, embed_texts
from generation import JobRequest, Settings, SymbolContext, document, job
from generation.domain.outcome import Outcome
from generation.intake.job_input import JobOptions
from generation.repairs import Review, review_summary
from generation.results.report import Totals

Embed = Callable[[list[str]], NDArray[np.float32]]
Watch = Callable[[str, Outcome, Totals], None]


class Summary(NamedTuple):
    """A published summary, the model's first answer as it was written, and the docstring that a person wrote."""

    symbol_id: str
    published: str
    first_answer: str
    docstring: str
    repairs: tuple[str, ...]


@dataclass(frozen=True)
class Result:
    """What one way of documenting the samples has brought and cost.

    Cosines are from -1 to 1 and ranks from 0 to 1, both means over all symbols; `first_` is of the answers as written.
    """

    name: str
    summaries: Sequence[Summary]
    cosine: float
    rank: float
    first_cosine: float
    first_rank: float
    requests: int
    tokens: int
    checked: int
    passed_all: int
    rejected: int
    findings: Counter[str]

    @property
    def symbols(self) -> int:
        """The number of symbols."""
        return len(self.summaries)


def ignore(_job_id: str, _outcome: Outcome, _totals: Totals) -> None:
    """Watch nothing."""


def documented(
    name: str, codebases: Sequence[Codebase], environ: dict[str, str], embed: Embed, watch: Watch = ignore
) -> Result:
    """Document every codebase's sample as a job with these settings, and compare the summaries with the docstrings."""
    summaries: list[Summary] = []
    figures: list[NDArray[np.float32]] = []
    usage: Counter[str] = Counter()
    findings: Counter[str] = Counter()
    for codebase in codebases:
        ours, output = _document(codebase, environ, watch)
        published = likeness({one.symbol_id: one.published for one in ours}, codebase.docstrings, embed)
        first = likeness({one.symbol_id: one.first_answer for one in ours}, codebase.docstrings, embed)
        figures.append(np.hstack([published, first]))
        summaries += ours
        usage.update(requests=output["usage"]["requests"], tokens=output["total_tokens"])
        usage.update({name: count for name, count in output["checks"].items() if isinstance(count, int)})
        findings.update(output["checks"]["findings"])
    cosine, rank, first_cosine, first_rank = np.vstack(figures).mean(axis=0).tolist()
    return Result(
        name,
        summaries,
        cosine,
        rank,
        first_cosine,
        first_rank,
        usage["requests"],
        usage["tokens"],
        usage["checked"],
        usage["passed_all"],
        usage["rejected"],
        findings,
    )


def _document(codebase: Codebase, environ: dict[str, str], watch: Watch) -> tuple[list[Summary], dict[str, Any]]:
    first: dict[str, str] = {}

    def recording(
        summary: str,
        context: SymbolContext,
        known: frozenset[str],
        *,
        misplaced: bool | None = None,
        language: str = "English",
    ) -> Review:
        first.setdefault(context.symbol_id, summary)
        return review_summary(summary, context, known, misplaced=misplaced, language=language)

    with tempfile.TemporaryDirectory() as folder, mock.patch.object(job, "review_summary", recording):
        settings = Settings.from_env({**environ, "RESULTS_DIR": folder})
        work = document(
            JobRequest(codebase.name, JobOptions()), codebase.sample, settings, emit=lambda _: None, watch=watch
        )
        output = dict(asyncio.run(work))
        [path] = Path(folder).rglob("*.json")
        records = json.loads(path.read_bytes())["documented_symbols"]
    return [_summary(one, first, codebase) for one in records], output


def _summary(record: dict[str, Any], first: dict[str, str], codebase: Codebase) -> Summary:
    symbol_id, published = record["symbol_id"], record["summary"]
    docstring = codebase.docstrings[symbol_id]
    return Summary(symbol_id, published, first.get(symbol_id, published), docstring, tuple(record.get("repairs", ())))


def likeness(texts: dict[str, str], docstrings: dict[str, str], embed: Embed) -> NDArray[np.float32]:
    """Return, a row for each text, its cosine to the docstring of the same symbol and the reciprocal rank of that."""
    ids = {symbol_id: place for place, symbol_id in enumerate(docstrings)}
    right = [ids[symbol_id] for symbol_id in texts]
    cosines = embed(list(texts.values())) @ embed(list(docstrings.values())).T
    own = cosines[np.arange(len(right)), right]
    ranks = 1 + (cosines > own[:, None]).sum(axis=1)
    return np.stack([own, 1 / ranks], axis=1).astype(np.float32)


def embedder(settings: EmbeddingSettings) -> Embed:
    """Return the function that embeds texts with all-MiniLM-L6-v2; it raises RuntimeError without the model."""

    def embed(texts: list[str]) -> NDArray[np.float32]:
        found = embed_texts(texts, "minilm", settings)
        if found is None or found.model is None:
            raise RuntimeError(f"there is no embedding model in {settings.model_path}: run `make setup`")
        return found.vectors

    return embed
