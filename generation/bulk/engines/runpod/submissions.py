"""What was submitted: marks in the store, whose names say everything, so that one listing tells of thousands.

    bulk/{run}/submitted/{job_id}~{attempt}           before /run is called
    bulk/{run}/submitted/{job_id}~{attempt}~{runpod}  with RunPod's id, when it has answered

An attempt of which only the first mark is there may have been accepted without that anyone knows its id. Leaves out
what follows from that (`runpod_engine`).
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
    """One attempt at a shard; without `runpod_id` nobody knows whether it was accepted."""

    attempt: int
    runpod_id: str | None = None


class Submissions:
    """The newest submission of each shard of a run, and its marks."""

    def __init__(self, storage: Storage, run_name: str) -> None:
        self._storage = storage
        self._prefix = f"bulk/{run_name}/submitted/"
        self._newest: dict[str, Submission] = {}
        self._keys: defaultdict[str, list[str]] = defaultdict(list)

    async def load(self) -> None:
        """Read what earlier starts of the run have submitted."""
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
        """The last submission of a shard; None where there was none."""
        return self._newest.get(job_id)

    def runpod_ids(self) -> list[str]:
        """RunPod's ids of the newest submissions."""
        return [one.runpod_id for one in self._newest.values() if one.runpod_id]

    async def begin(self, job_id: str, attempt: int) -> None:
        """An attempt is about to be submitted."""
        await self._mark(job_id, Submission(attempt), f"{job_id}~{attempt}")

    async def accepted(self, job_id: str, attempt: int, runpod_id: str) -> None:
        """RunPod has accepted an attempt."""
        await self._mark(job_id, Submission(attempt, runpod_id), f"{job_id}~{attempt}~{runpod_id}")

    async def _mark(self, job_id: str, submission: Submission, name: str) -> None:
        # Known first: whoever stops the run meanwhile cancels what is known.
        self._newest[job_id] = submission
        self._keys[job_id].append(f"{self._prefix}{name}")
        await self._storage.write(f"{self._prefix}{name}", b"{}")

    async def forget(self, job_id: str) -> None:
        """Remove the marks of a shard."""
        self._newest.pop(job_id, None)
        await self._storage.delete(self._keys.pop(job_id, []))


def _order(submission: Submission) -> tuple[int, bool]:
    return (submission.attempt, submission.runpod_id is not None)
