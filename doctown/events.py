"""Events of a build, each with a line for people and data for programs, and its seven steps.

A sink is a function that takes an event.
"""

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

    Types: step_started, step_ended, progress (data has `done` and `total`), note, warning, failed, estimate, engine,
    difference.
    """

    type: str
    text: str
    data: Mapping[str, Any] = field(default_factory=dict)


Emit = Callable[[Event], None]


class Steps:
    """Emits an event when a step starts and when it ends, and keeps how long each has taken, in seconds."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[list[str]]:
        """Run the block as a step; what it appends to the list that is yielded stands in the event of its end."""
        label, number = f"Step {STEPS.index(name) + 1}/{len(STEPS)}: {name}", STEPS.index(name) + 1
        data = {"step": number, "steps": len(STEPS), "name": name}
        self._emit(Event("step_started", label, data))
        results: list[str] = []
        started_s = time.monotonic()
        yield results
        self.seconds[name] = round(time.monotonic() - started_s, 3)
        said = f": {', '.join(results)}" if results else ""
        ended = {**data, "seconds": self.seconds[name], "results": results}
        self._emit(Event("step_ended", f"{label} done in {self.seconds[name]:.1f} s{said}", ended))


def documented_so_far(done: int, total: int, failed: int, total_cost: float, total_tokens: int | None = None) -> Event:
    """Return the progress of the document step; `total_cost` in USD."""
    said = f"document {done:,}/{total:,}, {failed:,} failed, ${total_cost:.4f}"
    data: dict[str, Any] = {"name": "document", "done": done, "total": total, "failed": failed}
    data["total_cost"] = total_cost
    if total_tokens is not None:
        data["total_tokens"] = total_tokens
    return Event("progress", said, data)


def progress(emit: Emit, name: str) -> Callable[[int, int], None]:
    """Return a function of (done, total) that emits how far a step is."""
    return lambda done, total: emit(
        Event("progress", f"{name} {done:,}/{total:,}", {"name": name, "done": done, "total": total})
    )
