"""Any sequence of operations on conversations, on a kernel that stops anywhere: they are what lists would be."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from prytany.abi.errors import Emodel
from prytany.userland.conversation import Conversation
from prytany.userland.process import Process
from tests.simulation.conversations import talking
from tests.simulation.fleet import PLEDGES, PROGRAMS

Steps = list[tuple[str, int]]
steps = st.lists(
    st.tuples(st.sampled_from(["open", "ask", "ask", "fail", "say", "fork", "past", "close"]), st.integers(0, 99)),
    min_size=1,
    max_size=12,
)


def expected(script: Steps) -> list[list[str]]:
    """What each conversation that is left holds."""
    talks: list[list[str]] = [["system"]]
    failed = False
    for number, (step, chance) in enumerate(script):
        place = chance % len(talks)
        talk = talks[place]
        match step:
            case "open":
                talks.append([f"system {number}"])
            case "ask":
                talk += [f"ask {number}", f"{len(talk) + 1} messages to ask {number}"]
            case "fail":
                if failed:  # the model fails this question once
                    talk += ["fail", f"{len(talk) + 1} messages to fail"]
                failed = True
            case "say":
                talk.append(f"say {number}")
            case "fork":
                talks.append(list(talk))
            case "past":
                talks.append(talk[: 1 + chance % len(talk)])
            case _:
                if len(talks) > 1:
                    del talks[place]
    return talks


async def play(proc: Process, script: Steps) -> list[Any]:
    talks: list[Conversation] = [proc.conversation("system")]
    for number, (step, chance) in enumerate(script):
        place = chance % len(talks)
        talk = talks[place]
        match step:
            case "open":
                talks.append(proc.conversation(f"system {number}"))
            case "ask":
                await talk.llm(f"ask {number}")
            case "fail":
                try:
                    await talk.llm("fail")
                except Emodel:
                    continue
            case "say":
                await talk.append("user", f"say {number}")
            case "fork":
                talks.append(await talk.fork())
            case "past":
                said = await talk.messages()
                talks.append(await talk.fork(said[chance % len(said)].node))
            case _:
                if len(talks) > 1:
                    await talk.close()
                    del talks[place]
    read = [await talk.messages() for talk in talks]
    assert [messages[-1].node for messages in read] == [talk.node for talk in talks]
    return [[m.content for m in messages] for messages in read]


@settings(max_examples=25, deadline=None)
@given(steps, st.integers(0, 1_000), st.booleans())
def test_conversations_are_what_lists_would_be(script: Steps, chance: int, after_commit: bool) -> None:
    async def scripted(proc: Process) -> list[Any]:
        return await play(proc, script)

    PROGRAMS["scripted"], PLEDGES["scripted"] = scripted, ("model",)
    whole = talking("scripted")
    ended = asyncio.run(whole.live())
    assert ended is not None
    assert ended["status"] == 0, ended
    assert ended["result"] == expected(script)

    length = whole.store.reader().head()
    assert length is not None
    stopped = talking("scripted")
    asyncio.run(stopped.live(2 + chance % (length.seq - 1), after_commit=after_commit))
    again = asyncio.run(stopped.live())
    assert again is not None
    if any(step == "fail" for step, _ in script):
        return  # whether it fails is the model's memory, which is longer than a kernel's life
    assert again["result"] == ended["result"]
