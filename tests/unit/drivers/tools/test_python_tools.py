"""Real tool processes: what they hold, how they end, and what comes back."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from prytany.abi import limits
from prytany.abi.errors import Einval, Enoent, KernelError
from prytany.drivers.tools.python.tools import PythonTools
from prytany.ports.tool import ToolFailure

SOURCE = '''
import asyncio, os, sys, threading
from dataclasses import dataclass
from prytany import tool

@dataclass
class Line:
    sku: str
    count: int = 1

@tool(effect="pure")
def total(lines: list[Line], rate: float = 1.0) -> dict:
    """Sum up."""
    assert isinstance(lines[0], Line)
    return {"total": sum(line.count for line in lines) * rate}

@tool(effect="keyed")
async def pay(order: str, key: str) -> str:
    """Pay."""
    return f"{order} {key}"

def environ(**more: str) -> dict:
    return {**os.environ, **more}

@tool(secrets=("FIRST_KEY",))
def first() -> dict:
    """What is here."""
    print("the key is", os.environ["FIRST_KEY"])
    return environ(pid=str(os.getpid()), echo=f"<{os.environ['FIRST_KEY']}>")

@tool(secrets=("SECOND_KEY",))
def second(other: int) -> dict:
    """What is here, and what another's process shows."""
    try:
        shown = open(f"/proc/{other}/environ").read()
    except OSError as error:
        shown = type(error).__name__
    return environ(pid=str(os.getpid()), shown=shown)

@tool
def neither() -> dict:
    """What is here."""
    return environ(pid=str(os.getpid()), session=str(os.getsid(0)), cwd=os.getcwd(), read=repr(sys.stdin.read()))

@tool(secrets=("FIRST_KEY",))
def raises(how: str) -> None:
    """Raise."""
    if how == "exit":
        sys.exit(3)
    if how == "stop":
        raise StopIteration
    if how == "unprintable":
        class Bad(Exception):
            def __str__(self):
                raise RuntimeError("no")
        raise Bad
    raise LookupError(f"\\x1b[2J{os.environ['FIRST_KEY']}" + "x" * 100_000)

@tool
def dies() -> None:
    """Die."""
    os._exit(7)

@tool(timeout_ms=300)
def hangs() -> None:
    """Hang."""
    threading.Event().wait()

@tool
def babbles() -> None:
    """Answer past the protocol, with what is no text."""
    body = b"\\x95\\xa6answer\\x01\\xa2\\xff\\xfe\\xc4\\x00\\xa0"
    os.write(int(sys.argv[1]), len(body).to_bytes(4, "little") + body)
    threading.Event().wait()

meeting = threading.Barrier(4)

@tool
def meets() -> int:
    """Wait for three others."""
    return meeting.wait(20)

@tool
def answers(what: str) -> object:
    """Answer what cannot be answered, and some that can."""
    held = []
    held.append(held)
    return {"set": {1}, "object": object(), "cycle": held, "bytes": b"x" * 10, "big": "x" * (4 << 20),
            "large": "y" * (3 << 20), "none": None, "keys": {1: 2}, "line": Line("a")}[what]

@tool
async def prints() -> None:
    """Print."""
    print("\\x1b[31mred\\x1b[0m")

@tool
async def waits() -> None:
    """Wait for ever."""
    await asyncio.Event().wait()
'''
ENVIRONMENT = {"FIRST_KEY": "first-secret", "SECOND_KEY": "second-secret", "UNNAMED": "x", **os.environ}


Using = Callable[[Callable[["Loaded"], Awaitable[None]]], bytes]
"""Loads the tools, runs a test on them, ends them, and gives what they printed."""


class Loaded:
    def __init__(self, tools: PythonTools) -> None:
        self.tools = tools

    async def call(self, name: str, **arguments: Any) -> Any:
        value = await self.tools.call(f"shop.{name}", arguments, "the-key")
        return msgspec.msgpack.decode(msgspec.msgpack.encode(value))

    async def fails(self, name: str, **arguments: Any) -> ToolFailure:
        with pytest.raises(ToolFailure) as caught:
            await self.call(name, **arguments)
        return caught.value


@pytest.fixture
def using(tmp_path: Path) -> Using:
    path = tmp_path / "shop.py"
    path.write_text(SOURCE)

    def use(test: Callable[[Loaded], Awaitable[None]]) -> bytes:
        async def run() -> bytes:
            log: list[bytes] = []
            tools = await PythonTools.load(path, ENVIRONMENT, log.append)
            try:
                await test(Loaded(tools))
            finally:
                await tools.close()
            return b"".join(log)

        return asyncio.run(asyncio.wait_for(run(), 60))

    return use


def test_arguments_become_their_types_and_results_plain_data(using: Using) -> None:
    async def test(shop: Loaded) -> None:
        assert await shop.call("total", lines=[{"sku": "a", "count": 2}, {"sku": "b"}], rate=2) == {"total": 6.0}
        assert await shop.call("pay", order="7") == "7 the-key"
        assert await shop.call("answers", what="bytes") == b"x" * 10
        assert await shop.call("answers", what="none") is None
        assert await shop.call("answers", what="set") == [1]
        assert await shop.call("answers", what="keys") == {"1": 2}
        assert await shop.call("answers", what="line") == {"sku": "a", "count": 1}
        assert len(await shop.call("answers", what="large")) == 3 << 20
        for what in ("object", "cycle"):
            assert (await shop.fails("answers", what=what)).kind == "raised"
        assert (await shop.fails("answers", what="big")).kind == "too_large"
        assert (await shop.fails("total", lines=[{"sku": 1}])).kind == "arguments"
        assert not (await shop.fails("total", lines=[])).begun

    using(test)


def test_a_process_holds_the_secrets_of_its_tools_and_nothing_else_of_the_operators(using: Using) -> None:
    async def test(shop: Loaded) -> None:
        base = {"PATH", "LANG", "HOME", "pid"}
        first = await shop.call("first")
        second = await shop.call("second", other=int(first["pid"]))
        neither = await shop.call("neither")
        assert set(first) - {"LC_CTYPE"} == base | {"FIRST_KEY", "echo"}
        assert set(second) - {"LC_CTYPE"} == base | {"SECOND_KEY", "shown"}
        assert set(neither) - {"LC_CTYPE"} == base | {"session", "cwd", "read"}
        assert len({first["pid"], second["pid"], neither["pid"]}) == 3
        assert "first-secret" not in second["shown"]
        assert first["echo"] == "<[FIRST_KEY]>", "a result is struck out as well"
        assert neither["session"] == neither["pid"]
        assert neither["read"] == "''"

    using(test)


def test_a_tool_that_answers_no_text_is_ended_and_its_caller_does_not_wait(using: Using) -> None:
    async def test(shop: Loaded) -> None:
        assert (await shop.fails("babbles")).kind == "died"

    using(test)


def test_what_a_tool_raises_is_a_bounded_message_without_its_secret(using: Using) -> None:
    async def test(shop: Loaded) -> None:
        for how in ("lookup", "exit", "stop", "unprintable"):
            failure = await shop.fails("raises", how=how)
            assert (failure.kind, failure.begun) == ("raised", False)
            assert len(failure.message) < 3_000
            assert "first-secret" not in failure.message
        assert "LookupError" in (await shop.fails("raises", how="lookup")).message
        assert await shop.call("prints") is None

    log = using(test)
    assert b"\x1b[31mred" in log, "kept as it is; who shows it escapes it"
    assert b"LookupError" in log, "the operator finds the traceback in the log"
    assert b"first-secret" not in log


def test_a_process_that_dies_or_hangs_fails_what_was_begun_and_comes_back_on_demand(using: Using) -> None:
    async def test(shop: Loaded) -> None:
        before = (await shop.call("neither"))["pid"]
        waiting = asyncio.ensure_future(shop.fails("waits"))
        failure = await shop.fails("dies")
        assert (failure.kind, failure.begun) == ("died", True)
        assert (await waiting).begun, "what ran beside it was begun as well"
        after = (await shop.call("neither"))["pid"]
        assert after != before
        waiting = asyncio.ensure_future(shop.fails("waits"))
        await shop.call("prints")
        os.kill(int(after), signal.SIGKILL)
        assert (await waiting).begun
        again = (await shop.call("neither"))["pid"]
        assert again not in (before, after)
        failure = await shop.fails("hangs")
        assert (failure.kind, failure.begun) == ("timeout", True)

    using(test)


def test_calls_run_at_once_and_one_that_is_cancelled_is_forgotten(using: Using) -> None:
    async def test(shop: Loaded) -> None:
        assert sorted(await asyncio.gather(*(shop.call("meets") for _ in range(4)))) == [0, 1, 2, 3]
        waiting = asyncio.ensure_future(shop.call("waits"))
        await shop.call("prints")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert await shop.call("pay", order="1") == "1 the-key"

    using(test)


@pytest.mark.parametrize(
    ("source", "environment", "error", "said"),
    [
        (b"def broken(", {}, Einval, "SyntaxError"),
        (b"import nowhere_at_all", {}, Einval, "nowhere_at_all"),
        (b"raise SystemExit(0)", {}, Einval, "SystemExit"),
        (b"import os; os._exit(0)", {}, Einval, "died"),
        (b"x = 1", {}, Einval, "declares no tool"),
        (b"\xff\xfe", {}, Einval, "utf-8"),
        (b"", {}, Einval, "declares no tool"),
        (SOURCE.encode(), {"FIRST_KEY": "x"}, Enoent, "SECOND_KEY"),
        (SOURCE.encode(), {"FIRST_KEY": "", "SECOND_KEY": "x"}, Enoent, "FIRST_KEY"),
        (SOURCE.encode(), {"FIRST_KEY": "x" * (limits.TOOL_SECRET_BYTES_MAX + 1), "SECOND_KEY": "x"}, Einval, "FIRST"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_said_when_it_is_loaded(
    tmp_path: Path, source: bytes, environment: dict[str, str], error: type[KernelError], said: str
) -> None:
    path = tmp_path / "shop.py"
    path.write_bytes(source)
    with pytest.raises(error) as caught:
        asyncio.run(PythonTools.load(path, environment))
    assert said in caught.value.message


def test_what_is_no_file_is_enoent(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.py", tmp_path, Path("/dev/zero")):
        with pytest.raises(Enoent):
            asyncio.run(PythonTools.load(path, {}))
