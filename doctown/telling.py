"""What a build tells while it runs: events with a line for people and data for programs. Sinks are functions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

STEPS = ("fetch", "parse", "embed", "assemble", "document", "pack", "store")


@dataclass(frozen=True)
class Event:
    """One thing that happened; `text` says it to people, `type` and `data` to programs.

    Types: step_started, step_ended, progress (data has `done` and `total`), note, warning.
    """

    type: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)


Tell = Callable[[Event], None]


class Steps:
    """Tells when each of the seven steps starts and ends, and keeps how long each has taken."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Tell of a step; what is appended to the list that is yielded is told at its end."""
        label, number = f"Step {STEPS.index(name) + 1}/{len(STEPS)}: {name}", STEPS.index(name) + 1
        data = {"step": number, "steps": len(STEPS), "name": name}
        self._tell(Event("step_started", label, data))
        results: list[str] = []
        started_s = time.monotonic()
        yield results
        self.seconds[name] = round(time.monotonic() - started_s, 3)
        said = f": {', '.join(results)}" if results else ""
        ended = {**data, "seconds": self.seconds[name], "results": results}
        self._tell(Event("step_ended", f"{label} done in {self.seconds[name]:.1f} s{said}", ended))


def documented_so_far(done: int, total: int, failed: int, total_cost: float, total_tokens: int | None = None) -> Event:
    """Return the progress of the document step; `total_cost` in USD."""
    said = f"document {done:,}/{total:,}, {failed:,} failed, ${total_cost:.4f}"
    data: dict[str, Any] = {"name": "document", "done": done, "total": total, "failed": failed}
    data["total_cost"] = total_cost
    if total_tokens is not None:
        data["total_tokens"] = total_tokens
    return Event("progress", said, data)


def progress(tell: Tell, name: str) -> Callable[[int, int], None]:
    """Return a function of (done, total) that tells how far a step is."""
    return lambda done, total: tell(
        Event("progress", f"{name} {done:,}/{total:,}", {"name": name, "done": done, "total": total})
    )
