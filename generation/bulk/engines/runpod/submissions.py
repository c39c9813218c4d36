"""A log of submissions: markers in the store whose keys hold all data, so that one listing reads thousands.

    bulk/{run}/submitted/{job_id}~{attempt}           written before /run is called (write-ahead)
    bulk/{run}/submitted/{job_id}~{attempt}~{runpod}  written with RunPod's id, after the response

An attempt with only the first marker may have been accepted under an unknown id; `engine` handles that.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from generation.storage.base import Storage

_NAME = re.compile(r"(?P<job>[A-Za-z0-9._-]+)~(?P<attempt>\d+)(~(?P<runpod>.+))?")


@dataclass(frozen=True, slots=True)
class Submission:
    """One attempt at a shard; where `runpod_id` is None, it may or may not have been accepted."""

    attempt: int
    runpod_id: str | None = None


class Submissions:
    """The newest submission of each shard of a run, and the markers of all."""

    def __init__(self, storage: Storage, run_name: str) -> None:
        self._storage = storage
        self._prefix = f"bulk/{run_name}/submitted/"
        self._newest: dict[str, Submission] = {}
        self._keys: defaultdict[str, list[str]] = defaultdict(list)

    async def load(self) -> None:
        """Load the submissions of earlier starts of the run."""
        self._take(await self._storage.list_keys(self._prefix))

    def _take(self, keys: Iterable[str]) -> None:
        for key in keys:
            if found := _NAME.fullmatch(key.removeprefix(self._prefix)):
                job_id, submission = found["job"], Submission(int(found["attempt"]), found["runpod"])
                self._keys[job_id].append(key)
                newest = self._newest.get(job_id)
                if newest is None or _order(submission) > _order(newest):
                    self._newest[job_id] = submission

    def newest(self, job_id: str) -> Submission | None:
        """Return the last submission of a shard, or None."""
        return self._newest.get(job_id)

    def runpod_ids(self) -> list[str]:
        """Return RunPod's ids of the newest submissions, where known."""
        return [one.runpod_id for one in self._newest.values() if one.runpod_id]

    async def begin(self, job_id: str, attempt: int) -> None:
        """Record that an attempt is about to be submitted."""
        await self._mark(job_id, Submission(attempt), f"{job_id}~{attempt}")

    async def accepted(self, job_id: str, attempt: int, runpod_id: str) -> None:
        """Record that RunPod has accepted an attempt."""
        await self._mark(job_id, Submission(attempt, runpod_id), f"{job_id}~{attempt}~{runpod_id}")

    async def _mark(self, job_id: str, submission: Submission, name: str) -> None:
        # Recorded in memory before the write, so that the job can be cancelled if the run is stopped during it.
        self._newest[job_id] = submission
        self._keys[job_id].append(f"{self._prefix}{name}")
        await self._storage.write(f"{self._prefix}{name}", b"{}")

    async def forget(self, job_id: str) -> None:
        """Delete the markers of a shard."""
        self._newest.pop(job_id, None)
        await self._storage.delete(self._keys.pop(job_id, []))


def _order(submission: Submission) -> tuple[int, bool]:
    return (submission.attempt, submission.runpod_id is not None)
