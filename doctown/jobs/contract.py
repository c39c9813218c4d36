"""What enters and leaves repository jobs as whole documents, and the index of packs: sources of their JSON Schemas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import RootModel

from doctown.bulk.index import PackIndex
from doctown.jobs.output import PlannedRepository, RepositoryOutput, RepositorySnapshot
from doctown.jobs.request import RepositoryInput
from generation.domain.output import JobFailure


class RepositoryResult(RootModel[RepositoryOutput | PlannedRepository | JobFailure]):
    """Whatever a repository job may return: its output, the plan of a dry run, or why it could not run."""


DOCUMENTS: Mapping[str, type[Any]] = {
    "repository_input": RepositoryInput,
    "repository_output": RepositoryResult,
    "repository_progress": RepositorySnapshot,
    "pack_index": PackIndex,
}

EXAMPLES: Mapping[str, dict[str, Any]] = {
    "RepositoryInput": {
        "repository": {"url": "https://github.com/owner/repo", "ref": "main", "subdir": "packages/core"},
        "options": {"max_cost_usd": 2.0, "exclude": ["docs/"]},
    },
}
