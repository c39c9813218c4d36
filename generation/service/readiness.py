"""Whether a job that came now would find its model: looked at in the background, so that asking costs nothing.

A look is never paid for: it is one question for the model's entry in the server's list. Leaves out how anyone is told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from generation.config import Settings
from generation.domain.catalogue import OFFLINE, shutdown_advice
from generation.job import warm_up
from generation.prompts.tokens import VocabularyMissing

log = logging.getLogger(__name__)

# What was right is looked at seldom; who waits for a fault to go away is told soon.
RECHECK_INTERVAL_S = 30.0
RECHECK_WHEN_NOT_READY_S = 2.0

NOT_CHECKED_YET = "the service has just started and has not looked at its model yet"


class Readiness:
    """Knows why the service is not ready; `reason` is None where it is."""

    def __init__(
        self,
        look: Callable[[], Awaitable[str | None]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.reason: str | None = NOT_CHECKED_YET
        self._look = look
        self._sleep = sleep

    async def keep_checking(self) -> None:
        """Look again and again, until it is cancelled."""
        while True:
            reason = await self._looked()
            if reason != self.reason:
                log.log(logging.WARNING if reason else logging.INFO, "%s", reason or "ready: the model can be asked")
            self.reason = reason
            await self._sleep(RECHECK_WHEN_NOT_READY_S if reason else RECHECK_INTERVAL_S)

    async def _looked(self) -> str | None:
        try:
            return await self._look()
        except Exception as error:  # noqa: BLE001 - the next look may find it gone; nobody else would start one
            return f"the service cannot look at its model ({type(error).__name__})"


async def why_not_ready(settings: Settings) -> str | None:
    """Why a job would fail now, in one sentence; it also loads what the first job will need."""
    if settings.model_name == OFFLINE:
        return None
    try:
        settings.require_usable_model()
        await asyncio.to_thread(warm_up, settings)
    except (ValueError, VocabularyMissing) as error:
        return str(error)
    today = datetime.now(UTC).date()
    if settings.model.shutdown_date and today >= settings.model.shutdown_date:
        return shutdown_advice(settings.model)
    from generation.model.client import probe_model

    return await probe_model(settings)
