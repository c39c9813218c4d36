"""Compute when the next request may be sent, from observed rate limits and latencies. Pure; the time is a parameter.

`Pace` combines two token buckets (requests and tokens a minute, learned from the `x-ratelimit-*` headers), a limit on
requests in flight (`concurrency`), a pause and a spacing after a rejection, a circuit breaker (`breaker`) and a timeout
from exponentially weighted moving averages (EWMA) of latency. Leaves out: queues and timers (`limiter`).

A bucket follows a balance on the server that it cannot see. It keeps a local balance (reduced when a request is
reserved, refilled over time) and an offset: the EWMA of the server's stated remainder less the local balance at the
reservation of that request. Adding each reply's difference to the local balance directly would apply one correction
once for every request in flight.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field

from generation.model.breaker import CircuitBreaker
from generation.model.concurrency import ConcurrencyLimit

# How long the first request to an account is sent alone. A rejected key or a retired model is answered at once and then
# costs a single request; a good answer takes longer than this, and other requests do not wait for it.
CANARY_WAIT_S = 0.5

# An account that has answered within this time needs no such first request: a job that follows another loses no time.
ACCOUNT_OK_TTL_S = 60.0

# Weight of a reply in the EWMA of the offset.
OFFSET_WEIGHT = 0.15

# Share of the limit to use if it is enforced second by second, and the ratio of the balance to a request above which a
# rejection shows such enforcement.
EVEN_SHARE = 0.985
HEADROOM_SHARE = 3.0

# How late a request may be sent without delaying the next one.
MAX_LATE_S = 0.05

# Seconds of refill that stay in a bucket: the server's balance lags behind ours by the network latency.
MARGIN_S = 0.05

# If no limit is known, the spacing is learned from the `Retry-After` of rejections that the number in flight does not
# explain, and decays with each success. One rejection alone pauses the requests and spaces nothing; while the last one
# is no longer ago than its pause and RATE_LIMITED_S, others are not taken for a limit on requests in flight.
MAX_LEARNED_SPACING_S = 0.25
SPACING_DECAY = 0.98
RATE_LIMITED_S = 3.0

# No time-out is longer, whatever the setting, the server's latency and the number of attempts.
MAX_TIMEOUT_S = 900.0

# The timeout is this many standard deviations of the latency's logarithm above its mean: 1 in 740 for a lognormal.
TIMEOUT_DEVIATIONS = 3.0
MIN_TIMEOUT_S = 2.0
LATENCIES_NEEDED = 20
LATENCY_WEIGHT = 0.02

# Above this share of timeouts, the learned timeout itself is too short: it is twice the setting then, and doubles again
# with each further such share.
MAX_TIMED_OUT_SHARE = 0.2
TIMED_OUT_WEIGHT = 0.05

# Latency is rising when its recent mean is this many times the lowest mean; the concurrency limit then shrinks by 10 %.
# The lowest mean drifts towards the recent one, so that a permanently slower model is not taken for an overload.
RISING_LATENCY = 2.5
MIN_LATENCY_DRIFT_RATE = 0.01

# Tolerance of floating-point rounding: shorter waits count as 0.
ROUNDING_S = 1e-6

# Pauses after a rejection without `Retry-After`, and the maximum for one with it.
REFUSAL_HOLD_S = 1.0
OVERLOAD_HOLD_S = 0.1
MAX_HOLD_S = 120.0

ABSURD_AMOUNT = 1e12


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One limit as a reply states it: requests or tokens a minute, and how many of them remain."""

    limit: float
    remaining: float


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits in a reply's headers; None for a header that is missing or malformed."""

    requests: RateLimit | None = None
    tokens: RateLimit | None = None


NO_LIMITS = Limits()


def parse_limits(headers: Mapping[str, str]) -> tuple[Limits, list[str]]:
    """Return the limits that a reply states, and the names of malformed headers."""
    malformed: list[str] = []
    found = {kind: _parse_limit(headers, kind, malformed) for kind in ("requests", "tokens")}
    return Limits(**found), malformed


def _parse_limit(headers: Mapping[str, str], kind: str, malformed: list[str]) -> RateLimit | None:
    values: dict[str, float] = {}
    for part in ("limit", "remaining"):
        name = f"x-ratelimit-{part}-{kind}"
        text = headers.get(name)
        if text is None:
            continue
        try:
            values[part] = _amount(text.strip())
        except ValueError:
            malformed.append(name)
    if values.get("limit", 0.0) < 1 or "remaining" not in values or values["remaining"] > values["limit"]:
        return None
    return RateLimit(values["limit"], values["remaining"])


def _amount(text: str) -> float:
    value = float(text)
    if not 0 <= value < ABSURD_AMOUNT:
        raise ValueError("out of range")
    return value


@dataclass(slots=True)
class Bucket:
    """A token bucket of requests or tokens; `limit` is in units a minute, None while it is unknown.

    `local_balance` is this process's own count; `local_balance + offset` is the estimate of the server's balance.
    """

    limit: float | None = None
    local_balance: float = 0.0
    offset: float = 0.0
    at_s: float = 0.0
    refused_at_s: float = -math.inf

    def balance(self, now_s: float) -> float:
        """Return the estimated units left on the server; infinity while the limit is unknown."""
        if self.limit is None:
            return math.inf
        # A clock that went back refills nothing; counting restarts at its new time.
        self.refused_at_s = min(self.refused_at_s, now_s)
        self.local_balance += max(0.0, now_s - self.at_s) * self.limit / 60
        self.at_s = now_s
        self.local_balance = min(self.local_balance, self.limit - self.offset)
        return self.local_balance + self.offset

    def wait_s(self, amount: float, now_s: float) -> float:
        """Return the seconds until `amount` (requests or tokens) may be taken, 0 to 60.

        An amount above the limit may be taken from a full bucket.
        """
        if self.limit is None:
            return 0.0
        wanted = min(amount + MARGIN_S * self.limit / 60, self.limit)
        wait_s = (wanted - self.balance(now_s)) * 60 / self.limit
        # Whatever the estimate, a bucket that refills in a minute is full after a minute.
        return min(wait_s, 60.0) if wait_s > ROUNDING_S else 0.0

    def take(self, amount: float, now_s: float) -> float:
        """Take `amount` (requests or tokens); return the local balance, for `update_from_headers` to compare."""
        self.balance(now_s)
        self.local_balance -= amount
        return self.local_balance

    def update_from_headers(
        self, stated: RateLimit, balance_at_reservation: float, reserved_s: float, now_s: float
    ) -> None:
        """Update the limit and the offset from the headers of a reply.

        `balance_at_reservation` and `reserved_s` are the local balance and the time when the request was reserved. The
        offset ignores a request reserved before the last rejection: that rejection is more recent, and the local
        balance then still included reservations of rejected requests, which have been returned since.
        """
        if self.limit is None:
            self.at_s = now_s
            self.offset = stated.remaining - balance_at_reservation
        self.limit = stated.limit
        if reserved_s > self.refused_at_s:
            self.offset += OFFSET_WEIGHT * (stated.remaining - balance_at_reservation - self.offset)

    def refused(self, stated: RateLimit, now_s: float) -> None:
        """Update from the headers of a rejection, which state the balance at this moment."""
        self.limit = stated.limit
        self.refused_at_s = now_s
        balance = self.balance(now_s)
        if stated.remaining < balance:
            self.offset += stated.remaining - balance


@dataclass(frozen=True, slots=True)
class Reservation:
    """The state of the pace when a request was sent, to compare with when its result is known.

    `order` numbers the requests, `level` is the number of them in flight, itself included, and `epoch` that of their
    limit.
    """

    at_s: float
    requests_balance: float
    tokens_balance: float
    tokens: float
    order: int
    level: int
    epoch: int
    had_headroom: bool
    is_probe: bool


@dataclass(slots=True)
class Pace:
    """The pace of requests to one account and model. All times are seconds of one monotonic clock."""

    max_concurrency: int
    request_timeout_s: float
    requests: Bucket = field(default_factory=Bucket)
    tokens: Bucket = field(default_factory=Bucket)
    sent: int = 0
    in_flight_orders: list[int] = field(default_factory=list)
    proven_s: float = -math.inf
    lead_since_s: float | None = None
    hold_since_s: float = 0.0
    hold_for_s: float = 0.0
    even: bool = False
    spacing_s: float = 0.0
    rate_limited_at_s: float = -math.inf
    rate_limited_for_s: float = 0.0
    last_turn_s: float = -math.inf
    latencies: int = 0
    log_latency_mean: float = 0.0
    log_latency_variance: float = 0.0
    least_log_latency: float = 1e9
    timed_out_share: float = 0.0
    breaker: CircuitBreaker = field(default_factory=CircuitBreaker)
    concurrency: ConcurrencyLimit = field(init=False)

    def __post_init__(self) -> None:
        self.concurrency = ConcurrencyLimit(self.max_concurrency, float(self.max_concurrency))

    @property
    def in_flight(self) -> int:
        """Return the number of requests in flight."""
        return len(self.in_flight_orders)

    def wait_s(self, tokens: float, now_s: float) -> float | None:
        """Return the seconds until a request of `tokens` tokens may be sent.

        0 means now; None means that the concurrency limit is reached, or that the server is away and a probe is in
        flight, so that a request in flight must end first.
        """
        probe_wait_s = self.breaker.wait_s(now_s)
        if probe_wait_s is None or self.concurrency.is_full(self.in_flight):
            return None
        waits = [
            probe_wait_s,
            self._hold_left_s(now_s),
            self.requests.wait_s(1.0, now_s),
            self.tokens.wait_s(tokens, now_s),
            _left_s(self.last_turn_s, self._spacing_for_s(tokens), now_s),
        ]
        if self.in_flight and self.lead_since_s is not None and not self._is_proven(now_s):
            waits.append(_left_s(self.lead_since_s, CANARY_WAIT_S, now_s))
        return max(waits)

    def _is_proven(self, now_s: float) -> bool:
        return abs(now_s - self.proven_s) < ACCOUNT_OK_TTL_S

    def _hold_left_s(self, now_s: float) -> float:
        return _left_s(self.hold_since_s, self.hold_for_s, now_s)

    def _spacing_for_s(self, tokens: float) -> float:
        spacing_s = self.spacing_s
        if self.even:
            for bucket, amount in ((self.requests, 1.0), (self.tokens, tokens)):
                if bucket.limit:
                    spacing_s = max(spacing_s, amount * 60 / bucket.limit / EVEN_SHARE)
        return spacing_s

    def reserve(self, tokens: float, now_s: float) -> Reservation:
        """Record that a request is sent and take its amounts from the buckets."""
        had_headroom = (
            self.tokens.balance(now_s) > HEADROOM_SHARE * tokens and self.requests.balance(now_s) > HEADROOM_SHARE
        )
        self.sent += 1
        self.in_flight_orders.append(self.sent)
        # Count from the time at which the request was due, not at which the timer fired: delays would add up.
        turn_s = self.last_turn_s + self._spacing_for_s(tokens)
        self.last_turn_s = turn_s if now_s - MAX_LATE_S <= turn_s <= now_s else now_s
        if not self._is_proven(now_s) and (self.in_flight == 1 or self.lead_since_s is None):
            self.lead_since_s = now_s
        return Reservation(
            now_s,
            self.requests.take(1.0, now_s),
            self.tokens.take(tokens, now_s),
            tokens,
            self.sent,
            self.in_flight,
            self.concurrency.epoch,
            had_headroom,
            self.breaker.reserve(),
        )

    def answered(self, reservation: Reservation, limits: Limits, now_s: float) -> None:
        """Record an answer of the model: update limits and latency, and adapt the concurrency limit (AIMD)."""
        older = self._end(reservation)
        self.breaker.replied(reservation.is_probe)
        self.proven_s = now_s
        self._learn_limits(reservation, limits, now_s)
        self._learn_latency(max(0.0, now_s - reservation.at_s))
        self.timed_out_share *= 1 - TIMED_OUT_WEIGHT
        self.spacing_s *= SPACING_DECAY
        self.concurrency.learn_accepted(reservation.level, reservation.epoch, older, now_s)
        if self._latency_is_rising():
            self.concurrency.decrease(reservation.epoch, self.in_flight, 0.9)
        else:
            self.concurrency.increase(self.in_flight, now_s)

    def refused(self, reservation: Reservation, limits: Limits, retry_after_s: float | None, now_s: float) -> None:
        """Record a rejection by a limit, and return the reservation.

        A limit on requests in flight lowers that number; a rate limit pauses all requests for `retry_after_s`.
        """
        self._return_reservation(reservation)
        self.breaker.replied(reservation.is_probe)
        was_rate_limited = _left_s(self.rate_limited_at_s, self.rate_limited_for_s, now_s) > 0
        if limits == NO_LIMITS and not was_rate_limited and self.concurrency.explains_rejection(self.in_flight, now_s):
            self.concurrency.learn_rejected(reservation.level, reservation.epoch, self.in_flight, now_s)
            return
        hold_s = min(MAX_HOLD_S, retry_after_s if retry_after_s is not None else REFUSAL_HOLD_S)
        self._hold(hold_s, now_s)
        for bucket, stated in ((self.requests, limits.requests), (self.tokens, limits.tokens)):
            if stated is not None:
                bucket.refused(stated, now_s)
        if limits != NO_LIMITS:
            # The limits are known, so concurrency is not the cause; with headroom left, limits are enforced per second.
            self.even = self.even or (reservation.had_headroom and self._states_headroom(limits, reservation.tokens))
            return
        self.concurrency.forget_rejections()
        if retry_after_s is not None and was_rate_limited and reservation.at_s > self.rate_limited_at_s:
            self.spacing_s = min(MAX_LEARNED_SPACING_S, max(self.spacing_s, retry_after_s))
        self.rate_limited_at_s, self.rate_limited_for_s = now_s, hold_s + RATE_LIMITED_S

    def overloaded(self, reservation: Reservation, retry_after_s: float | None, now_s: float) -> None:
        """Record an overloaded server (`slow_down`, 503): pause, then halve the concurrency limit."""
        self._return_reservation(reservation)
        self.breaker.replied(reservation.is_probe)
        self._hold(retry_after_s if retry_after_s is not None else OVERLOAD_HOLD_S, now_s)
        self.concurrency.decrease(reservation.epoch, self.in_flight, 0.5)

    def not_ready(self, reservation: Reservation, retry_after_s: float | None, now_s: float) -> None:
        """Record a 503. The server is away if it answers no other request, else it is overloaded."""
        has_answered = self.proven_s >= reservation.at_s
        if reservation.is_probe or (self.in_flight == 1 and not has_answered):
            self._return_reservation(reservation)
            self.breaker.failed(reservation.is_probe, retry_after_s, now_s)
        else:
            self.overloaded(reservation, retry_after_s, now_s)

    def unavailable(self, reservation: Reservation, now_s: float) -> None:
        """Record a request that never reached the server, or whose connection broke when the server went away."""
        self._return_reservation(reservation)
        self.breaker.failed(reservation.is_probe, None, now_s)

    def _end(self, reservation: Reservation) -> int:
        """Record that a request is no longer in flight, and return how many that were sent before it still are."""
        older = bisect_left(self.in_flight_orders, reservation.order)
        del self.in_flight_orders[older]
        return older

    def _return_reservation(self, reservation: Reservation) -> None:
        self._end(reservation)
        self.requests.local_balance += 1.0
        self.tokens.local_balance += reservation.tokens

    def _hold(self, hold_s: float, now_s: float) -> None:
        hold_s = min(hold_s, MAX_HOLD_S)
        if hold_s > self._hold_left_s(now_s):
            self.hold_since_s, self.hold_for_s = now_s, hold_s

    def failed(self, reservation: Reservation) -> None:
        """Record a reply that is no answer, such as an HTTP error, or a broken connection to a server that is there."""
        self._end(reservation)
        self.breaker.replied(reservation.is_probe)

    def lost(self, reservation: Reservation) -> None:
        """Record a request of which nothing is known, such as a cancelled one."""
        self._end(reservation)
        self.breaker.lost(reservation.is_probe)

    def timed_out(self, reservation: Reservation, now_s: float) -> None:
        """Record a timeout. Its latency is unknown; later attempts have a longer timeout, and their answers count."""
        self._end(reservation)
        if reservation.is_probe:
            self.breaker.failed(reservation.is_probe, None, now_s)
        self.timed_out_share += TIMED_OUT_WEIGHT * (1 - self.timed_out_share)

    def account_fault(self, reservation: Reservation) -> None:
        """Record a rejected account or model: the next request is sent alone again."""
        self.failed(reservation)
        self.proven_s, self.lead_since_s = -math.inf, None

    def timeout_s(self) -> float:
        """Return the timeout of a first attempt in seconds.

        It is the setting until enough latencies are known, then follows them, also above the setting. Where many
        requests time out, as from a server that queues them, it is a multiple of the setting.
        """
        doublings = int(self.timed_out_share / MAX_TIMED_OUT_SHARE)
        if doublings or self.latencies < LATENCIES_NEEDED:
            return min(MAX_TIMEOUT_S, self.request_timeout_s * 2.0**doublings)
        deviation = math.sqrt(self.log_latency_variance)
        seen_s = math.exp(self.log_latency_mean + TIMEOUT_DEVIATIONS * deviation)
        return min(MAX_TIMEOUT_S, max(seen_s, min(MIN_TIMEOUT_S, self.request_timeout_s)))

    def _learn_limits(self, reservation: Reservation, limits: Limits, now_s: float) -> None:
        if limits.requests:
            self.requests.update_from_headers(limits.requests, reservation.requests_balance, reservation.at_s, now_s)
        if limits.tokens:
            self.tokens.update_from_headers(limits.tokens, reservation.tokens_balance, reservation.at_s, now_s)

    @staticmethod
    def _states_headroom(limits: Limits, tokens: float) -> bool:
        enough_requests = limits.requests is None or limits.requests.remaining > HEADROOM_SHARE
        return enough_requests and (limits.tokens is None or limits.tokens.remaining > HEADROOM_SHARE * tokens)

    def _learn_latency(self, latency_s: float) -> None:
        """Update the EWMA of the mean and the variance of the logarithm of latency (Finch, 2009)."""
        value = math.log(max(latency_s, 1e-3))
        self.latencies += 1
        weight = max(LATENCY_WEIGHT, 1 / self.latencies)
        difference = value - self.log_latency_mean
        self.log_latency_mean += weight * difference
        self.log_latency_variance = (1 - weight) * (self.log_latency_variance + weight * difference * difference)
        if self.latencies >= LATENCIES_NEEDED:
            drifted = self.least_log_latency + MIN_LATENCY_DRIFT_RATE * max(
                0.0, self.log_latency_mean - self.least_log_latency
            )
            self.least_log_latency = min(drifted, self.log_latency_mean)

    def _latency_is_rising(self) -> bool:
        return self.log_latency_mean - self.least_log_latency > math.log(RISING_LATENCY)


def _left_s(since_s: float, for_s: float, now_s: float) -> float:
    """Return the seconds left of a period; a clock that went back ends it, since its length is then unknown."""
    return 0.0 if now_s < since_s else max(0.0, since_s + for_s - now_s)
