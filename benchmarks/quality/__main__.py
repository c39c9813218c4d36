"""The commands: `bench` measures summaries, `test` runs a real server that is killed in mid-run.

python -m benchmarks.quality bench --folder FOLDER   writes the table between the marks of docs/benchmarks.md
python -m benchmarks.quality test --folder FOLDER    exits with 1 where a bar is missed

FOLDER has what `builder/set_up_llama.sh` puts there.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import time
from pathlib import Path

from benchmarks.quality.codebases import CODEBASES, Codebase, read_codebase
from benchmarks.quality.llama import MODEL_NAME, SLOTS, Llama, running
from benchmarks.quality.measure import Embed, Result, Watch, documented, embedder
from benchmarks.quality.table import report, write_report
from doctown.embedding import EmbeddingSettings
from generation.domain.outcome import Outcome
from generation.results.report import Totals

WAYS = {
    "one by one": {"CALLEES_FIRST": "false"},
    "one by one, callees first": {"CALLEES_FIRST": "true"},
    "one by one, callees first, semantic context": {"CALLEES_FIRST": "true", "INCLUDE_SEMANTIC_CONTEXT": "true"},
    "batch mode, callees first": {"CALLEES_FIRST": "true", "BATCH_MODE": "true", "BATCH_SIZE": "5"},
}
OFFLINE = "offline"
TEST_SYMBOLS = 40
MAX_REQUESTS_PER_SYMBOL = 1.15
MAX_REJECTED_SHARE = 0.05


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    parser.add_argument("command", choices=("bench", "test"))
    parser.add_argument("--folder", type=Path, required=True, help="where the server and the model are")
    parser.add_argument("--size", type=int, default=25, help="symbols of each codebase (default: 25)")
    parser.add_argument("--only", action="append", choices=(OFFLINE, *WAYS), help="one row; writes no file")
    given = parser.parse_args()
    cache = given.folder / "cache"
    cache.mkdir(exist_ok=True)
    embed = embedder(EmbeddingSettings.from_env(os.environ))
    with running(given.folder, _free_port()) as server:
        if given.command == "test":
            sys.exit(test(server, cache, embed))
        codebases = [read_codebase(name, given.size, cache) for name in CODEBASES]
        results = bench(server, codebases, embed, given.only or (OFFLINE, *WAYS))
    print(report(results))
    if not given.only:
        write_report(results)


def bench(server: Llama, codebases: list[Codebase], embed: Embed, names: tuple[str, ...]) -> list[Result]:
    """Return a result for each way of documenting the codebases."""
    results = []
    for name in names:
        started_s = time.monotonic()
        environ = {"MODEL_NAME": OFFLINE} if name == OFFLINE else _environ(server, WAYS[name])
        results.append(documented(name, codebases, environ, embed))
        print(f"{time.monotonic() - started_s:6.0f} s  {name}", file=sys.stderr, flush=True)
    return results


def test(server: Llama, cache: Path, embed: Embed) -> int:
    """Run 40 symbols one by one and in batch mode, then again with a server that is killed. Return the exit status."""
    size = TEST_SYMBOLS // len(CODEBASES)
    codebases = [read_codebase(name, size, cache) for name in CODEBASES]
    ways = {"one by one": WAYS["one by one, callees first"], "batch mode": WAYS["batch mode, callees first"]}
    results = [documented(name, codebases, _environ(server, environ), embed) for name, environ in ways.items()]
    killed = documented("killed", codebases[:1], _environ(server, ways["one by one"]), embed, _killing(server))
    print(report(results))
    missed = [
        f"{one.name}: {one.requests} requests and {one.rejected} rejected for {one.symbols} symbols"
        for one in results
        if one.requests > MAX_REQUESTS_PER_SYMBOL * one.symbols or one.rejected > MAX_REJECTED_SHARE * one.symbols
    ]
    expected = [(one, sum(len(codebase.sample) for codebase in codebases)) for one in results]
    expected.append((killed, len(codebases[0].sample)))
    missed += [f"{one.name}: {one.symbols} of {count} documented" for one, count in expected if one.symbols != count]
    for line in missed:
        print(f"missed: {line}", file=sys.stderr)
    print(f"killed and started again in mid-run: {killed.symbols} documented with {killed.requests} requests")
    return 1 if missed else 0


def _killing(server: Llama) -> Watch:
    """Return a watcher that kills the server after the first outcome and starts it again."""
    has_killed = False

    def watch(_job_id: str, _outcome: Outcome, _totals: Totals) -> None:
        nonlocal has_killed
        if not has_killed:
            has_killed = True
            server.kill()
            server.start()

    return watch


def _environ(server: Llama, way: dict[str, str]) -> dict[str, str]:
    # A small machine with other work on it writes a token a second: nothing is to time out here.
    return {
        "OPENAI_API_KEY": "none",
        "OPENAI_BASE_URL": server.base_url,
        "MODEL_NAME": MODEL_NAME,
        "MAX_CONCURRENT_REQUESTS": str(SLOTS),
        "REQUEST_TIMEOUT_S": "280",
        "OUTAGE_S": "300",
        "DEADLINE_S": "20000",
        "MAX_COMPLETION_TOKENS": "1024",
        **{name: value for name, value in os.environ.items() if name == "TIKTOKEN_CACHE_DIR"},
        **way,
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
