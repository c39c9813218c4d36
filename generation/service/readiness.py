"""Readiness checks in the background: whether a job submitted now could use its model.

A check is free of charge: it requests the model's entry in the server's list of models. Reporting the result is left to
`app`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import date

from generation.config import Settings
from generation.domain.catalogue import OFFLINE, is_shut_down, shutdown_advice, utc_today
from generation.errors import ConfigError
from generation.job import warm_up
from generation.prompts.tokens import VocabularyMissing

log = logging.getLogger(__name__)

# Check rarely while ready; check often while not, so that a fixed fault is noticed soon.
RECHECK_INTERVAL_S = 30.0
RECHECK_WHEN_NOT_READY_S = 2.0

NOT_CHECKED_YET = "the service has just started and has not looked at its model yet"


class Readiness:
    """The result of the latest check: `reason` says why the service is not ready, and is None where it is."""

    def __init__(
        self,
        check: Callable[[], Awaitable[str | None]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.reason: str | None = NOT_CHECKED_YET
        self._check = check
        self._sleep = sleep
        self._wanted = asyncio.Event()

    def check_now(self) -> None:
        """Check at once: a job has met a fault."""
        self._wanted.set()

    async def keep_checking(self) -> None:
        """Repeat the check until cancelled."""
        while True:
            self._wanted.clear()
            reason = await self._run_check()
            if reason != self.reason:
                log.log(logging.WARNING if reason else logging.INFO, "%s", reason or "ready: the model can be asked")
            self.reason = reason
            await self._pause(RECHECK_WHEN_NOT_READY_S if reason else RECHECK_INTERVAL_S)

    async def _pause(self, seconds: float) -> None:
        """Wait for so long, or until a check is wanted."""
        sleeping = asyncio.ensure_future(self._sleep(seconds))
        wanted = asyncio.create_task(self._wanted.wait())
        try:
            await asyncio.wait({sleeping, wanted}, return_when=asyncio.FIRST_COMPLETED)
            if sleeping.done():
                sleeping.result()
        finally:
            sleeping.cancel()
            wanted.cancel()

    async def _run_check(self) -> str | None:
        try:
            return await self._check()
        except Exception as error:  # noqa: BLE001 - the loop must go on: the next check may succeed
            return f"the service cannot look at its model ({type(error).__name__})"


async def why_not_ready(settings: Settings, today: Callable[[], date] = utc_today) -> str | None:
    """Return why a job would fail now, in one sentence, or None. Also loads what the first job will need."""
    settings = settings.as_of(today())
    if settings.model_name == OFFLINE:
        return None
    try:
        settings.require_usable_model()
        await asyncio.to_thread(warm_up, settings)
    except (ConfigError, VocabularyMissing) as error:
        return str(error)
    if is_shut_down(settings.model, today()):
        return shutdown_advice(settings.model)
    from generation.model.client import probe_model

    try:
        return await probe_model(settings)
    except ConfigError as error:
        return str(error)
