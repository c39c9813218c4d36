"""Decide which keys of the store a caller may have read. Pure.

A store holds what several callers own: inputs, results, checkpoints, the state of bulk runs. Whoever names a key gets
at least to know something of what is there, so each use of a key has a rule. Leaves out: keys that the operator of the
worker names, such as those of the bulk command.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from generation.domain.limits import JOB_ID
from generation.errors import InputError

# Written by the worker itself. No caller's input is below them.
RESULTS = "results/"
INTERNAL = ("checkpoints/", "bulk/", "jobs/")
PACKS = "docpacks/"

# Contexts of a shard of a bulk run, which only the shard's own job may read (`storage.keys.contexts_key`).
_SHARD = re.compile(rf"bulk/[^/]+/shards/(?P<job_id>{JOB_ID.pattern}?)(~\d+)?\.jsonl\.gz")


def check_symbols_key(key: str, job_id: str, prefixes: Sequence[str]) -> None:
    """Raise InputError unless a job may read its symbols from a key: an input, never what a worker has written."""
    shard = _SHARD.fullmatch(key)
    if shard and shard["job_id"] == job_id:
        return
    _check("symbols_key", key, prefixes, (RESULTS, PACKS, *INTERNAL))


def check_previous_results_key(key: str, job_id: str, prefixes: Sequence[str]) -> None:
    """Raise InputError unless a job may take summaries over from a key: results, its own ones in any case."""
    if key != f"{RESULTS}{job_id}.json":
        _check("previous_results_key", key, prefixes, INTERNAL)


def check_input_key(name: str, key: str, prefixes: Sequence[str]) -> None:
    """Raise InputError unless a job may read an input of this name from a key: nothing that a worker has written."""
    _check(name, key, prefixes, (RESULTS, PACKS, *INTERNAL))


def check_pack_key(name: str, key: str, prefixes: Sequence[str]) -> None:
    """Raise InputError unless a job may take summaries over from a key: that of a documentation pack."""
    if not key.startswith(PACKS):
        raise InputError(f"{name} must begin with {PACKS}")
    _check(name, key, prefixes, INTERNAL)


def _check(name: str, key: str, prefixes: Sequence[str], forbidden: Sequence[str]) -> None:
    if {".", ".."} & set(key.split("/")):
        raise InputError(f"{name} must not have '.' or '..' as a part of its path")
    if key.startswith(tuple(forbidden)):
        raise InputError(f"{name} must not begin with {' or '.join(forbidden)}")
    if prefixes and not key.startswith(tuple(prefixes)):
        raise InputError(f"{name} must begin with one of the prefixes in READABLE_PREFIXES")
