"""Which keys of the store a caller may name: inputs and earlier results, and nothing that is another's."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from generation.config import Settings
from generation.errors import InputError
from tests.support.contexts import payload
from tests.support.jobs import run_job_to_dict

SECRET = "What only its owner may read."
RESULTS = {"documented_symbols": [{"symbol_id": SECRET, "summary": SECRET}], "failed_symbols": []}
SHARD = "bulk/run/shards/shard-1.jsonl.gz"
TENANT = "inputs/acme/,results/acme-"


def run(folder: Path, job_input: dict[str, Any], prefixes: str = "") -> dict[str, Any]:
    environ = {"MODEL_NAME": "offline", "RESULTS_DIR": str(folder), "READABLE_PREFIXES": prefixes}
    job = run_job_to_dict(job_input, Settings.from_env(environ), default_job_id="acme-1", emit=lambda _: None)
    return asyncio.run(job)


def write(folder: Path, key: str, document: object) -> None:
    path = folder / key.removeprefix("results/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")


@pytest.mark.parametrize(
    ("key", "prefixes", "says"),
    [
        ("results/other.json", "", "must not begin with results/"),
        ("other.json", "", "holds results, not symbols"),
        ("checkpoints/other/1.jsonl", "", "must not begin with"),
        ("bulk/run/manifest.json", "", "must not begin with"),
        (SHARD, "", "must not begin with"),
        ("docpacks/other.docpack", "", "must not begin with"),
        ("inputs/../checkpoints/other/1.jsonl", "", "must not have"),
        ("inputs/other/a.json", TENANT, "READABLE_PREFIXES"),
        ("results/acme-2.json", TENANT, "must not begin with results/"),
    ],
)
def test_no_job_reads_through_symbols_key_what_is_not_an_input(
    key: str, prefixes: str, says: str, tmp_path: Path
) -> None:
    """Results, checkpoints, runs and packs are refused by their place or form, and nothing of them is in a message."""
    write(tmp_path, key, RESULTS)
    with pytest.raises(InputError, match=says) as refused:
        run(tmp_path, {"symbols_key": key}, prefixes)
    assert "symbols_key" in str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("key", "prefixes", "job_id"),
    [
        ("inputs/acme/a.json", "", "acme-1"),
        ("a.json", "", "acme-1"),
        ("inputs/acme/a.json", TENANT, "acme-1"),
        (SHARD, "", "shard-1"),
        (SHARD.replace(".jsonl", "~2.jsonl"), TENANT, "shard-1"),
    ],
)
def test_inputs_are_read_wherever_they_lie(key: str, prefixes: str, job_id: str, tmp_path: Path) -> None:
    """An input has any key that the worker does not use itself; a shard's contexts are read by the shard's own job."""
    write(tmp_path, key, payload(2)["symbols"])
    assert run(tmp_path, {"symbols_key": key, "job_id": job_id}, prefixes)["documented_count"] == 2


@pytest.mark.parametrize(
    ("key", "prefixes", "says"),
    [
        ("results/other.json", "", None),
        ("results/acme-1.json", "inputs/", None),
        ("results/acme-0.json", TENANT, None),
        ("results/other.json", TENANT, "READABLE_PREFIXES"),
        ("checkpoints/other/1.jsonl", "", "must not begin with"),
        ("bulk/run/sources/000001.json", "", "must not begin with"),
        ("results/../checkpoints/a", "", "must not have"),
    ],
)
def test_previous_results_are_results(key: str, prefixes: str, says: str | None, tmp_path: Path) -> None:
    """Results can be named, one's own in any case; with READABLE_PREFIXES none but those below them."""
    write(tmp_path, key, RESULTS)
    job_input = {**payload(1), "previous_results_key": key}
    if says is None:
        assert run(tmp_path, job_input, prefixes)["removed"] == [SECRET]
        return
    with pytest.raises(InputError, match=says):
        run(tmp_path, job_input, prefixes)
