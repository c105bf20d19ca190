"""Attachments: who put one or was sent one reads it, nobody else, and it goes with the last who holds it."""

from __future__ import annotations

from pathlib import Path

from prytany.abi import limits
from prytany.drivers.stores.memory import MemoryStore
from prytany.kernel.folding import fold_from_start
from prytany.kernel.kernel import Kernel
from prytany.testing.virtual_shard import VirtualShard
from prytany.userland.process import Process
from tests.unit.kernel.puppets import Stage
from tests.unit.kernel.test_messages import staged


@staged
async def test_a_number_is_no_right_to_read(stage: Stage) -> None:
    one = await stage.root()
    two, three = await stage.child(one), await stage.child(one)
    errno, number = await stage.ask(one, "attachment_put", b"picture", "image/png")
    assert errno == ""
    assert (await stage.ask(one, "attachment_read", number)) == ("", b"picture")
    for other in (two, three):
        assert (await stage.ask(other, "attachment_read", number))[0] == "ENOENT"
        assert (await stage.ask(other, "message_send", two.pid, "x", {}, 0, [number]))[0] == "EINVAL"
        assert (await stage.ask(other, "attachment_put", b"more", "", number))[0] == "ENOENT"
    assert (await stage.ask(one, "message_send", two.pid, "x", {"$attachment": number}))[0] == ""
    assert (await stage.ask(two, "attachment_read", number))[0] == "ENOENT"  # it was not given, only told of
    assert (await stage.ask(one, "message_send", two.pid, "x", {}, 0, [number, number]))[0] == ""
    assert (await stage.ask(two, "attachment_read", number)) == ("", b"picture")
    for wrong in ([7], [-1], [number] * 17, ["x"], "x", [number, 1 << 63]):
        assert (await stage.ask(two, "message_send", three.pid, "x", {}, 0, wrong))[0] == "EINVAL"
    assert (await stage.ask(three, "attachment_read", number))[0] == "ENOENT"


@staged
async def test_forwarding_is_a_pointer_and_what_was_sent_is_not_added_to(stage: Stage) -> None:
    one = await stage.root()
    two = await stage.child(one)
    content = bytes(limits.ATTACHMENT_PART_BYTES_MAX)
    number = (await stage.ask(one, "attachment_put", content))[1]
    assert (await stage.ask(one, "attachment_put", b"end", "", number))[0] == ""
    bodies = len(list(stage.store.reader().bodies()))
    size_bytes = stage.kernel.table.journal_bytes
    assert (await stage.ask(one, "message_send", two.pid, "x", {}, 0, [number]))[0] == ""
    assert stage.kernel.table.journal_bytes - size_bytes < 1_000
    assert (await stage.ask(two, "attachment_read", number, 1)) == ("", b"end")
    assert (await stage.ask(two, "attachment_read", number))[1] == content
    assert len(list(stage.store.reader().bodies())) == bodies
    assert (await stage.ask(one, "attachment_put", b"late", "", number))[0] == "EINVAL"


@staged
async def test_it_goes_with_the_last_who_holds_it(stage: Stage) -> None:
    one = await stage.root()
    two = await stage.child(one, restarts=1)
    number = (await stage.ask(one, "attachment_put", b"x"))[1]
    await stage.ask(one, "message_send", two.pid, "x", {}, 0, [number])
    assert (await stage.ask(one, "attachment_drop", number))[0] == ""
    assert (await stage.ask(one, "attachment_read", number))[0] == "ENOENT"
    two.call("process_exit", 1)
    await stage.settled()
    two = stage.puppets[two.pid]
    assert (await stage.ask(two, "attachment_read", number)) == ("", b"x")  # it has failed, and is still it
    assert fold_from_start(stage.store.reader()).state.encode() == stage.kernel.state.encode()
    two.call("process_exit", 0)
    await stage.settled()
    assert not stage.kernel.state.attachments.items
    assert not stage.kernel.state.attachments.held


@staged
async def test_attachments_are_bounded(stage: Stage) -> None:
    one = await stage.root()
    two = await stage.child(one)
    number = (await stage.ask(one, "attachment_put", bytes(10)))[1]
    assert (await stage.ask(one, "attachment_put", bytes(limits.ATTACHMENT_PART_BYTES_MAX + 1)))[0] == "EINVAL"
    limits.ATTACHMENT_BYTES_MAX, before = 15, limits.ATTACHMENT_BYTES_MAX
    try:
        assert (await stage.ask(one, "attachment_put", bytes(6), "", number))[0] == "EINVAL"
        assert (await stage.ask(one, "attachment_put", bytes(5), "", number))[0] == ""
    finally:
        limits.ATTACHMENT_BYTES_MAX = before
    limits.ATTACHMENTS_MAX, most = 1, limits.ATTACHMENTS_MAX
    try:
        assert (await stage.ask(two, "attachment_put", b"own"))[0] == ""
        assert (await stage.ask(one, "message_send", two.pid, "x", {}, 0, [number]))[0] == "EAGAIN"
    finally:
        limits.ATTACHMENTS_MAX = most
    assert not stage.kernel.post.box(two.pid).waiting


async def painter(proc: Process, pid: int) -> None:
    """Sends a picture, which is larger than a message may be."""
    picture = await proc.attach(bytes(range(256)) * 16_384, "image/png")
    await proc.send(pid, "picture", picture=picture, others=[await proc.attach(b"small")])


async def viewer(proc: Process) -> list[object]:
    """Sends it on to itself, and reads it."""
    pid = await proc.spawn("painter", proc.pid)
    message = await proc.receive()
    await proc.wait(pid)  # who put it has ended
    picture, small = proc.attachment(message.body["picture"]), proc.attachment(message.body["others"][0])
    await message.done()
    await proc.send(proc.pid, "again", picture=picture)
    again = proc.attachment((await proc.receive()).body["picture"])
    read, part = await again.read(), await picture.image()
    return [len(read), read[:3] == b"\0\1\2", part["type"], part["data"] == read, await small.read(), again.media_type]


def test_a_program_sends_and_reads_attachments_and_a_crash_in_between_changes_nothing(tmp_path: Path) -> None:
    world = VirtualShard({"viewer": viewer, "painter": painter}, {}, pledge=("ipc", "proc"))

    async def to_its_end(kernel: Kernel) -> object:
        pid = 1 if kernel.table.get(1) is not None else world.spawn(kernel, "viewer")
        return (await kernel.operator.wait_ended(pid))["result"]

    expected = [4 << 20, True, "image", True, b"small", "image/png"]
    try:
        assert world.run(to_its_end) == expected
        entries = len(world.entries())
        for stop_at in range(4, entries, 3):
            world.store = MemoryStore()
            assert world.run(to_its_end, stop_at) is None
            assert world.run(to_its_end) == expected, stop_at
    finally:
        world.loop.close()
