"""all-MiniLM-L6-v2 through ONNX Runtime: texts in, unit vectors out.

Texts run in batches of equal token counts, so nothing is ever padded, and a text's vector does not depend on what else
is embedded (bit for bit with the export that `builder/fetch_embedding_model.py` fetches). On CPU one session serves one
thread for each core with batches of two: larger ones gain 3 % and cost memory.

The only importer of onnxruntime and tokenizers. Left out: the cache (`cache`) and what to do without a model (`embed`).
"""

from __future__ import annotations

import contextlib
import hashlib
import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from doctown.embedding.settings import Provider
from doctown.errors import ModelError
from doctown.machine import cores, free_memory_bytes

if TYPE_CHECKING:
    import onnxruntime
    import tokenizers

MODEL_NAME = "all-MiniLM-L6-v2"
DIMENSIONS = 384
MODEL_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"

MAX_TOKENS = 128  # the texts of `text.embedding_text` have 82 to 94 on average
BATCH_SIZES: dict[Provider, int] = {"cpu": 2, "cuda": 256}
TOKENIZED_AT_ONCE = 1_024  # a text's encoding takes some 10 kB until it is reduced to its numbers
THREAD_MEMORY_BYTES = 25_000_000  # of a batch of two under way (measured), rounded up

# Cosine similarities under the original model (fp32). Any export of it gives them again (with 8-bit weights to within
# .004); another model or another tokenizer does not.
KNOWN_SIMILARITIES = (
    ("read a file from disk", "load data from a path", 0.4048),
    ("read a file from disk", "the colour of the night sky", 0.0419),
    ("parse http request headers", "decode the header of a web request", 0.8218),
    ("def sort(items, key=None)", "order a list by a function of its elements", 0.4823),
)
MAX_SIMILARITY_ERROR = 0.06

Progress: TypeAlias = Callable[[int, int], None]
Vectors: TypeAlias = NDArray[np.float32]
TokenIds: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True)
class EmbeddingModel:
    """A loaded model. `sha256` is that of its file; `warnings` are sentences for the pack."""

    sha256: str
    provider: Provider
    threads: int
    warnings: tuple[str, ...]
    _session: onnxruntime.InferenceSession = field(repr=False)
    _tokenizer: tokenizers.Tokenizer = field(repr=False)
    _inputs: frozenset[str] = field(repr=False)
    _output: str = field(repr=False)

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        return DIMENSIONS

    @property
    def batch_size(self) -> int:
        """The most texts that run at once in one thread."""
        return BATCH_SIZES[self.provider]

    def embed(self, texts: Sequence[str], progress: Progress | None = None) -> Vectors:
        """Return a unit vector for each text, of shape (len(texts), 384); zeros for a blank text.

        Equal texts are embedded once. `progress` is called with (distinct texts done, distinct texts), in this thread.
        """
        distinct = [text for text in dict.fromkeys(texts) if text.strip()]
        tokens = self._tokenize(distinct)
        batches = _batches_of_equal_length(tokens, self.batch_size)
        vectors = np.zeros((len(distinct) + 1, DIMENSIONS), dtype=np.float32)  # the last row is the blank texts'
        done = 0
        with ThreadPoolExecutor(self.threads, thread_name_prefix="embed") as pool:
            embedded = pool.map(lambda rows: self._run(np.stack([tokens[row] for row in rows])), batches)
            for rows, of_batch in zip(batches, embedded, strict=True):
                vectors[rows] = of_batch
                done += len(rows)
                if progress is not None:
                    progress(done, len(distinct))
        row_of = {text: row for row, text in enumerate(distinct)}
        return vectors[[row_of.get(text, len(distinct)) for text in texts]]

    def _tokenize(self, texts: Sequence[str]) -> list[TokenIds]:
        """Return the token numbers of each text."""
        return [
            np.array(encoding.ids, dtype=np.int64)
            for start in range(0, len(texts), TOKENIZED_AT_ONCE)
            for encoding in self._tokenizer.encode_batch_fast(list(texts[start : start + TOKENIZED_AT_ONCE]))
        ]

    def _run(self, token_ids: TokenIds) -> Vectors:
        """Return the unit vectors of equally long texts, given as (texts, tokens)."""
        mask = np.ones_like(token_ids)
        inputs = {"input_ids": token_ids, "attention_mask": mask, "token_type_ids": np.zeros_like(token_ids)}
        (output,) = self._session.run([self._output], {name: inputs[name] for name in self._inputs})
        # The mean over the mask, which covers every token. An export that pools itself has a vector for each text.
        means = output if output.ndim == np.ndim(token_ids) else output.mean(axis=1)
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), dtype=np.float32)


def load_model(folder: Path, *, provider: Provider = "cpu", threads: int | None = None) -> EmbeddingModel:
    """Return the model in the folder, which has `model.onnx` and `tokenizer.json`.

    `threads` is by default one for each core, or fewer where memory is short. Where the provider cannot be had, the
    model runs on CPU and its `warnings` say so. Raises ModelError where a file is missing, cannot be read, or is not
    all-MiniLM-L6-v2.
    """
    model_file, tokenizer_file = folder / MODEL_FILE, folder / TOKENIZER_FILE
    sha256, _ = _sha256(model_file), _sha256(tokenizer_file)
    tokenizer = _load_tokenizer(tokenizer_file)
    session, found = _load_session(model_file, provider)
    warnings: tuple[str, ...] = ()
    if found != provider:
        warnings = (f"EMBEDDING_PROVIDER={provider} cannot be had on this machine: embeddings were computed on CPU.",)
    if threads is None:
        threads = 1 if found != "cpu" else max(1, min(cores(), free_memory_bytes() // THREAD_MEMORY_BYTES))
    outputs = [output.name for output in session.get_outputs()]
    model = EmbeddingModel(
        sha256=sha256,
        provider=found,
        threads=threads,
        warnings=warnings,
        _session=session,
        _tokenizer=tokenizer,
        _inputs=frozenset(given.name for given in session.get_inputs()),
        _output="sentence_embedding" if "sentence_embedding" in outputs else outputs[0],
    )
    _check_identity(model, folder)
    return model


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(
            f"{path} cannot be read ({error.strerror}): the folder of {MODEL_NAME} has a {MODEL_FILE} "
            f"and a {TOKENIZER_FILE}."
        ) from error


def _load_tokenizer(path: Path) -> tokenizers.Tokenizer:
    import tokenizers

    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more special
        raise ModelError(f"{path} is no tokenizer: it must be the {TOKENIZER_FILE} of {MODEL_NAME}.") from error
    tokenizer.no_padding()  # the file asks for padding to 128 tokens
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def _load_session(path: Path, provider: Provider) -> tuple[onnxruntime.InferenceSession, Provider]:
    """Return the session and the provider that it has got."""
    import onnxruntime

    on_cpu = provider == "cpu" or "CUDAExecutionProvider" not in onnxruntime.get_available_providers()
    if not on_cpu:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
            onnxruntime.preload_dlls()  # CUDA's libraries out of their packages, where no system has them
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # faults are raised, and a fall-back is said in `warnings`
    if on_cpu:
        # The threads are `embed`'s: each runs its own batch from start to end.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # It plans memory for shapes that come again, and lengths differ.
        options.enable_mem_pattern = False
    try:
        session = onnxruntime.InferenceSession(
            str(path),
            options,
            providers=["CPUExecutionProvider"] if on_cpu else ["CUDAExecutionProvider", "CPUExecutionProvider"],
            # On CPU the fused kernel takes seven times as long as the two that it replaces: 10 % of the whole.
            disabled_optimizers=["SkipLayerNormFusion"] if on_cpu else [],
        )
    except Exception as error:  # ONNX Runtime's errors have no narrower base
        raise ModelError(f"{path} is no ONNX model: it must be an export of {MODEL_NAME}.") from error
    # Where the package is installed and its device is not there, ONNX Runtime takes the CPU by itself.
    return session, "cuda" if session.get_providers()[0] == "CUDAExecutionProvider" else "cpu"


def _batches_of_equal_length(tokens: Sequence[TokenIds], batch_size: int) -> list[NDArray[np.intp]]:
    """Return batches of rows with equally many tokens, the longest first, so that the threads end together."""
    lengths = np.array([len(ids) for ids in tokens], dtype=np.intp)
    order = np.argsort(-lengths, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1)
    return [group[start : start + batch_size] for group in groups for start in range(0, len(group), batch_size)]


def _check_identity(model: EmbeddingModel, folder: Path) -> None:
    """Raise ModelError unless the model has the known similarities."""
    try:
        first = model.embed([pair[0] for pair in KNOWN_SIMILARITIES])
        second = model.embed([pair[1] for pair in KNOWN_SIMILARITIES])
    except Exception as error:  # ONNX Runtime's, a KeyError for an input, a ValueError for a shape
        raise ModelError(
            f"{folder / MODEL_FILE} is not {MODEL_NAME}: it does not turn token ids into {DIMENSIONS} numbers."
        ) from error
    expected = [pair[2] for pair in KNOWN_SIMILARITIES]
    if not np.allclose((first * second).sum(axis=1), expected, rtol=0, atol=MAX_SIMILARITY_ERROR):
        raise ModelError(
            f"{folder / MODEL_FILE} with its {TOKENIZER_FILE} is not {MODEL_NAME}: sentences with known similarities "
            "have others under it."
        )
