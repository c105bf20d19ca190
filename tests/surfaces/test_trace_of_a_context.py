"""`trace` shows which node each message of a conversation made, and where it came from."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from prytany.cli.trace import trace_process
from prytany.drivers.models.scripted import ScriptedModel
from prytany.ports.runner import Runner
from prytany.runtime.inline import InlineRunner
from prytany.system.logs import Logs
from prytany.system.shard import Shard
from prytany.userland.agent import agent
from prytany.userland.process import Process

HERE = f"{__file__}:talks"


@agent(pledge="model")
async def talks(proc: Process) -> list[str]:
    talk = proc.conversation("be brief")
    await talk.llm("and who?")
    return [m.node for m in await talk.messages()]


def test_nodes_and_sources_are_shown_and_nothing_that_was_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def runners(logs: Logs) -> dict[str, Runner]:
        return {"inline": InlineRunner({HERE: talks})}

    async def life() -> Any:
        shard = await Shard.open(tmp_path / "home", {"": ScriptedModel()}, runners=runners)
        try:
            operator = shard.kernel.operator
            return await operator.wait_ended(operator.spawn(HERE, [], {}, uid=0, kind="inline"))
        finally:
            await shard.close()

    system, user, assistant = asyncio.run(life())["result"]
    trace_process(tmp_path / "home", "1", True)
    shown = capsys.readouterr().out
    lines = [json.loads(line) for line in shown.splitlines()]
    facts = [(line["event"], line["from"], line["nodes"]) for line in lines if "nodes" in line]
    assert facts == [
        ("context.appended", "agent:1", f"system={system}"),
        ("context.asked", "agent:1", f"user={user}"),
        ("context.appended", "model:scripted", f"assistant={assistant}"),
    ]
    assert "brief" not in shown
    assert "who" not in shown
    trace_process(tmp_path / "home", "1", False)
    assert f"nodes=assistant={assistant}" in capsys.readouterr().out
