"""A stream in a real confined worker, through a real endpoint, and a kernel that is killed while it comes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from prytany.testing.model_endpoint import Fault, ModelEndpoint
from tests.surfaces.commands import ROOT

KEY = "-".join(("sk", "very", "secret", "0123456789"))
PROGRAM = """
from prytany import KernelError, agent

@agent(pledge="model proc")
async def tells(proc):
    stream = proc.llm("Tell me.", stream=True)
    seen = []
    try:
        async for piece in stream:
            seen.append(piece)
            if len(seen) == 1:
                await proc.run(heard)
    except KernelError as error:
        return f"{error.errno} {error.detail['cause']} {seen}"
    return f"whole {seen}"

@agent()
async def heard(proc):
    pass
"""
FIRST = b'data: {"choices":[{"index":0,"delta":{"content":"He"}}]}\n\n'
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


async def command(endpoint: ModelEndpoint, *arguments: str) -> asyncio.subprocess.Process:
    environment = {
        **os.environ,
        "PRYTANY_MODEL_URL": endpoint.base_url,
        "PRYTANY_MODEL_NAME": "m",
        "PRYTANY_MODEL_KEY": KEY,
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "prytany.cli", *arguments, cwd=ROOT, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


def test_a_kernel_that_is_killed_within_a_stream_shows_the_pieces_again_and_then_says_interrupted(
    tmp_path: Path,
) -> None:
    (tmp_path / "tell.py").write_text(PROGRAM)
    home = tmp_path / "home"

    async def main() -> bytes:
        async with ModelEndpoint() as endpoint:
            endpoint.faults.append(Fault(body=FIRST + FIRST + END, hold_after_bytes=len(FIRST)))
            run = await command(endpoint, "run", str(tmp_path / "tell.py:tells"), "--home", str(home))
            assert run.stderr is not None
            while b"heard" not in (line := await run.stderr.readline()):
                assert line
            run.send_signal(signal.SIGKILL)
            await run.communicate()
            resumed = await command(endpoint, "resume", "--home", str(home))
            output, said = await resumed.communicate()
            assert endpoint.total == 1, said
            assert endpoint.tokens == {KEY}
            return output

    assert asyncio.run(asyncio.wait_for(main(), 60)).strip() == b"EMODEL interrupted ['He']"
    for path in home.rglob("*"):
        if path.is_file():
            assert KEY.encode() not in path.read_bytes(), path
