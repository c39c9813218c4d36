"""The official client as most people use it: one `AsyncOpenAI`, a semaphore, and the client's own retries.

It sends the worker's own requests, built beforehand, through the bare `create`: no prompt is made, no token counted
and no answer read.
"""

from __future__ import annotations

import asyncio
from typing import Any

import openai

from benchmarks.clients.stage import API_KEY, Run, Task, perform


async def prepare(task: Task) -> Run:
    bodies = task.bodies()
    client = openai.AsyncOpenAI(api_key=API_KEY, base_url=task.base_url)
    places = asyncio.Semaphore(task.width)

    async def ask(body: dict[str, Any]) -> bool:
        async with places:
            try:
                await client.chat.completions.create(**body)
            except openai.OpenAIError:
                return False
            return True

    async def run() -> int:
        return sum(await asyncio.gather(*map(ask, bodies)))

    if task.warm:
        await ask({**bodies[0], "messages": [{"role": "user", "content": "warm"}]})
    return run


if __name__ == "__main__":
    perform(prepare)
