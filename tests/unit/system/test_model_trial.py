"""One question to a model: what came of it, or why nothing did, with what to do; it is asked once, and closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from prytany.abi.errors import Einval, Emodel, KernelError
from prytany.drivers.models.openai import OpenAINative
from prytany.drivers.models.scripted import Rule, ScriptedCall, ScriptedModel
from prytany.ports.model import ModelAnswer, ModelRequest
from prytany.system.model_trial import NEXT, PROMPT_BYTES_MAX, TOKENS_MAX, Trial, try_model
from prytany.testing.model_endpoint import Fault, ModelEndpoint

KEY = "-".join(("sk", "very", "secret", "0123456789"))


class Closing(ScriptedModel):
    closed = False

    async def close(self) -> None:
        self.closed = True


def test_what_came_is_told_with_tokens_time_and_what_the_model_can_do() -> None:
    model = Closing([Rule("rain", text="No. \x1b[2J Not today.")])
    trial = asyncio.run(try_model("m", model, "Is it raining?"))
    assert (trial.text, trial.finish, trial.model) == ("No. \x1b[2J Not today.", "stop", "scripted")
    assert trial.prompt_tokens > 0 < trial.completion_tokens
    assert "tools" in trial.features
    assert trial.cost_usd_micros == 0
    assert model.closed


def test_an_answer_of_tool_calls_alone_is_an_answer() -> None:
    trial = asyncio.run(try_model("m", ScriptedModel([Rule(".", tool_calls=[ScriptedCall("look")])])))
    assert (trial.text, trial.finish) == ("", "tool_calls")


@pytest.mark.parametrize("prompt", ["", "x" * (PROMPT_BYTES_MAX + 1), "\ud800"])
def test_a_prompt_that_no_model_is_asked_is_refused(prompt: str) -> None:
    with pytest.raises(Einval):
        asyncio.run(try_model("m", ScriptedModel(), prompt))


FAULTS: list[tuple[Fault, str]] = [
    (Fault.refusal(401, message=KEY), "bad_key"), (Fault.refusal(404, "model_not_found"), "no_model"),
    (Fault.refusal(402), "no_funds"), (Fault.refusal(429, retry_after="60"), "rate_limited"),
    (Fault.refusal(500), "overloaded"), (Fault.refusal(400, message=KEY), "bad_request"),
    (Fault(body=b"<html>no model</html>\n"), "garbage"), (Fault(cut_after_bytes=10), "interrupted"),
    (Fault(hold=True), "timeout"),
]  # fmt: skip


async def asked(fault: Fault) -> tuple[int, KernelError | Trial, list[dict[str, Any]]]:
    async with ModelEndpoint() as endpoint:
        endpoint.always = fault
        model = OpenAINative("m", base_url=endpoint.base_url, key=KEY, proxied=False)
        try:
            came: KernelError | Trial = await try_model("m", model, seconds=0.3 if fault.hold else 30)
        except KernelError as error:
            came = error
        return endpoint.total, came, list(endpoint.bodies)


@pytest.mark.parametrize(("fault", "cause"), FAULTS, ids=[cause for _, cause in FAULTS])
def test_each_failure_is_told_with_its_cause_and_what_to_do_and_is_not_tried_again(fault: Fault, cause: str) -> None:
    total, error, _ = asyncio.run(asked(fault))
    assert isinstance(error, Emodel)
    assert error.detail == {"cause": cause}
    assert error.__notes__ == [NEXT[cause]]
    assert KEY not in str(error)
    assert total == 1


def test_an_endpoint_is_asked_for_so_many_tokens_and_no_more() -> None:
    _, trial, bodies = asyncio.run(asked(Fault()))
    assert isinstance(trial, Trial)
    assert [body["max_tokens"] for body in bodies] == [TOKENS_MAX]


def test_an_endpoint_that_is_not_there_is_unreachable() -> None:
    model = OpenAINative("m", base_url="http://127.0.0.1:1/v1", proxied=False)
    with pytest.raises(Emodel) as raised:
        asyncio.run(try_model("m", model))
    assert raised.value.detail == {"cause": "unreachable"}


def test_a_stream_that_gives_no_answer_is_garbage() -> None:
    class Silent(Closing):
        async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelAnswer, None]:
            for piece in ("a", "b"):
                yield piece

    model = Silent()
    with pytest.raises(Emodel) as raised:
        asyncio.run(try_model("m", model))
    assert raised.value.detail == {"cause": "garbage"}
    assert model.closed
