"""Do the same to each of many items: a failure of one does not stop the others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from generation.errors import JobError

Item = TypeVar("Item")


async def fan_out(
    call: Callable[[Item], Awaitable[object]], items: Iterable[Item], max_concurrent: int
) -> list[JobError]:
    """Await `call` for every item, `max_concurrent` at once. Return the errors of those that failed, in their order."""
    slots = asyncio.Semaphore(max_concurrent)

    async def attempt(item: Item) -> JobError | None:
        async with slots:
            try:
                await call(item)
            except JobError as error:
                return error
        return None

    return [error for error in await asyncio.gather(*map(attempt, items)) if error is not None]
