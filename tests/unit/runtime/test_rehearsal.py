"""A worker of a zygote, where another life was rehearsed, lives as one in a fresh interpreter does."""

from __future__ import annotations

from prytany.abi.program import pack_program
from prytany.runtime.launcher import Launcher
from tests.unit.runtime import bare_worker
from tests.unit.runtime.runtime_harness import printed, release, spec, with_launcher
from tests.unit.runtime_loop.kernel_end import HERE, Run, Script, run, start_item, talk

ENTRY = f"{bare_worker.__file__}:main"


def recorded(program: str) -> bytes:
    """The text of one of `runtime_loop/programs`, as a kernel records it."""
    return pack_program((HERE / "programs" / program.partition(":")[0]).read_bytes(), [])


def forked(*programs: str) -> list[Run]:
    """Those programs, one after the other, in workers of one zygote."""

    async def body(launcher: Launcher) -> list[Run]:
        return [await one(launcher, program) for program in programs]

    async def one(launcher: Launcher, program: str) -> Run:
        handle = await launcher.fork(spec())
        result = Run()
        handle.sock.settimeout(30)
        handle.sock.sendall(start_item(program, source=recorded(program)))
        talk(handle.sock, result, Script(seed=1), None, False)
        await handle.exited
        result.stderr = printed(handle)
        release(handle)
        return result

    return with_launcher(body, entry=ENTRY)


def test_workers_of_one_zygote_draw_what_a_fresh_interpreter_draws_and_find_nothing_of_the_rehearsal() -> None:
    drawn, found, again, refused = forked("sources.py", "surroundings.py", "sources.py", "sources.py:refused")
    fresh = run("sources.py", source=recorded("sources.py"))
    assert drawn.ending == (0, True, None), drawn.stderr
    assert drawn.calls == fresh.calls
    assert again.calls == fresh.calls, "what is left of one worker reached the next"
    expected = run("surroundings.py", source=recorded("surroundings.py")).ending
    assert found.ending == expected, found.stderr
    assert expected[1]["rehearsed"] == []
    assert set(refused.ending[1].values()) == {"EPERM"}, refused.ending
