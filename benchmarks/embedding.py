"""Embeddings and assembly: speed, memory, and what neighbours agree with.

    python -m benchmarks.embedding [--symbols 1000] [--reference FOLDER]

The symbols are functions and classes of installed packages (rich, then sympy). `--reference` is a folder with the
original fp32 export, to compare neighbours with. The machine's limit is what numpy reaches in products of large float32
matrices with as many threads as the model has; a share above one says that ONNX Runtime's kernels are the faster ones.
Times are of the processor (CPU s), which other work on the machine disturbs less than the clock's.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from doctown.assembly.clusters import cluster_count, k_means
from doctown.assembly.neighbours import nearest_neighbours
from doctown.embedding import embedding_text
from doctown.embedding.model import MAX_TOKENS, EmbeddingModel, Vectors, load_model
from doctown.embedding.words import word_vectors
from doctown.machine import map_on_cores

SIZES = (1_000, 10_000, 40_000)
# Multiplications and additions of a token in six layers: four products of 384 by 384, two of 384 by 1,536.
FLOP_PER_TOKEN = 2 * 6 * (4 * 384**2 + 2 * 384 * 1_536)
FLOP_PER_PAIR_OF_TOKENS = 2 * 6 * 2 * 384  # attention: each token's scores, and the sum of values they weigh

Result = TypeVar("Result")


class Symbol(NamedTuple):
    file: str
    text: str


def symbols_of(package: str) -> Iterator[Symbol]:
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    root = Path(spec.origin).parent
    for path in sorted(root.rglob("*.py")):
        source = path.read_text(encoding="utf-8", errors="replace")
        yield from _definitions(ast.parse(source), source, str(path.relative_to(root)), "")


def _definitions(tree: ast.AST, source: str, file: str, prefix: str) -> Iterator[Symbol]:
    lines = source.splitlines()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}{node.name}"
            code = "\n".join(lines[node.lineno - 1 : node.end_lineno])
            signature = " ".join(code.split("\n", 1)[0].split())
            yield Symbol(file, embedding_text(name, signature, ast.get_docstring(node), code))
            yield from _definitions(node, source, file, f"{name}.")


def timed(what: str, function: Callable[[], Result]) -> Result:
    cpu, clock = time.process_time(), time.perf_counter()
    result = function()
    cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1_024
    print(f"| {what} | {cpu:.2f} | {clock:.2f} | {peak_mb} |", flush=True)
    return result


def limit_gflops() -> float:
    """GFLOP per CPU second in products of 1,024 by 1,024, one thread for each core."""
    matrix = np.ones((1_024, 1_024), dtype=np.float32)

    def multiply(_: int) -> None:
        for _repeat in range(20):
            matrix @ matrix

    multiply(0)
    cpu = time.process_time()
    map_on_cores(multiply, range(4))
    return 4 * 20 * 2 * 1_024**3 / (time.process_time() - cpu) / 1e9


def embed(model: EmbeddingModel, texts: list[str]) -> Vectors:
    """Embed and print the speed. `map_on_cores` is not asked: the model has threads of its own."""
    lengths = np.array([len(ids) for ids in model._tokenize(list(dict.fromkeys(texts)))])  # noqa: SLF001
    gflop = float((lengths * FLOP_PER_TOKEN + lengths**2 * FLOP_PER_PAIR_OF_TOKENS).sum()) / 1e9
    before, cpu, clock = limit_gflops(), time.process_time(), time.perf_counter()
    vectors = model.embed(texts)
    cpu, clock = time.process_time() - cpu, time.perf_counter() - clock
    limit = (before + limit_gflops()) / 2
    print(
        f"{len(texts)} symbols ({len(lengths)} distinct, {lengths.mean():.0f} tokens of {MAX_TOKENS}): "
        f"{len(texts) / clock:.0f}/s by the clock on {model.threads} threads, {len(texts) / cpu:.0f} per CPU s, "
        f"{gflop / cpu:.0f} of {limit:.0f} GFLOP per CPU s ({gflop / cpu / limit:.0%}), "
        f"peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1_024} MB"
    )
    return vectors


def agreement(first: Vectors, second: Vectors) -> float:
    """The share of the three nearest neighbours that are the same."""
    pairs = zip(nearest_neighbours(first).positions, nearest_neighbours(second).positions, strict=True)
    return float(np.mean([len({*ours} & {*theirs}) / 3 for ours, theirs in pairs]))


def in_the_same_file(vectors: Vectors, symbols: list[Symbol]) -> float:
    files = np.array([symbol.file for symbol in symbols])
    return float((files[nearest_neighbours(vectors).positions] == files[:, np.newaxis]).mean())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--symbols", type=int, default=1_000)
    parser.add_argument("--model", type=Path, default=Path("models/minilm-l6"))
    parser.add_argument("--reference", type=Path)
    arguments: Any = parser.parse_args()

    symbols = list(symbols_of("rich"))[: arguments.symbols]
    texts = [symbol.text for symbol in symbols]
    vectors = embed(load_model(arguments.model), texts)
    words = word_vectors(texts)
    print(f"three nearest in the same file: model {in_the_same_file(vectors, symbols):.3f}, ", end="")
    print(f"words {in_the_same_file(words, symbols):.3f}; the same for both {agreement(vectors, words):.3f}")
    if arguments.reference:
        reference = load_model(arguments.reference).embed(texts)
        print(
            f"three nearest as fp32: {agreement(vectors, reference):.4f}, cosine {(vectors * reference).sum(1).min()}"
        )

    many = [symbol.text for symbol in symbols_of("sympy")]
    many = (many + [f"{text} again" for text in many])[: max(SIZES)]
    print("\n| | CPU s | s | peak MB |\n|---|---|---|---|")
    for size in SIZES:
        vectors = timed(f"words of {size}", lambda count=size: word_vectors(many[:count]))  # type: ignore[misc]
        k = cluster_count(size)
        timed(f"k-means of {size}, k = {k}", lambda rows=vectors, count=k: k_means(rows, count))  # type: ignore[misc]
        timed(f"neighbours of {size}", lambda rows=vectors: nearest_neighbours(rows))  # type: ignore[misc]


if __name__ == "__main__":
    main()
