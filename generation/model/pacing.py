"""When the next request may leave: the arithmetic of rate limits. Pure but for its clock, which is a parameter."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

# The first request to an account goes ahead alone for so long: a refused key or a retired model is answered at once
# and then has cost one request, while a good answer takes longer than this and is not waited for.
CANARY_WAIT_S = 0.5

# An account that has answered within this time is taken to answer now: a job that follows another loses no time.
ACCOUNT_OK_TTL_S = 60.0

# Weight of a reply in the moving average of the offset.
OFFSET_WEIGHT = 0.15

# Share of the limit that is aimed at where it is enforced second by second, and the quotient of the balance and a
# request above which a refusal shows such enforcement.
EVEN_SHARE = 0.985
HEADROOM_SHARE = 3.0

# How late a turn may be taken without putting off the next.
MAX_LATE_S = 0.05

# Seconds of refill that are left in a bucket: the server's book is a little behind ours, by the way to it.
MARGIN_S = 0.05

# Where no limit is known, refusals alone show the spacing: it follows their retry-after, and shrinks with each success.
MAX_LEARNED_SPACING_S = 0.25
SPACING_DECAY = 0.998

# The time-out is this many standard deviations of the latency's logarithm above its mean: 1 in 740 for a lognormal.
TIMEOUT_DEVIATIONS = 3.0
MIN_TIMEOUT_S = 2.0
LATENCIES_NEEDED = 20
LATENCY_WEIGHT = 0.02

# Above this share of requests given up, the time-out itself is at fault and the setting holds again.
MAX_TIMED_OUT_SHARE = 0.2
TIMED_OUT_WEIGHT = 0.05

# Latency counts as rising when its recent mean is so many times the least mean seen; the width then shrinks a little.
# The least mean drifts to the recent one, so that a model that has become slow is not taken for an overload for ever.
RISING_LATENCY = 2.5
MIN_LATENCY_DRIFT_RATE = 0.01
NEARLY_USED = 0.8

# What is missing by less than this is there: a full bucket may be so by all but the last bit of a float.
ROUNDING_S = 1e-6

# How long everyone waits after a refusal that does not say how long, and the most that one may ask for.
REFUSAL_HOLD_S = 1.0
OVERLOAD_HOLD_S = 0.1
MAX_HOLD_S = 120.0

ABSURD_AMOUNT = 1e12


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One limit as a reply states it: units a minute, and units left."""

    limit: float
    remaining: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What a reply's headers say; None where a header is missing or makes no sense."""

    requests: RateLimit | None = None
    tokens: RateLimit | None = None


NO_LIMITS = Limits()


def parse_limits(headers: Mapping[str, str]) -> tuple[Limits, list[str]]:
    """The limits that a reply states, and the names of headers that make no sense."""
    senseless: list[str] = []
    found = {kind: _parse_limit(headers, kind, senseless) for kind in ("requests", "tokens")}
    return Limits(**found), senseless


def _parse_limit(headers: Mapping[str, str], kind: str, senseless: list[str]) -> RateLimit | None:
    values: dict[str, float] = {}
    for part in ("limit", "remaining"):
        name = f"x-ratelimit-{part}-{kind}"
        text = headers.get(name)
        if text is None:
            continue
        try:
            values[part] = _amount(text.strip())
        except ValueError:
            senseless.append(name)
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
    """A token bucket: `local_balance` is our own count, `local_balance + offset` the server's balance as estimated."""

    limit: float | None = None
    local_balance: float = 0.0
    offset: float = 0.0
    at_s: float = 0.0
    refused_at_s: float = -math.inf

    def balance(self, now_s: float) -> float:
        """Units believed to be left; without a known limit there is always enough."""
        if self.limit is None:
            return math.inf
        # A clock that went back refills nothing and starts anew from where it stands.
        self.refused_at_s = min(self.refused_at_s, now_s)
        self.local_balance += max(0.0, now_s - self.at_s) * self.limit / 60
        self.at_s = now_s
        self.local_balance = min(self.local_balance, self.limit - self.offset)
        return self.local_balance + self.offset

    def wait_s(self, amount: float, now_s: float) -> float:
        """Seconds until so much may be taken; more than the whole limit may be taken from a full bucket."""
        if self.limit is None:
            return 0.0
        wanted = min(amount + MARGIN_S * self.limit / 60, self.limit)
        wait_s = (wanted - self.balance(now_s)) * 60 / self.limit
        # Whatever was believed, a minute's bucket is full after a minute of quiet.
        return min(wait_s, 60.0) if wait_s > ROUNDING_S else 0.0

    def take(self, amount: float, now_s: float) -> float:
        """Take `amount` (requests or tokens); return the local balance, for `update_from_headers` to compare."""
        self.balance(now_s)
        self.local_balance -= amount
        return self.local_balance

    def update_from_headers(
        self, stated: RateLimit, balance_at_reservation: float, reserved_s: float, now_s: float
    ) -> None:
        """Learn from a reply. One that left before the last refusal is older news than that, and its book held
        reservations of requests that were refused and have been given back.
        """
        if self.limit is None:
            self.at_s = now_s
            self.offset = stated.remaining - balance_at_reservation
        self.limit = stated.limit
        if reserved_s > self.refused_at_s:
            self.offset += OFFSET_WEIGHT * (stated.remaining - balance_at_reservation - self.offset)

    def refused(self, stated: RateLimit, now_s: float) -> None:
        """Learn from a refusal, whose figures are those of this moment."""
        self.limit = stated.limit
        self.refused_at_s = now_s
        balance = self.balance(now_s)
        if stated.remaining < balance:
            self.offset += stated.remaining - balance


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is remembered of a request that has left."""

    at_s: float
    requests_book: float
    tokens_book: float
    tokens: float
    limit_epoch: int
    had_headroom: bool


@dataclass(slots=True)
class Pace:
    """When the next request may leave. All times are seconds of one monotonic clock."""

    max_concurrency: int
    request_timeout_s: float
    requests: Bucket = field(default_factory=Bucket)
    tokens: Bucket = field(default_factory=Bucket)
    concurrency_limit: float = 0.0
    in_flight: int = 0
    limit_epoch: int = 0
    proven_s: float = -math.inf
    lead_since_s: float | None = None
    hold_since_s: float = 0.0
    hold_for_s: float = 0.0
    even: bool = False
    spacing_s: float = 0.0
    last_turn_s: float = -math.inf
    latencies: int = 0
    log_latency_mean: float = 0.0
    log_latency_variance: float = 0.0
    least_log_latency: float = 1e9
    timed_out_share: float = 0.0

    def __post_init__(self) -> None:
        self.concurrency_limit = float(self.max_concurrency)

    def raise_max_concurrency(self, max_concurrency: int) -> None:
        """Allow more requests in flight, where someone asks for more than anyone before."""
        if max_concurrency > self.max_concurrency:
            self.concurrency_limit += max_concurrency - self.max_concurrency
            self.max_concurrency = max_concurrency

    def wait_s(self, tokens: float, now_s: float) -> float | None:
        """Seconds until a request of so many tokens may leave: 0 for now, None for not before an answer comes."""
        if self.in_flight >= max(1, int(self.concurrency_limit)):
            return None
        waits = [
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
        """A request leaves."""
        had_headroom = (
            self.tokens.balance(now_s) > HEADROOM_SHARE * tokens and self.requests.balance(now_s) > HEADROOM_SHARE
        )
        self.in_flight += 1
        # The turn that it was, and not the moment at which a timer rang: lateness would add up.
        turn_s = self.last_turn_s + self._spacing_for_s(tokens)
        self.last_turn_s = turn_s if now_s - MAX_LATE_S <= turn_s <= now_s else now_s
        if not self._is_proven(now_s) and (self.in_flight == 1 or self.lead_since_s is None):
            self.lead_since_s = now_s
        return Reservation(
            now_s,
            self.requests.take(1.0, now_s),
            self.tokens.take(tokens, now_s),
            tokens,
            self.limit_epoch,
            had_headroom,
        )

    def answered(self, reservation: Reservation, limits: Limits, now_s: float) -> None:
        """A request came back with an answer of the model."""
        self.in_flight -= 1
        self.proven_s = now_s
        self._learn_limits(reservation, limits, now_s)
        self._learn_latency(max(0.0, now_s - reservation.at_s))
        self.timed_out_share *= 1 - TIMED_OUT_WEIGHT
        self.spacing_s *= SPACING_DECAY
        nearly_used = self.in_flight + 1 >= NEARLY_USED * int(self.concurrency_limit)
        if self._latency_is_rising():
            self._shrink(reservation, 0.9)
        elif nearly_used:
            self.concurrency_limit = min(self.max_concurrency, self.concurrency_limit + 1 / self.concurrency_limit)

    def refused(self, reservation: Reservation, limits: Limits, retry_after_s: float | None, now_s: float) -> None:
        """A request ran into the rate limit. It took nothing, and everyone waits as long as it was told to."""
        self._return_reservation(reservation)
        self._hold(retry_after_s if retry_after_s is not None else REFUSAL_HOLD_S, now_s)
        for bucket, stated in ((self.requests, limits.requests), (self.tokens, limits.tokens)):
            if stated is not None:
                bucket.refused(stated, now_s)
        if limits != NO_LIMITS:
            # The limits are known, so the width is not at fault; what is left says whether the minute or the second is.
            self.even = self.even or (reservation.had_headroom and self._states_headroom(limits, reservation.tokens))
        elif retry_after_s is None:
            self._shrink(reservation, 0.5)
        else:
            self.spacing_s = min(MAX_LEARNED_SPACING_S, max(self.spacing_s, retry_after_s))

    def overloaded(self, reservation: Reservation, retry_after_s: float | None, now_s: float) -> None:
        """The server itself is too busy (`slow_down`, 503): a pause, then fewer at once."""
        self._return_reservation(reservation)
        self._hold(retry_after_s if retry_after_s is not None else OVERLOAD_HOLD_S, now_s)
        self._shrink(reservation, 0.5)

    def _return_reservation(self, reservation: Reservation) -> None:
        self.in_flight -= 1
        self.requests.local_balance += 1.0
        self.tokens.local_balance += reservation.tokens

    def _hold(self, hold_s: float, now_s: float) -> None:
        hold_s = min(hold_s, MAX_HOLD_S)
        if hold_s > self._hold_left_s(now_s):
            self.hold_since_s, self.hold_for_s = now_s, hold_s

    def lost(self) -> None:
        """A request ended without an answer: its connection broke, it timed out or was cancelled."""
        self.in_flight -= 1

    def timed_out(self) -> None:
        """A request was given up. Its latency is unknown; the answers of its next, more patient attempts teach it."""
        self.lost()
        self.timed_out_share += TIMED_OUT_WEIGHT * (1 - self.timed_out_share)

    def account_fault(self) -> None:
        """The account or model was refused: the next request goes ahead alone again."""
        self.lost()
        self.proven_s, self.lead_since_s = -math.inf, None

    def timeout_s(self) -> float:
        """The time-out for a first attempt, from the latencies seen; never above the setting."""
        if self.latencies < LATENCIES_NEEDED or self.timed_out_share > MAX_TIMED_OUT_SHARE:
            return self.request_timeout_s
        deviation = math.sqrt(self.log_latency_variance)
        seen_s = math.exp(self.log_latency_mean + TIMEOUT_DEVIATIONS * deviation)
        return min(self.request_timeout_s, max(MIN_TIMEOUT_S, seen_s))

    def _learn_limits(self, reservation: Reservation, limits: Limits, now_s: float) -> None:
        if limits.requests:
            self.requests.update_from_headers(limits.requests, reservation.requests_book, reservation.at_s, now_s)
        if limits.tokens:
            self.tokens.update_from_headers(limits.tokens, reservation.tokens_book, reservation.at_s, now_s)

    def _shrink(self, reservation: Reservation, factor: float) -> None:
        # A burst of complaints about one width is one complaint: only requests that left at the present width count.
        if reservation.limit_epoch == self.limit_epoch:
            self.concurrency_limit = max(1.0, min(self.concurrency_limit, self.in_flight + 1) * factor)
            self.limit_epoch += 1

    @staticmethod
    def _states_headroom(limits: Limits, tokens: float) -> bool:
        enough_requests = limits.requests is None or limits.requests.remaining > HEADROOM_SHARE
        return enough_requests and (limits.tokens is None or limits.tokens.remaining > HEADROOM_SHARE * tokens)

    def _learn_latency(self, latency_s: float) -> None:
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
    """Seconds left of a period; a clock that went back ends it, since nobody can say how long it has lasted."""
    return 0.0 if now_s < since_s else max(0.0, since_s + for_s - now_s)
