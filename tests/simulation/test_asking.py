"""What a program can ask of a model, end to end through the kernel: answers, tools, schemas, pictures, vectors."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.budgets import RUN_DEFAULT, Budget
from prytany.abi.errors import KernelError
from prytany.drivers.models.scripted import Rule, ScriptedCall, ScriptedModel
from prytany.ports.model import Embedded, ModelAnswer, ModelFeatures, ModelRequest, Usage
from prytany.userland.asking import image
from prytany.userland.process import Process
from tests.simulation.fleet import PLEDGES, PROGRAMS, Fleet

LOOKUP = {"name": "lookup", "description": "A price", "parameters": {"type": "object"}}
SCHEMA = {"type": "object", "properties": {"gist": {"type": "string"}}, "required": ["gist"]}


class Plain(ScriptedModel):
    """Has no feature, and gives what it is told to."""

    def __init__(self, answer: ModelAnswer | None = None, vectors: Any = None, **features: Any) -> None:
        super().__init__([Rule("tool", tool_calls=[ScriptedCall("lookup", {"of": "tea"})])])
        self.requests: list[ModelRequest] = []
        self._given = answer
        self._vectors = vectors
        self._features = ModelFeatures(**features)

    @property
    def features(self) -> ModelFeatures:
        return self._features

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        self.requests.append(request)
        return self._given or await super().chat(request)

    async def embed(self, texts: list[str]) -> Embedded:
        return await super().embed(texts) if self._vectors is None else Embedded(self._vectors)


def run(program: Any, given: Any = None, budget: Budget = RUN_DEFAULT) -> tuple[Any, Fleet]:
    """What `program` gives in a kernel with the `given` model and that budget; or its error: errno, and its cause."""

    async def asking(proc: Process) -> Any:
        try:
            return await program(proc)
        except KernelError as error:
            return [error.errno, error.detail.get("cause") or error.detail.get("feature")]

    PROGRAMS["asking"], PLEDGES["asking"] = asking, ("model",)
    fleet = Fleet("asking")
    fleet.budget = budget
    model: Any = given or Plain(tools=True, json_schema=True, images=True, embeddings=True)
    fleet.model = model
    ended = asyncio.run(asyncio.wait_for(fleet.live(), 20))
    assert ended is not None
    assert ended["status"] == 0, ended
    return ended["result"], fleet


def test_a_tool_that_the_model_asks_for_is_read_and_its_result_goes_back() -> None:
    async def program(proc: Process) -> Any:
        answer = await proc.chat("use a tool", tools=[LOOKUP])
        [call] = answer.tool_calls
        messages = [{"role": "user", "content": "use it"}, answer.message, call.result("two")]
        after = await proc.chat(messages, tools=[LOOKUP])
        return [call.name, call.args, answer.finish, after.text, after.usage.cost_usd_micros]

    told, fleet = run(program)
    assert told == ["lookup", {"of": "tea"}, "tool_calls", "use it [2 words]", 0]
    model: Any = fleet.model
    assert model.requests[1].tools[0].name == "lookup"


def test_an_object_of_a_schema_is_read() -> None:
    async def program(proc: Process) -> Any:
        return await proc.ask("Tea is good. It is hot.", SCHEMA)

    assert run(program)[0] == {"gist": "Tea is good."}


def test_an_answer_that_is_no_json_says_so() -> None:
    async def program(proc: Process) -> Any:
        return await proc.ask("hello", SCHEMA)

    assert run(program, Plain(ModelAnswer('{"gist": "cu', "length"), json_schema=True))[0] == ["EMODEL", "not_json"]


def test_a_picture_reaches_the_driver_as_its_bytes() -> None:
    async def program(proc: Process) -> Any:
        content = [{"type": "text", "text": "What is this?"}, image(b"\x89PNG...")]
        return await proc.llm([{"role": "user", "content": content}])

    told, fleet = run(program)
    assert told == "What is this? [3 words]"
    model: Any = fleet.model
    assert model.requests[0].messages[0]["content"][1]["data"] == b"\x89PNG..."


def test_vectors_come_as_they_were_given() -> None:
    async def program(proc: Process) -> Any:
        return await proc.embed(["one", "two"])

    vectors = [[0.5, -1.0, 0.25], [1.0, 2.0, 0.0]]
    told, fleet = run(program, Plain(vectors=vectors, embeddings=True))
    assert told == vectors
    [used] = [e for entry in fleet.entries() for e in entry.events if isinstance(e, ev.ModelUsed)]
    assert used.estimated
    assert used.prompt_tokens > 0
    assert used.completion_tokens == 0


def test_what_vectors_took_is_as_the_endpoint_says() -> None:
    async def program(proc: Process) -> Any:
        return len(await proc.embed(["one two", "three"]))

    told, fleet = run(program)
    assert told == 2
    [used] = [e for entry in fleet.entries() for e in entry.events if isinstance(e, ev.ModelUsed)]
    assert (used.prompt_tokens, used.completion_tokens, used.estimated) == (3, 0, False)


@pytest.mark.parametrize(
    "vectors",
    [[], [[1.0]], [[1.0], [1.0, 2.0]], [[], []], [[1.0], [float("nan")]], [[1.0], [float("inf")]], [[1.0], [1e300]]],
)
def test_vectors_that_are_none_are_garbage(vectors: Any) -> None:
    async def program(proc: Process) -> Any:
        return await proc.embed(["one", "two"])

    assert run(program, Plain(vectors=vectors, embeddings=True))[0] == ["EMODEL", "garbage"]


@pytest.mark.parametrize("texts", [[], [""], ["a", ""], ["a"] * (limits.EMBED_TEXTS_MAX + 1), [7], "word"])
def test_texts_that_are_none_are_refused(texts: Any) -> None:
    async def program(proc: Process) -> Any:
        return await proc.calls.model_embed(texts)

    assert run(program)[0][0] == "EINVAL"


@pytest.mark.parametrize(
    ("feature", "call"),
    [
        ("tools", lambda proc: proc.chat("x", tools=[LOOKUP])),
        ("json_schema", lambda proc: proc.ask("x", SCHEMA)),
        ("images", lambda proc: proc.llm([{"role": "user", "content": [image(b"x")]}])),
        ("embeddings", lambda proc: proc.embed(["x"])),
    ],
)
def test_what_an_endpoint_cannot_do_is_refused_by_name_and_never_asked(feature: str, call: Any) -> None:
    told, fleet = run(call, Plain())
    assert told == ["EINVAL", feature]
    model: Any = fleet.model
    assert model.calls == 0


def test_a_usage_beyond_all_sense_stays_countable() -> None:
    async def program(proc: Process) -> Any:
        return [await proc.llm("x") for _ in range(3)]

    answer = ModelAnswer("y", "stop", usage=Usage(2**63, 2**62, 2**63))
    told, fleet = run(program, Plain(answer), Budget())
    assert told == ["y"] * 3
    assert fleet.table().processes[1].usage.prompt_tokens == 3 << 40


@pytest.mark.parametrize(
    "answer",
    [
        ModelAnswer("\ud800", "stop"),
        ModelAnswer("x", "stop", usage=Usage(10**30)),
    ],
)
def test_an_answer_that_cannot_be_told_is_garbage(answer: ModelAnswer) -> None:
    async def program(proc: Process) -> Any:
        return await proc.llm("x")

    assert run(program, Plain(answer))[0] == ["EMODEL", "garbage"]


def test_a_driver_that_fails_in_its_own_way_is_emodel_and_charged() -> None:
    class Broken(Plain):
        async def chat(self, request: ModelRequest) -> ModelAnswer:
            raise ZeroDivisionError

    async def program(proc: Process) -> Any:
        return await proc.llm("x")

    told, fleet = run(program, Broken())
    assert told == ["EMODEL", "crashed"]
    assert fleet.table().processes[1].usage.completion_tokens == limits.MODEL_MAX_TOKENS
