"""`shared`: the values that processes share, and what one holds."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from prytany.abi.control import SegmentRow
from prytany.abi.errors import Einval, Eio, Enoent
from prytany.abi.ids import Pid, format_pid
from prytany.abi.wire import UNREADABLE
from prytany.cli.attached import command, duration, with_client
from prytany.cli.failure import advised
from prytany.cli.reader import open_reader
from prytany.cli.table import Column, Line, table
from prytany.cli.text import json_line, safe, say
from prytany.drivers.clocks.system import SystemClock
from prytany.journal.bodies import Stored
from prytany.kernel.ledger import TENANT

COLUMNS = (
    Column("NAME", long=True), Column("OF", long=True), Column("VERSION", right=True), Column("BYTES", right=True),
    Column("WRITTEN BY", long=True), Column("AGO", right=True), Column("AWAITED BY", right=True),
)  # fmt: skip


def list_segments(home: Path, scope: str, as_json: bool) -> None:
    """A line for each."""
    rows = [row for row in with_client(home, lambda client: client.segments()) if scope in ("", row.scope)]
    if as_json:
        for row in rows:
            print(json_line(row))
        return
    if not rows:
        say("nothing is shared")
        return
    now_ns = SystemClock().now_ns()
    lines = [
        Line([
            row.name, row.where, str(row.version), f"{row.size_bytes:,}",
            f"{format_pid(Pid(row.pid))} {row.writer}", duration(now_ns - row.written_ns), str(row.waiting),
        ])
        for row in rows
    ]  # fmt: skip
    for line in table(COLUMNS, lines):
        print(line)


def show_segment(home: Path, name: str, scope: str, as_json: bool) -> None:
    """What it holds: as one line of JSON. Raises Enoent, Einval where several have that name, Eio."""
    rows = with_client(home, lambda client: client.segments())
    found = [row for row in rows if row.name == name and scope in ("", row.scope)]
    if not found:
        raise advised(
            Enoent(f"nothing is shared by the name {name[:100]!r}"), f"see what is: {command('shared', home)}"
        )
    if len(found) > 1:
        scopes = [row.scope for row in found]
        raise advised(
            Einval(f"{len(found)} scopes share a value of that name: {', '.join(scopes[:10])}"),
            "say which with --scope",
        )
    row = found[0]
    value = _value(home, row)
    if as_json:
        print(json_line({**msgspec.to_builtins(row), "holds": value}))
    else:
        print(safe(json_line(value)))


def _value(home: Path, row: SegmentRow) -> Any:
    with closing(open_reader(home, pinned=False)) as reader:
        entry = reader.row(row.entry)
        packed = entry.bodies if entry is not None else b""
        content = Stored(reader, TENANT, packed, f"the shared value {row.name!r}").read(bytes.fromhex(row.value))
    try:
        return msgspec.msgpack.decode(content)
    except UNREADABLE as error:
        raise Eio(f"the shared value {row.name!r} cannot be read: {error}") from None
