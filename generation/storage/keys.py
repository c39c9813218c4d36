"""The storage keys of all documents."""

from __future__ import annotations


def manifest_key(run_name: str) -> str:
    """Return the key of a run's manifest."""
    return f"bulk/{run_name}/manifest.json"


def state_key(run_name: str, source_number: int) -> str:
    """Return the key of a source's state."""
    return f"bulk/{run_name}/sources/{source_number:06}.json"


def contexts_prefix(run_name: str) -> str:
    """Return the prefix of the contexts of all shards of a run."""
    return f"bulk/{run_name}/shards/"


def contexts_key(run_name: str, job_id: str, attempt: int = 1) -> str:
    """Return the key of a shard's contexts: gzipped JSON Lines, one item of a payload's `symbols` per line.

    An engine that resubmits a shard may move them to the key of another attempt (numbered from 1).
    """
    mark = f"~{attempt}" if attempt > 1 else ""
    return f"{contexts_prefix(run_name)}{job_id}{mark}.jsonl.gz"


def merged_key(run_name: str, source_name: str) -> str:
    """Return the key of a source's merged results."""
    return f"results/{run_name}/{source_name}.json"


def timeline_key(run_name: str) -> str:
    """Return the key of a run's course over time."""
    return f"bulk/{run_name}/timeline.json"


def cancelled_key(run_name: str) -> str:
    """Return the key of the marker that a run was cancelled."""
    return f"bulk/{run_name}/cancelled.json"


def run_lease_key(run_name: str) -> str:
    """Return the key of the lease that a run's coordinator holds."""
    return f"bulk/{run_name}/lease.json"


def codebase_key(codebase_name: str) -> str:
    """Return the key of the name of a codebase's run."""
    return f"bulk/{codebase_name}/run.json"


def codebase_symbols_key(run_name: str) -> str:
    """Return the key of the symbols of a codebase's run."""
    return f"bulk/{run_name}/codebase/symbols.jsonl.gz"


def codebase_previous_key(run_name: str) -> str:
    """Return the key of the earlier results of a codebase's run: not among the state of runs, since jobs read it."""
    return f"results/{run_name}/previous.json"


def job_lease_key(job_id: str) -> str:
    """Return the key of the lease that a job's worker holds."""
    return f"{prefix_of(job_id)}lease.json"


def prefix_of(job_id: str) -> str:
    """Return the prefix of a job's checkpoint segments."""
    return f"checkpoints/{job_id}/"


def results_key(job_id: str) -> str:
    """Return the key of a job's results."""
    return f"results/{job_id}.json"
