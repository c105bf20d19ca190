"""A model call in a conversation that a person settles: what was given is in the chain, and says who gave it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from prytany.abi.errors import Einval, Emodel
from prytany.userland.process import Process
from tests.simulation.steered import UID, Home, Steered


async def talk(proc: Process) -> list[Any]:
    conversation = proc.conversation()
    try:
        said = await conversation.llm("may I?")
    except Emodel:
        said = ""
    read = [[m.role, m.content, m.source] for m in await conversation.messages()]
    return [said, conversation.length, read]


def settled(choice: str, value: object = None) -> Any:
    home = Home({"talk": talk})

    async def life() -> Any:
        async with home.life() as kernel:
            return await settle(kernel)

    async def settle(kernel: Steered) -> Any:
        pid = kernel.spawn("talk")
        await kernel.incident(pid, 2)
        if choice == "give":
            with pytest.raises(Einval):
                kernel.settle(pid, 2, "give", {"text": "", "tool_calls": [{"id": "1"}]})
        home.model.cause = ""
        kernel.settle(pid, 2, choice, value)
        return (await kernel.ended(pid))["result"]

    return asyncio.run(asyncio.wait_for(life(), 20))


def test_an_answer_that_the_operator_gave_is_the_operators_in_the_chain() -> None:
    assert settled("give", "you may") == [
        "you may",
        2,
        [["user", "may I?", "agent:1"], ["assistant", "you may", f"operator:{UID}"]],
    ]


def test_a_call_that_was_skipped_leaves_the_context_as_it_was() -> None:
    assert settled("skip") == ["", 0, []]


def test_a_call_that_is_retried_is_in_the_chain_once() -> None:
    said, length, read = settled("retry")
    assert length == 2
    assert [m[1] for m in read] == ["may I?", said]
