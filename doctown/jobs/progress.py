"""Where a repository job stands: a cumulative snapshot, moved on by the events of its build. Pure but for the clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import cast

from doctown.events import STEPS, Event
from doctown.jobs.output import RepositorySnapshot, StepCounts, StepName


class RepositoryProgress:
    """The progress of one job; what it counts never falls."""

    def __init__(self, job_id: str, now_s: Callable[[], float] = time.monotonic) -> None:
        self._job_id = job_id
        self._now_s = now_s
        self._started_s = now_s()
        self._step = 1
        self._counts: dict[StepName, StepCounts] = {}
        self._failed = 0
        self._total_tokens = 0
        self._total_cost = 0.0

    def add(self, event: Event) -> bool:
        """Take an event of the build in; return whether it says anything of where the job stands."""
        data = event.data
        if event.type not in {"step_started", "step_ended", "progress"} or data.get("name") not in STEPS:
            return False
        name = cast("StepName", data["name"])
        counts = self._counts.setdefault(name, {"done": 0, "total": 0})
        if event.type == "step_started":
            self._step = max(self._step, int(data["step"]))
        elif event.type == "step_ended":
            counts["total"] = max(counts["total"], 1)
            counts["done"] = counts["total"]
        else:
            counts["total"] = max(counts["total"], int(data["total"]))
            counts["done"] = max(counts["done"], int(data["done"]))
            self._failed = max(self._failed, int(data.get("failed", 0)))
            self._total_tokens = max(self._total_tokens, int(data.get("total_tokens", 0)))
            self._total_cost = max(self._total_cost, float(data.get("total_cost", 0.0)))
        return True

    @property
    def step(self) -> StepName:
        """The name of the present step."""
        return cast("StepName", STEPS[self._step - 1])

    def snapshot(self) -> RepositorySnapshot:
        """Return where the job stands."""
        documented = self._counts.get("document", {"done": 0, "total": 0})
        return {
            "type": "doctown.progress.v1",
            "job_id": self._job_id,
            "payload": {
                "step": self._step,
                "steps": len(STEPS),
                "name": self.step,
                "counts": {name: {**counts} for name, counts in self._counts.items()},
                "completed": documented["done"] - self._failed,
                "failed": self._failed,
                "total": documented["total"],
                "total_tokens": self._total_tokens,
                "total_cost": self._total_cost,
                "elapsed_ms": round((self._now_s() - self._started_s) * 1000),
            },
        }
