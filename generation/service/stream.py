"""A job's events as server-sent events, for one client that may be slow.

Events are queued without blocking, so that a slow client does not delay the job. The queue holds at most one event for
each symbol of the job, plus two; an event is serialised when it is sent. The connection is left to `app`, which sends
the messages and drops a client that stops reading.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import anyio

from generation.domain.outcome import Documented, Outcome
from generation.reporting import events
from generation.results.report import Totals

# Proxies close a connection that is idle for a minute, some after 30 seconds.
KEEP_ALIVE_S = 15.0
KEEP_ALIVE = b": keep-alive\n\n"


def message(event_type: str, data: bytes) -> bytes:
    r"""Return one server-sent event; `data` is JSON without line breaks.

    >>> message("result", b'{"job_id": "j"}')
    b'event: result\ndata: {"job_id": "j"}\n\n'
    """
    return b"event: %s\ndata: %s\n\n" % (event_type.encode("ascii"), data)


class EventStream:
    """Prints one job's events to standard output and queues them for its client."""

    def __init__(self) -> None:
        self._unread: asyncio.Queue[events.Event | None] = asyncio.Queue()

    def emit(self, event: events.Event) -> None:
        """Print an event, and queue it unless it is a symbol's: `watch` queues those, with their summaries."""
        events.print_event(event)
        if event.type in {events.STARTED, events.COMPLETED}:
            self._unread.put_nowait(event)

    def watch(self, job_id: str, outcome: Outcome, _totals: Totals) -> None:
        """Queue a symbol's event, with its summary."""
        event = events.of_outcome(job_id, outcome)
        if isinstance(outcome, Documented):
            event = replace(event, payload={**event.payload, "summary": outcome.summary})
        self._unread.put_nowait(event)

    def close(self) -> None:
        """End the stream after the events that are queued."""
        self._unread.put_nowait(None)

    async def messages(self) -> AsyncIterator[bytes]:
        """Yield messages until the stream is closed; yield a comment after each KEEP_ALIVE_S without an event."""
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
