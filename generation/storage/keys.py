"""The keys under which documents are stored."""

from __future__ import annotations


def manifest_key(run_name: str) -> str:
    """Where a run's manifest is."""
    return f"bulk/{run_name}/manifest.json"


def state_key(run_name: str, source_number: int) -> str:
    """Where the state of a source is."""
    return f"bulk/{run_name}/sources/{source_number:06}.json"


def contexts_prefix(run_name: str) -> str:
    """Where the contexts of all shards of a run are."""
    return f"bulk/{run_name}/shards/"


def contexts_key(run_name: str, job_id: str, attempt: int = 1) -> str:
    """Where the contexts of a shard are put: JSON Lines, gzipped, one item of a payload's `symbols` a line.

    An engine that sends a shard again may move them to the key of another attempt.
    """
    mark = f"~{attempt}" if attempt > 1 else ""
    return f"{contexts_prefix(run_name)}{job_id}{mark}.jsonl.gz"


def merged_key(run_name: str, source_name: str) -> str:
    """Where the results of a source are in the end."""
    return f"results/{run_name}/{source_name}.json"


def cancelled_key(run_name: str) -> str:
    """The mark of a run that was cancelled."""
    return f"bulk/{run_name}/cancelled.json"


def prefix_of(job_id: str) -> str:
    """Where the segments of a job are."""
    return f"checkpoints/{job_id}/"


def results_key(job_id: str) -> str:
    """Where the results of a job are."""
    return f"results/{job_id}.json"
