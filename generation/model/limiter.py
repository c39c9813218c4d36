"""Admit requests to one account and model at the pace that `Pace` computes from observed limits.

`Limiter` is the I/O shell around `Pace` (`pacing`): requests are first in, first out within a job, jobs are served
round-robin, and one timer wakes the next request however many wait. While the server is away, requests wait here until
it is back or their job has waited long enough. One limiter serves an account and model for the life of the process.
Leaves out: the arithmetic (`pacing`, `breaker`), the meaning of API errors (`errors`) and the calls themselves
(`documenter`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field

import anyio

from generation.model.pacing import MAX_TIMEOUT_S, Limits, Pace, Reservation, parse_limits

log = logging.getLogger(__name__)

# How often requests in flight are compared with the timeout.
WATCH_INTERVAL_S = 0.1


class Permit:
    """The right to send one request.

    Exactly one of its result methods takes effect; `release` reports the request as lost if none was called before.
    """

    def __init__(self, limiter: Limiter, queue: JobQueue, reservation: Reservation) -> None:
        self._limiter = limiter
        self.queue = queue
        self._reservation: Reservation | None = reservation
        self.reserved_s = reservation.at_s
        self.is_probe = reservation.is_probe
        self.tokens = reservation.tokens

    def answered(self, headers: Mapping[str, str]) -> None:
        """Report an answer of the model, with the headers of the reply."""
        limits = self._limiter.read_limits(headers)
        self._complete(lambda pace, reservation, now_s: pace.answered(reservation, limits, now_s))

    def refused(self, headers: Mapping[str, str], retry_after_s: float | None) -> None:
        """Report a rejection by the rate limit; `retry_after_s` is the server's `Retry-After`, if any."""
        limits = self._limiter.read_limits(headers)
        self._complete(lambda pace, reservation, now_s: pace.refused(reservation, limits, retry_after_s, now_s))

    def overloaded(self, retry_after_s: float | None) -> None:
        """Report that the server is overloaded."""
        self._complete(lambda pace, reservation, now_s: pace.overloaded(reservation, retry_after_s, now_s))

    def not_ready(self, retry_after_s: float | None) -> None:
        """Report a 503."""
        self._complete(lambda pace, reservation, now_s: pace.not_ready(reservation, retry_after_s, now_s))

    def unavailable(self) -> None:
        """Report that the server is away."""
        self._complete(lambda pace, reservation, now_s: pace.unavailable(reservation, now_s))

    def timed_out(self) -> None:
        """Report that no answer came in time."""
        self._complete(lambda pace, reservation, now_s: pace.timed_out(reservation, now_s))

    def account_fault(self, fault: Exception) -> None:
        """Report a rejected account or model: stop the job's queue before another request is admitted."""
        self._limiter.stop(self.queue, fault)
        self._complete(lambda pace, reservation, _: pace.account_fault(reservation))

    def failed(self) -> None:
        """Report a fault of this exchange alone."""
        self._complete(lambda pace, reservation, _: pace.failed(reservation))

    def release(self) -> None:
        """Release the permit; does nothing after another result method."""
        self._complete(lambda pace, reservation, _: pace.lost(reservation))

    def _complete(self, apply_result: Callable[[Pace, Reservation, float], None]) -> None:
        if self._reservation is not None:
            reservation, self._reservation = self._reservation, None
            self._limiter.complete(self.queue, apply_result, reservation)


@dataclass(slots=True, eq=False)
class JobQueue:
    """One job's queue of waiting requests, with its own limit on requests in flight.

    It waits `outage_s` for a server that is away, and is then stopped with `outage_fault`.
    """

    max_in_flight: int
    opened_s: float
    outage_s: float
    outage_fault: Exception | None
    in_flight: int = 0
    waiting: deque[tuple[float, asyncio.Future[Permit]]] = field(default_factory=deque)
    queued: bool = False
    fault: Exception | None = None
    stopped: asyncio.Event = field(default_factory=asyncio.Event)


class Limiter:
    """Admits requests at the pace that `Pace` computes. Belongs to one event loop."""

    def __init__(
        self, max_concurrency: int, request_timeout_s: float, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self.pace = Pace(max_concurrency, request_timeout_s)
        self._now_s = now_s
        self._queues: deque[JobQueue] = deque()
        self._wake_up: asyncio.TimerHandle | None = None
        self._watched: dict[Permit, tuple[float, anyio.CancelScope]] = {}
        self._watch: asyncio.TimerHandle | None = None
        self._headers_named: set[str] = set()
        self._server_check: asyncio.Future[bool] | None = None

    def queue(self, max_in_flight: int, outage_s: float = math.inf, outage_fault: Exception | None = None) -> JobQueue:
        """Return a queue for one job. The largest `max_in_flight` of all jobs caps the requests in flight together.

        `admit` raises `outage_fault` once the job has waited `outage_s` seconds for a server that is away.
        """
        self.pace.concurrency.raise_cap(max_in_flight)
        return JobQueue(max_in_flight, self._now_s(), outage_s, outage_fault)

    async def admit(self, queue: JobQueue, tokens: float) -> Permit:
        """Wait until a request of `tokens` tokens may be sent, and return its permit.

        Raise the queue's fault if it has one. A cancellation while waiting gives back the place in the queue, and the
        permit with its reservation if it was granted in the same turn of the event loop.
        """
        if queue.fault is not None:
            raise queue.fault
        permit: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        queue.waiting.append((tokens, permit))
        if not queue.queued:
            queue.queued = True
            self._queues.append(queue)
        self._open()
        try:
            return await permit
        except asyncio.CancelledError:
            if permit.done() and not permit.cancelled() and permit.exception() is None:
                permit.result().release()
            # A large request may have blocked those behind it.
            self._open()
            raise

    def stop(self, queue: JobQueue, fault: Exception) -> None:
        """Raise `fault` from `admit` for everything that waits in a queue, now and later."""
        queue.fault = fault
        queue.stopped.set()
        while queue.waiting:
            _, permit = queue.waiting.popleft()
            if not permit.done():
                permit.set_exception(fault)

    def cancel_in_flight(self, queue: JobQueue) -> None:
        """Cancel a stopped queue's requests in flight, as if their `adaptive_timeout` had expired."""
        for permit, (_, scope) in self._watched.items():
            if permit.queue is queue:
                scope.cancel()

    async def sleep_unless_stopped(self, queue: JobQueue, delay_s: float) -> None:
        """Sleep for `delay_s` before another attempt, or until the queue is stopped."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(queue.stopped.wait(), delay_s)

    @contextlib.contextmanager
    def adaptive_timeout(self, permit: Permit, factor: float) -> Iterator[anyio.CancelScope]:
        """Cancel the block when its request takes longer than `factor` times the current adaptive timeout.

        The timeout is read again every WATCH_INTERVAL_S, as `Pace` learns, and never exceeds MAX_TIMEOUT_S.
        """
        with anyio.CancelScope() as scope:
            self._watched[permit] = (factor, scope)
            if self._watch is None:
                self._watch = asyncio.get_running_loop().call_later(WATCH_INTERVAL_S, self._cancel_overdue)
            try:
                yield scope
            finally:
                self._watched.pop(permit, None)

    def _cancel_overdue(self) -> None:
        now_s, timeout_s = self._now_s(), self.pace.timeout_s()
        for permit, (factor, scope) in self._watched.items():
            if now_s - permit.reserved_s > min(MAX_TIMEOUT_S, timeout_s * factor):
                scope.cancel()
        interval_s = min(WATCH_INTERVAL_S, self.pace.request_timeout_s / 4)
        self._watch = asyncio.get_running_loop().call_later(interval_s, self._cancel_overdue) if self._watched else None

    def elapsed_s(self, permit: Permit) -> float:
        """Return the seconds since the permit of a request was granted."""
        return self._now_s() - permit.reserved_s

    async def is_server_down(self, permit: Permit, check: Callable[[], Awaitable[bool]]) -> bool:
        """Return whether the server is away, after the connection of a request broke.

        Requests whose connections break together share one check; those that were in flight when an outage began need
        none.
        """
        if self.pace.breaker.is_open and not permit.is_probe:
            return True
        if self._server_check is None or self._server_check.done():
            self._server_check = asyncio.ensure_future(check())
        return await asyncio.shield(self._server_check)

    def complete(
        self, queue: JobQueue, apply_result: Callable[[Pace, Reservation, float], None], reservation: Reservation
    ) -> None:
        """Apply the result of a request to the pace and admit waiting requests."""
        queue.in_flight -= 1
        apply_result(self.pace, reservation, self._now_s())
        self._open()

    def read_limits(self, headers: Mapping[str, str]) -> Limits:
        """Return the limits in a reply's headers; ignore a malformed header and log its name once."""
        limits, malformed = parse_limits(headers)
        for name in malformed:
            if name not in self._headers_named:
                self._headers_named.add(name)
                log.warning("the server's header %s makes no sense and is ignored", name)
        return limits

    def _open(self) -> None:
        """Admit the requests that may be sent now, and set the timer for the next one."""
        if self._wake_up is not None:
            self._wake_up.cancel()
            self._wake_up = None
        patience_s = self._stop_impatient_queues()
        while queue := self._next_queue():
            tokens, permit = queue.waiting[0]
            now_s = self._now_s()
            wait_s = self.pace.wait_s(tokens, now_s)
            if wait_s is None or wait_s > 0:
                wake_in_s = min(patience_s, math.inf if wait_s is None else wait_s)
                if wake_in_s < math.inf:
                    self._wake_up = asyncio.get_running_loop().call_later(wake_in_s, self._open)
                return
            queue.waiting.popleft()
            if not permit.done():
                queue.in_flight += 1
                permit.set_result(Permit(self, queue, self.pace.reserve(tokens, now_s)))
            self._queues.rotate(-1)

    def _stop_impatient_queues(self) -> float:
        """Stop the queues that have waited long enough for a server that is away.

        Return the seconds until the next one has; infinity while the server replies.
        """
        since_s = self.pace.breaker.since_s
        if since_s is None:
            return math.inf
        patience_s = math.inf
        for queue in self._queues:
            left_s = max(since_s, queue.opened_s) + queue.outage_s - self._now_s()
            if queue.outage_fault is not None and left_s <= 0:
                self.stop(queue, queue.outage_fault)
            else:
                patience_s = min(patience_s, left_s)
        return patience_s

    def _next_queue(self) -> JobQueue | None:
        """Return the next queue, round-robin, whose first request its own limit admits, or None.

        Queues without waiting requests leave the rotation.
        """
        for _ in range(len(self._queues)):
            queue = self._queues[0]
            while queue.waiting and queue.waiting[0][1].done():
                queue.waiting.popleft()
            if not queue.waiting:
                self._queues.popleft().queued = False
            elif queue.in_flight < queue.max_in_flight:
                return queue
            else:
                self._queues.rotate(-1)
        return None
