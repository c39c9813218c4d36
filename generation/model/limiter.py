"""Pace: how many requests leave, and when, under limits that nobody told us.

`Pace` is arithmetic on numbers and the time it is given: two buckets (requests and tokens a minute) learned from the
`x-ratelimit-*` headers, a width (requests in flight) learned from complaints and latency, a hold after a refusal, and
a time-out learned from the latencies seen. `Limiter` is the thin shell: it lets requests through one gate, first in
first out within a job and jobs in turn, with one timer however many wait. One limiter serves an account and model for
the life of the process. Leaves out: what a refusal means (`errors`) and the calls themselves (`documenter`).

How a bucket follows a server that it cannot see: it keeps a book of its own (reserve at admission, refill by the
clock) and an offset, the moving average of (the server's remaining - the book as it was when that request left).
Adding each reply's difference to the book directly would repeat one correction for every request in flight.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import anyio

from generation.model.pacing import Limits, Pace, Reservation, parse_limits

log = logging.getLogger(__name__)

# How often requests in flight are compared with the time-out.
WATCH_INTERVAL_S = 0.1


class Permit:
    """The right to one request. Exactly one of its verdicts is given; `release` gives "lost" where none was."""

    def __init__(self, limiter: Limiter, queue: JobQueue, reservation: Reservation) -> None:
        self._limiter = limiter
        self.queue = queue
        self._departure: Reservation | None = reservation
        self.reserved_s = reservation.at_s
        self.tokens = reservation.tokens

    def answered(self, headers: Mapping[str, str]) -> None:
        """The model answered."""
        limits = self._limiter.read_limits(headers)
        self._complete(lambda pace, reservation, now_s: pace.answered(reservation, limits, now_s))

    def refused(self, headers: Mapping[str, str], retry_after_s: float | None) -> None:
        """The rate limit refused the request."""
        limits = self._limiter.read_limits(headers)
        self._complete(lambda pace, reservation, now_s: pace.refused(reservation, limits, retry_after_s, now_s))

    def overloaded(self, retry_after_s: float | None) -> None:
        """The server was too busy."""
        self._complete(lambda pace, reservation, now_s: pace.overloaded(reservation, retry_after_s, now_s))

    def timed_out(self) -> None:
        """No answer came in time."""
        self._complete(lambda pace, *_: pace.timed_out())

    def account_fault(self, fault: Exception) -> None:
        """The account or the model was refused: who waits in the same lane is sent away before anyone else may go."""
        self._limiter.stop(self.queue, fault)
        self._complete(lambda pace, *_: pace.account_fault())

    def release(self) -> None:
        """Give the place back; it does nothing after a verdict."""
        self._complete(lambda pace, *_: pace.lost())

    def _complete(self, verdict: Callable[[Pace, Reservation, float], None]) -> None:
        if self._departure is not None:
            reservation, self._departure = self._departure, None
            self._limiter.complete(self.queue, verdict, reservation)


@dataclass(slots=True, eq=False)
class JobQueue:
    """One job's queue at the gate, with a limit of its own on requests in flight."""

    max_in_flight: int
    in_flight: int = 0
    waiting: deque[tuple[float, asyncio.Future[Permit]]] = field(default_factory=deque)
    queued: bool = False
    fault: Exception | None = None
    stopped: asyncio.Event = field(default_factory=asyncio.Event)


class Limiter:
    """Lets requests through one gate at the pace that `Pace` decides. Belongs to one event loop."""

    def __init__(
        self, max_concurrency: int, request_timeout_s: float, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self.pace = Pace(max_concurrency, request_timeout_s)
        self._now_s = now_s
        self._lanes: deque[JobQueue] = deque()
        self._wake_up: asyncio.TimerHandle | None = None
        self._watched: dict[Permit, tuple[float, anyio.CancelScope]] = {}
        self._watch: asyncio.TimerHandle | None = None
        self._headers_named: set[str] = set()

    def queue(self, max_in_flight: int) -> JobQueue:
        """A queue for one job. The widest job decides how many requests are in flight in all."""
        self.pace.raise_max_concurrency(max_in_flight)
        return JobQueue(max_in_flight)

    async def admit(self, queue: JobQueue, tokens: float) -> Permit:
        """Wait until a request of so many tokens may leave. Raises the lane's fault where it has one."""
        if queue.fault is not None:
            raise queue.fault
        place: asyncio.Future[Permit] = asyncio.get_running_loop().create_future()
        queue.waiting.append((tokens, place))
        if not queue.queued:
            queue.queued = True
            self._lanes.append(queue)
        self._open()
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                place.result().release()
            # Who stood behind a large request need not wait for its turn any more.
            self._open()
            raise

    def stop(self, queue: JobQueue, fault: Exception) -> None:
        """Send away all who wait in a lane, now and later, with this exception."""
        queue.fault = fault
        queue.stopped.set()
        while queue.waiting:
            _, place = queue.waiting.popleft()
            if not place.done():
                place.set_exception(fault)

    def cancel_in_flight(self, queue: JobQueue) -> None:
        """Cancel the requests in flight of a stopped queue: `adaptive_timeout` ends as if their time were over."""
        for permit, (_, scope) in self._watched.items():
            if permit.queue is queue:
                scope.cancel()

    async def sleep_unless_stopped(self, queue: JobQueue, delay_s: float) -> None:
        """Wait before another try, but not after the lane was stopped."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(queue.stopped.wait(), delay_s)

    @contextlib.contextmanager
    def adaptive_timeout(self, permit: Permit, factor: float) -> Iterator[anyio.CancelScope]:
        """Cancel what is inside when it takes longer than `factor` times the time-out, as that stands at the time."""
        with anyio.CancelScope() as scope:
            self._watched[permit] = (factor, scope)
            if self._watch is None:
                self._watch = asyncio.get_running_loop().call_later(WATCH_INTERVAL_S, self._cancel_overdue)
            try:
                yield scope
            finally:
                self._watched.pop(permit, None)

    def _cancel_overdue(self) -> None:
        now_s, timeout_s, limit_s = (self._now_s(), self.pace.timeout_s(), self.pace.request_timeout_s)
        for permit, (factor, scope) in self._watched.items():
            if now_s - permit.reserved_s > min(limit_s, timeout_s * factor):
                scope.cancel()
        interval_s = min(WATCH_INTERVAL_S, limit_s / 4)
        self._watch = asyncio.get_running_loop().call_later(interval_s, self._cancel_overdue) if self._watched else None

    def complete(
        self, queue: JobQueue, verdict: Callable[[Pace, Reservation, float], None], reservation: Reservation
    ) -> None:
        """Take a slot's verdict and let others through."""
        queue.in_flight -= 1
        verdict(self.pace, reservation, self._now_s())
        self._open()

    def read_limits(self, headers: Mapping[str, str]) -> Limits:
        """The limits in a reply's headers; a header that makes no sense is ignored and named in the log once."""
        limits, senseless = parse_limits(headers)
        for name in senseless:
            if name not in self._headers_named:
                self._headers_named.add(name)
                log.warning("the server's header %s makes no sense and is ignored", name)
        return limits

    def _open(self) -> None:
        """Let through who may go, and set the one timer for who may go next."""
        if self._wake_up is not None:
            self._wake_up.cancel()
            self._wake_up = None
        while queue := self._next_queue():
            tokens, place = queue.waiting[0]
            now_s = self._now_s()
            wait_s = self.pace.wait_s(tokens, now_s)
            if wait_s is None:
                return
            if wait_s > 0:
                self._wake_up = asyncio.get_running_loop().call_later(wait_s, self._open)
                return
            queue.waiting.popleft()
            if not place.done():
                queue.in_flight += 1
                place.set_result(Permit(self, queue, self.pace.reserve(tokens, now_s)))
            self._lanes.rotate(-1)

    def _next_queue(self) -> JobQueue | None:
        """The first lane in turn whose first waiter may go by its own limit; lanes without waiters leave the round."""
        for _ in range(len(self._lanes)):
            queue = self._lanes[0]
            while queue.waiting and queue.waiting[0][1].done():
                queue.waiting.popleft()
            if not queue.waiting:
                self._lanes.popleft().queued = False
            elif queue.in_flight < queue.max_in_flight:
                return queue
            else:
                self._lanes.rotate(-1)
        return None
