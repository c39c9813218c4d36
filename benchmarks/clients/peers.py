"""Libraries that `make bench-peers` installs into an environment of their own, each used as its documentation shows.

All get the same messages, a structured answer and a place for `width` requests at once where they take one; retries
are each library's own. None is told the limits. Imported by name, since they are not where the worker is installed.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any
from unittest import mock

from pydantic import BaseModel

from benchmarks.clients.stage import API_KEY, MODEL, Run, Task, perform

EFFORT = "minimal"


class Summary(BaseModel):
    """The answer that all ask for."""

    summary: str


Messages = list[dict[str, str]]
Ask = Callable[[Messages], Awaitable[object]]


def many_at_once(task: Task, ask: Ask) -> Run:
    """A run that asks for each of the task's requests, `width` at once; an exception is a lost symbol."""
    messages = [body["messages"] for body in task.bodies()]
    places = asyncio.Semaphore(task.width)

    async def ask_one(one: Messages) -> bool:
        async with places:
            try:
                await ask(one)
            except Exception:  # noqa: BLE001 - each library raises exceptions of its own
                return False
            return True

    async def run() -> int:
        return sum(await asyncio.gather(*map(ask_one, messages)))

    return run


async def prepare_litellm(task: Task) -> Run:
    litellm = import_module("litellm")
    # It prints advice for each error otherwise.
    mock.patch.object(litellm, "suppress_debug_info", new=True).start()
    place = {"model": f"openai/{MODEL}", "api_key": API_KEY, "api_base": task.base_url}
    router = litellm.Router(model_list=[{"model_name": MODEL, "litellm_params": place}])

    async def ask(messages: Messages) -> object:
        return await router.acompletion(
            model=MODEL, messages=messages, response_format=Summary, reasoning_effort=EFFORT
        )

    return many_at_once(task, ask)


async def prepare_langchain(task: Task) -> Run:
    chat = import_module("langchain_openai").ChatOpenAI(
        model=MODEL, api_key=API_KEY, base_url=task.base_url, reasoning_effort=EFFORT
    )
    chain = chat.with_structured_output(Summary, method="json_schema")
    messages = [body["messages"] for body in task.bodies()]

    async def run() -> int:
        answers = await chain.abatch(messages, config={"max_concurrency": task.width}, return_exceptions=True)
        return sum(isinstance(answer, Summary) for answer in answers)

    return run


async def prepare_instructor(task: Task) -> Run:
    instructor, openai = import_module("instructor"), import_module("openai")
    client = instructor.from_openai(
        openai.AsyncOpenAI(api_key=API_KEY, base_url=task.base_url), mode=instructor.Mode.JSON_SCHEMA
    )

    async def ask(messages: Messages) -> object:
        return await client.chat.completions.create(
            model=MODEL, messages=messages, response_model=Summary, reasoning_effort=EFFORT
        )

    return many_at_once(task, ask)


async def prepare_pydantic_ai(task: Task) -> Run:
    pydantic_ai = import_module("pydantic_ai")
    provider = import_module("pydantic_ai.providers.openai").OpenAIProvider(base_url=task.base_url, api_key=API_KEY)
    model = import_module("pydantic_ai.models.openai").OpenAIChatModel(MODEL, provider=provider)
    rules = task.bodies()[0]["messages"][0]["content"]
    agent = pydantic_ai.Agent(
        model,
        output_type=pydantic_ai.NativeOutput(Summary),
        system_prompt=rules,
        model_settings={"openai_reasoning_effort": EFFORT},
    )

    async def ask(messages: Messages) -> object:
        return await agent.run(messages[-1]["content"])

    return many_at_once(task, ask)


async def prepare_curator(task: Task) -> Run:
    # It counts by a vocabulary that it would download; ours differs by a few per cent and is there.
    encoding = import_module("tiktoken").get_encoding("o200k_base")
    mock.patch("tiktoken.get_encoding", return_value=encoding).start()
    curator = import_module("bespokelabs.curator")
    folder = tempfile.TemporaryDirectory()
    prompts = [{"messages": body["messages"]} for body in task.bodies()]

    def make() -> Any:  # noqa: ANN401 - the library is not there when types are checked
        class Documenter(curator.LLM):  # type: ignore[misc, name-defined]
            response_format = Summary

            def prompt(self, row: dict[str, Any]) -> Messages:
                messages: Messages = row["messages"]
                return messages

            def parse(self, _row: dict[str, Any], answer: Summary) -> dict[str, str]:
                return {"summary": answer.summary}

        return Documenter(
            # It reserves a quarter of the most tokens that the model could answer with: with MODEL it takes 230 s.
            model_name="gpt-4o-mini",
            backend="openai",
            response_format=Summary,
            backend_params={
                "base_url": task.base_url,
                "api_key": API_KEY,
                "max_concurrent_requests": task.width,
                "require_all_responses": False,
            },
        )

    def document() -> int:
        return len(make()(prompts, working_dir=folder.name).dataset)

    async def run() -> int:
        # It brings a loop of its own.
        return await asyncio.to_thread(document)

    return run


PEERS: dict[str, Callable[[Task], Awaitable[Run]]] = {
    "litellm": prepare_litellm,
    "langchain_openai": prepare_langchain,
    "instructor": prepare_instructor,
    "pydantic_ai": prepare_pydantic_ai,
    "bespokelabs.curator": prepare_curator,
}


async def prepare(task: Task) -> Run:
    return await PEERS[task.peer](task)


if __name__ == "__main__":
    perform(prepare)
