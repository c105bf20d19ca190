"""Streams between processes: in order, bounded, nothing lost or doubled, whatever stops in between."""

from __future__ import annotations

import asyncio
import random  # noqa: TID251 seeded
from typing import Any

import pytest

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Ebusy, Einval, Enoent, Epipe, Esrch, KernelError
from prytany.kernel.waiting.explain import explain
from prytany.testing.virtual_shard import VirtualShard
from prytany.userland.process import ChildFailed, Process
from prytany.userland.server import Server

PLEDGE = ("pipe", "proc", "ipc")
COUNT = 10


def world(**programs: Any) -> VirtualShard:
    return VirtualShard(programs, {}, pledge=PLEDGE)


def run(shard: VirtualShard, root: str = "root", *args: Any, stop_at: int = 0, **named: Any) -> Any:
    """What a root returns; None where the machine goes out before."""

    async def does(kernel: Any) -> Any:
        pid = 1 if kernel.table.processes else shard.spawn(kernel, root, *args, **named)
        return await kernel.operator.wait_ended(pid)

    return shard.run(does, stop_at)


def result(shard: VirtualShard, *args: Any) -> Any:
    try:
        ended = run(shard, "root", *args)
    finally:
        shard.loop.close()
    assert ended["error"] is None, ended["error"]
    return ended["result"]


async def counts(proc: Process, count: int = COUNT, text: str = "") -> None:
    for n in range(count):
        await proc.stdout.write(f"{n}{text}")


async def doubles(proc: Process) -> None:
    async for chunk in proc.stdin:
        await proc.stdout.write(chunk * 2)


async def collects(proc: Process) -> list[Any]:
    return [chunk async for chunk in proc.stdin]


async def three(proc: Process) -> Any:
    first, second = await proc.pipe(), await proc.pipe()
    pids = [
        await proc.spawn("counts", stdout=first),
        await proc.spawn("doubles", stdin=first, stdout=second),
        await proc.spawn("collects", stdin=second),
    ]
    await first.close()
    await second.close()
    return [(await proc.wait(pid)).result for pid in pids]


PROGRAMS: dict[str, Any] = {"root": three, "counts": counts, "doubles": doubles, "collects": collects}
EXPECTED = [None, None, [f"{n}{n}" for n in range(COUNT)]]


def test_what_is_written_is_read_in_order_to_the_end() -> None:
    shard = world(**PROGRAMS)
    assert result(shard) == EXPECTED
    assert not shard.events(ev.ProcessFailed)


def test_a_machine_that_goes_out_at_any_entry_loses_nothing_and_doubles_nothing() -> None:
    alone = world(**PROGRAMS)
    assert result(alone) == EXPECTED
    head = len(alone.entries())
    for stop_at in range(2, head):
        shard = world(**PROGRAMS)
        assert run(shard, stop_at=stop_at) is None
        assert result(shard) == EXPECTED, f"stopped at {stop_at}"
        assert len(shard.events(ev.PipeWritten)) == 2 * COUNT, f"stopped at {stop_at}"


def test_a_writer_waits_while_the_pipe_is_full_and_says_for_whom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PIPE_CHUNKS_MAX", 3)
    seen: list[Any] = []

    async def root(proc: Process) -> Any:
        pipe = await proc.pipe()
        writer = await proc.spawn("counts", stdout=pipe)
        await pipe.output.close()
        await proc.sleep(1)
        seen.append(await pipe.look())
        state, now_ns = shard_kernel[0].state, shard_kernel[0].now_ns()
        (cause,) = [row for row in explain(state, writer, None, now_ns) if row.depth == 0]
        seen.append((cause.kind, cause.leads))
        got = [chunk async for chunk in pipe.input]
        return got, (await proc.wait(writer)).status

    shard_kernel: list[Any] = []
    shard = world(**{**PROGRAMS, "root": root})

    async def does(kernel: Any) -> Any:
        shard_kernel.append(kernel)
        return await kernel.operator.wait_ended(shard.spawn(kernel, "root"))

    ended = shard.run(does)
    shard.loop.close()
    assert ended["result"] == [[str(n) for n in range(COUNT)], 0]
    look, why = seen
    assert (look["written"], look["read"], look["chunks"]) == (3, 0, 3)
    assert why == ("output", [1])


def test_a_large_chunk_goes_into_an_empty_pipe_and_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PIPE_BYTES_MAX", 100)

    async def root(proc: Process) -> Any:
        pipe = await proc.pipe()
        writer = await proc.spawn("counts", 3, "x" * 200, stdout=pipe)
        await pipe.output.close()
        await proc.sleep(1)
        look = await pipe.look()
        got = [len(chunk) async for chunk in pipe.input]
        await proc.wait(writer)
        return [look["chunks"], got]

    assert result(world(**{**PROGRAMS, "root": root})) == [1, [201, 201, 201]]


def test_a_writer_whose_reader_has_gone_ends_by_it() -> None:
    async def root(proc: Process) -> Any:
        pipe = await proc.pipe()
        writer = await proc.spawn("counts", 1_000, stdout=pipe)
        first = await pipe.input.read()
        await pipe.close()
        ended = await proc.wait(writer)
        return [first, ended.status, ended.reason]

    assert result(world(**{**PROGRAMS, "root": root})) == ["0", 141, "its reader has gone"]


def test_a_reader_that_is_killed_breaks_the_pipe_and_a_writer_that_is_killed_ends_it() -> None:
    async def stands(proc: Process) -> None:
        await proc.stdout.write("one")
        await proc.sleep(1_000)

    async def root(proc: Process) -> Any:
        pipe = await proc.pipe()
        writer = await proc.spawn("stands", stdout=pipe)
        reader = await proc.spawn("collects", stdin=pipe)
        await pipe.close()
        await proc.sleep(1)
        await proc.kill(writer, 9)
        got = (await proc.wait(reader)).result
        await proc.wait(writer)
        return got

    assert result(world(**{**PROGRAMS, "root": root, "stands": stands})) == ["one"]


def test_running_children_are_joined_and_several_writers_end_together() -> None:
    async def late(proc: Process, name: str) -> None:
        await proc.sleep(1)
        await proc.stdout.write(name)

    async def root(proc: Process) -> Any:
        pipe = await proc.pipe()
        writers = [await proc.spawn("late", name, stdout=pipe) for name in "ab"]
        await pipe.output.close()
        got = [chunk async for chunk in pipe.input]
        first, second = await proc.spawn("late", "c"), await proc.spawn("late_collects")
        await proc.pipe(first, second)
        with pytest.raises(Ebusy):
            await proc.pipe(first, second)
        joined = (await proc.wait(second)).result
        for pid in (*writers, first):
            await proc.wait(pid)
        return [sorted(got), joined]

    async def late_collects(proc: Process) -> list[Any]:
        await proc.sleep(2)
        return await collects(proc)

    shard = world(**{**PROGRAMS, "root": root, "late": late, "late_collects": late_collects})
    assert result(shard) == [["a", "b"], ["c"]]


def test_plain_data_and_bytes_go_through_and_none_does_not() -> None:
    async def root(proc: Process) -> Any:
        pipe = await proc.pipe()
        for chunk in ("text", b"\0\xff", {"a": [1, 2.5, None]}, False, ""):
            await pipe.output.write(chunk)
        for bad in (None, "x" * limits.MESSAGE_BYTES_MAX):
            with pytest.raises(Einval):
                await pipe.output.write(bad)
        await pipe.output.close()
        return [chunk async for chunk in pipe.input]

    assert result(world(root=root)) == ["text", b"\0\xff", {"a": [1, 2.5, None]}, False, ""]


def test_ends_that_are_not_there_are_refused() -> None:
    async def root(proc: Process) -> Any:
        pipe = await proc.pipe()
        child = await proc.spawn("stays")
        said: list[str] = []
        calls = proc.calls
        for asked in (
            calls.pipe_write("x", 9), calls.pipe_read(9), calls.pipe_read(-1), calls.pipe_close(9), calls.pipe_look(9),
            calls.pipe_open(99, 0), calls.pipe_open(0, 99), calls.pipe_open(-5, 0), calls.pipe_open(0, child, True),
            calls.pipe_close(pipe.number, "both"), calls.process_spawn("stays", [], ends={"stdin": 9}),
            calls.process_spawn("stays", [], ends={"stdin": "1"}), calls.process_spawn("stays", [], ends={"err": 1}),
            calls.process_spawn("stays", [], ends={"stdout": True}),
        ):  # fmt: skip
            try:
                await asked
            except KernelError as error:
                said.append(error.errno)
        await pipe.close()
        with pytest.raises(Enoent):
            await pipe.output.write("x")
        with pytest.raises(Enoent):
            await pipe.close()
        with pytest.raises(Esrch):
            await proc.pipe(1_000, child)
        await proc.kill(child, 9)
        return said

    async def stays(proc: Process) -> None:
        await proc.sleep(1_000)

    assert (
        result(world(root=root, stays=stays))
        == ["ENOENT"] * 5 + ["ESRCH"] * 3 + ["EINVAL"] * 2 + ["ENOENT"] + ["EINVAL"] * 3
    )


def test_where_nothing_is_joined_input_is_at_its_end_and_output_is_for_people() -> None:
    async def root(proc: Process) -> Any:
        await proc.stdout.write("shown")
        outlet = await proc.pipe(outlet=True)
        for n in range(200):
            await outlet.output.write(n)
        return [await proc.stdin.read(), proc.stdin.piped, proc.stdout.piped, (await outlet.look())["written"]]

    shard = world(root=root)
    assert result(shard) == [None, False, False, 200]
    assert [e.pipe for e in shard.events(ev.PipeWritten)] == [0] + [1] * 200


def test_who_is_cancelled_while_it_reads_loses_nothing() -> None:
    async def root(proc: Process) -> Any:
        pipe = await proc.pipe()
        got: list[Any] = []
        writer = await proc.spawn("slow", stdout=pipe)
        await pipe.output.close()
        while True:
            try:
                chunk = await asyncio.wait_for(pipe.input.read(), 0.3)
            except TimeoutError:
                got.append("late")
                continue
            if chunk is None:
                break
            got.append(chunk)
        await proc.wait(writer)
        return [chunk for chunk in got if chunk != "late"], "late" in got

    async def slow(proc: Process) -> None:
        for n in range(5):
            await proc.sleep(0.5)
            await proc.stdout.write(n)

    assert result(world(root=root, slow=slow)) == [[0, 1, 2, 3, 4], True]


@pytest.mark.parametrize("kept", [True, False])
def test_a_reader_that_fails_is_given_again_what_it_had_read_or_told_that_it_cannot_be(
    kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PIPE_KEPT_MAX", 100 if kept else 2)
    lives: list[int] = []

    async def fails(proc: Process) -> Any:
        lives.append(proc.history.incarnation)
        got: list[Any] = []
        try:
            async for chunk in proc.stdin:
                got.append(chunk)
                if chunk == "4" and proc.history.incarnation == 1:
                    raise ValueError("once")
        except Epipe as error:
            return error.detail
        return got

    async def root(proc: Process) -> Any:
        pipe = await proc.pipe()
        writer = await proc.spawn("counts", stdout=pipe)
        reader = await proc.spawn("fails", stdin=pipe, restarts=1)
        await pipe.close()
        got = (await proc.wait(reader)).result
        await proc.wait(writer)
        return got

    found = result(world(**{**PROGRAMS, "root": root, "fails": fails}))
    assert found == ([str(n) for n in range(COUNT)] if kept else {"cause": "lost"})


def test_a_server_reads_on_from_its_last_message() -> None:
    class Pulls(Server):
        async def on_pull(self) -> Any:
            chunk = await self.proc.stdin.read()
            if chunk == "2" and self.message.attempt == 1:
                raise ValueError("once")
            return chunk

    async def root(proc: Process) -> Any:
        pipe = await proc.pipe()
        writer = await proc.spawn("counts", 5, stdout=pipe)
        server = await proc.spawn("Pulls", stdin=pipe, restarts=3)
        await pipe.close()
        got = [await proc.call(server, "pull") for _ in range(6)]
        await proc.kill(server, 9)
        await proc.wait(writer)
        return got

    assert result(world(**{**PROGRAMS, "root": root, "Pulls": Pulls})) == ["0", "1", "2", "3", "4", None]


def test_a_process_has_as_many_pipes_as_it_may_and_those_that_nobody_has_are_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "PIPES_MAX", 2)

    async def root(proc: Process) -> Any:
        pipes = [await proc.pipe(), await proc.pipe()]
        with pytest.raises(KernelError) as caught:
            await proc.pipe()
        await pipes[0].close()
        await proc.pipe()
        await pipes[1].output.write("x")
        reader = await proc.spawn("one", stdin=pipes[1], restarts=1)
        await proc.wait(reader)
        return caught.value.errno

    async def one(proc: Process) -> None:
        await proc.stdin.read()
        await proc.stdin.close()

    shard = world(root=root, one=one)
    left: list[Any] = []

    async def does(kernel: Any) -> Any:
        ended = await kernel.operator.wait_ended(shard.spawn(kernel, "root"))
        pipes = kernel.state.pipes
        left.append((pipes.pipes, pipes.held, pipes.waits, pipes.due, pipes.kept))
        return ended["result"]

    assert shard.run(does) == "EAGAIN"
    shard.loop.close()
    assert left == [({}, {}, {}, {}, {})]


def test_a_run_of_a_child_can_be_given_ends() -> None:
    async def root(proc: Process) -> Any:
        pipe = await proc.pipe()
        await pipe.output.write("a")
        await pipe.output.close()
        with pytest.raises(ChildFailed):
            await proc.run("fails", stdin=pipe)
        return await proc.run("collects", stdin=pipe)

    async def fails(proc: Process) -> None:
        raise ValueError("no")

    assert result(world(**{**PROGRAMS, "root": root, "fails": fails})) == ["a"]


@pytest.mark.parametrize("seed", range(6))
def test_a_machine_that_goes_out_again_and_again_in_the_end_has_passed_everything_on(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(limits, "PIPE_CHUNKS_MAX", chance.randint(1, 4))
    counts_by = [chance.randint(0, 12) for _ in range(3)]

    async def root(proc: Process) -> Any:
        first, second = await proc.pipe(), await proc.pipe()
        writers = [await proc.spawn("names", name, count, stdout=first) for name, count in enumerate(counts_by)]
        between = [await proc.spawn("passes", stdin=first, stdout=second) for _ in range(2)]
        reader = await proc.spawn("collects", stdin=second)
        await first.close()
        await second.close()
        ended = [await proc.wait(pid) for pid in (*writers, *between)]
        return [[end.status for end in ended], (await proc.wait(reader)).result]

    async def names(proc: Process, name: int, count: int) -> None:
        for n in range(count):
            if n % 3 == name:
                await proc.sleep(0.1)
            await proc.stdout.write([name, n])

    async def passes(proc: Process) -> None:
        async for chunk in proc.stdin:
            await proc.stdout.write(chunk)

    shard = world(root=root, names=names, passes=passes, collects=collects)
    ended, last = None, 1
    while ended is None:
        last += chance.randint(1, 12)
        ended = run(shard, stop_at=last if chance.random() < 0.9 else 0)
    shard.loop.close()
    statuses, got = ended["result"]
    assert statuses == [0] * 5
    assert sorted(got) == sorted([name, n] for name, count in enumerate(counts_by) for n in range(count))
