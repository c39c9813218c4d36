"""A job's events as server-sent events, for one reader who may be slow.

What `run_job` tells is taken at once, so that a reader holds up no job; what he has not read yet waits here, and is
never more than an event for each symbol of his own job. The text of an event is made when it is sent. Leaves out the
connection: `service` sends what comes from here, and drops a reader who takes nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import anyio

from generation.domain.outcome import Documented, Outcome
from generation.reporting import events
from generation.results.report import Totals

# Proxies cut a connection that is silent for a minute, some after half of that.
KEEP_ALIVE_S = 15.0
KEEP_ALIVE = b": keep-alive\n\n"


def message(event_type: str, data: bytes) -> bytes:
    r"""One server-sent event; `data` is JSON, which has no line breaks of its own.

    >>> message("result", b'{"job_id": "j"}')
    b'event: result\ndata: {"job_id": "j"}\n\n'
    """
    return b"event: %s\ndata: %s\n\n" % (event_type.encode("ascii"), data)


class EventStream:
    """One job's events, on standard output as ever and for its reader too."""

    def __init__(self) -> None:
        self._unread: asyncio.Queue[events.Event | None] = asyncio.Queue()

    def emit(self, event: events.Event) -> None:
        """Take the job's event; the reader gets those of symbols by `watch`, which knows the summaries."""
        events.print_event(event)
        if event.type in {events.STARTED, events.COMPLETED}:
            self._unread.put_nowait(event)

    def watch(self, job_id: str, outcome: Outcome, _totals: Totals) -> None:
        """Take an outcome, as the event that it is, with its summary."""
        event = events.of_outcome(job_id, outcome)
        if isinstance(outcome, Documented):
            event = replace(event, payload={**event.payload, "summary": outcome.summary})
        self._unread.put_nowait(event)

    def close(self) -> None:
        """Nothing more will come."""
        self._unread.put_nowait(None)

    async def messages(self) -> AsyncIterator[bytes]:
        """What to send, until the stream is closed; a comment where there was nothing for a while."""
        while True:
            event = None
            with anyio.move_on_after(KEEP_ALIVE_S) as waiting:
                event = await self._unread.get()
            if waiting.cancelled_caught:
                yield KEEP_ALIVE
            elif event is None:
                return
            else:
                yield message(event.type, event.as_json().encode("ascii"))
