"""What is documented: made-up symbols, the same in every run, as payloads of jobs and as prebuilt requests.

The prebuilt requests are the worker's own, caught by a loopback server, so that every client sends the very same ones.
Leaves out real code bases: their sizes vary more, but what is measured here depends on sizes alone.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.clients.stage import Task
from benchmarks.processes import running_client
from tests.loopback.openai import Behaviour, running_process

SYMBOLS = 1_000
MANY_SYMBOLS = 50_000
SEED = 20_261_120

# Lengths of source code, in lines. The few make requests of about 400 tokens, as OpenAI's admission counts them (a
# quarter of their characters); the many make contexts of about 2 KB.
FEW_LINES = (1, 16)
MANY_LINES = (33, 53)

TEXT = (
    "account batch buffer cache client config cursor entry event field filter frame handler index invoice item job key"
    " layer limit line logger message node order page parser payload prefix queue record report request result retry"
    " row schema session state stream table task token user value window worker"
)
WORDS = TEXT.split()


@dataclass(frozen=True)
class Workload:
    """Files of the same symbols in the forms that clients take."""

    payload: Path
    requests: Path
    thousand: Path
    fifty_thousand: Path
    # What a server's admission counts for each request, in tokens.
    charges: Sequence[int] = ()


def make_workload(folder: Path, *, with_many: bool) -> Workload:
    """Write the files; the two of JSON Lines only where they are needed, as they take 100 MB."""
    workload = Workload(
        payload=folder / "few.json",
        requests=folder / "requests.jsonl",
        thousand=folder / "1000.jsonl",
        fifty_thousand=folder / "50000.jsonl",
    )
    few = list(make_symbols(SYMBOLS, FEW_LINES))
    workload.payload.write_text(json.dumps({"symbols": few}), encoding="utf-8")
    bodies, charges = catch_requests(workload.payload)
    workload.requests.write_text("".join(f"{json.dumps(body)}\n" for body in bodies), encoding="utf-8")
    if with_many:
        for path, count in ((workload.thousand, SYMBOLS), (workload.fifty_thousand, MANY_SYMBOLS)):
            with path.open("w", encoding="utf-8") as file:
                file.writelines(f"{json.dumps(symbol)}\n" for symbol in make_symbols(count, MANY_LINES))
    return replace(workload, charges=charges)


def make_symbols(count: int, lines: tuple[int, int]) -> Iterator[dict[str, Any]]:
    """Symbols of a job's input, the same for the same arguments, in the order in which a worker asks for them."""
    chance = random.Random(SEED)
    pool = [f"    {some(chance)} = self.{some(chance)}({some(chance)}, {chance.randrange(99)})" for _ in range(500)]
    for number in range(count):
        name = f"{some(chance)}_{some(chance)}_{number}"
        signature = f"def {name}(self, {some(chance)}: int) -> {some(chance).title()}"
        source = "\n".join([f"{signature}:", *chance.choices(pool, k=chance.randint(*lines))])
        symbol_id = f"app/{some(chance)}.py::{name}"
        context = {
            "symbol_id": symbol_id,
            "name": name,
            "kind": "method",
            "language": "python",
            "file_path": symbol_id.partition("::")[0],
            "signature": signature,
            "calls": [some(chance) for _ in range(3)],
            "called_by": [some(chance)],
            # The worker asks for the most central first: this keeps its order that of the prebuilt requests.
            "centrality": round(1 - number / count, 6),
            "source_code": source,
        }
        yield {"symbol_id": symbol_id, "context": context}


def some(chance: random.Random) -> str:
    return chance.choice(WORDS)


def catch_requests(payload: Path) -> tuple[list[dict[str, Any]], list[int]]:
    """The worker's requests for a payload, in the payload's order, and what the server counted for each."""
    with running_process(Behaviour(count_by="characters", keep_requests=True)) as server:
        with running_client("worker", Task(server.base_url, payload=str(payload))) as client:
            client.run()
        bodies, charges = server.requests, server.bill()["charges"]
    assert len(bodies) == SYMBOLS, f"{len(bodies)} requests for {SYMBOLS} symbols"
    return sorted(bodies, key=number_of), charges


def number_of(body: dict[str, Any]) -> int:
    found = re.search(r"^Name: \w+_(\d+)$", body["messages"][-1]["content"], re.MULTILINE)
    assert found, "the worker's prompt names its symbol in another way"
    return int(found[1])
