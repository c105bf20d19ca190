"""`logs`: what processes, and files of tools, printed, and further as they print it; control characters are escaped."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prytany.abi import events as ev
from prytany.abi import limits
from prytany.abi.errors import Eagain, Einval, Enoent, Epipe, Esrch
from prytany.cli.attached import no_process, pid_of, reach
from prytany.cli.failure import INTERRUPTED, advised
from prytany.cli.going_on import tell_nothing_runs
from prytany.cli.moments import moment_ns
from prytany.cli.pattern import Pattern
from prytany.cli.reader import entry_of, open_reader, unknown
from prytany.cli.text import json_line, note, safe
from prytany.cli.watch import Watch
from prytany.client import Client
from prytany.drivers.clocks.system import SystemClock
from prytany.system.logs import printed_since, read_log

NAMES_MAX = limits.CONTROL_REQUESTS_MAX
LINE_BYTES_MAX = 64 << 10
"""Of a line that does not end; then it is shown as it is."""
LATE_S = 0.25
"""How long what a process printed last may take into its log."""
FOR_EVER = 1 << 62


def show_logs(
    home: Path, names: Sequence[str], as_json: bool = False, *, follow: bool = False, since: str = "", grep: str = "",
    last: int | None = None,
) -> int:  # fmt: skip
    """Print what each printed: the `last` lines that match, of those since then; the exit code of the command.

    Raises:
        Einval: a name, the time or the pattern makes no sense, or the search takes too long.
        Esrch, Enoent: the journal knows none of that name.
    """
    begin_ns = moment_ns(since, SystemClock().now_ns()) if since else None
    pattern = Pattern(grep) if grep else None
    sources = [Source(name, pattern, as_json) for name in dict.fromkeys(names)]
    if len(sources) > NAMES_MAX:
        raise Einval(f"at most {NAMES_MAX} logs are shown at once")
    open_reader(home).close()  # a folder without a journal is no home
    _check_known(home, sources)
    width = max(len(source.name) for source in sources)
    try:
        for source in sources:
            source.prefix = f"{source.name:>{width}} | " if len(sources) > 1 else ""
            source.begin(home, begin_ns, last, whole=follow)
        sys.stdout.flush()
        if follow:
            asyncio.run(_follow(home, sources, as_json))
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


class Source:
    """One log, and how far it was shown."""

    def __init__(self, name: str, pattern: Pattern | None, as_json: bool) -> None:
        """`name` is a pid, or `tools.NAME`; raises Einval."""
        kind, _, of = name.partition(".")
        self.tools = of if kind == "tools" and of.isidentifier() else ""
        self.pid = 0 if self.tools else pid_of(name)
        self.name = name if self.tools else str(self.pid)
        self.prefix = ""
        self._pattern = pattern
        self._as_json = as_json
        self._of: dict[str, Any] = {"tools": self.tools} if self.tools else {"pid": self.pid}
        self._at = 0
        self._begun = b""  # of a line that has not ended

    def begin(self, home: Path, begin_ns: int | None, last: int | None, *, whole: bool) -> None:
        """Show what is there."""
        if begin_ns is not None:
            printed = printed_since(home, self.name, begin_ns)
            if printed is None and read_log(home, self.name) is not None:
                note(f"when {self.name} printed what it did is not recorded: all of it is shown", self._as_json)
            self._at = printed or 0
        self._print(self._take(home, tells=begin_ns is None, whole=whole), last)

    def go_on(self, home: Path, *, ended: bool = False) -> None:
        """Show what is new; of what has ended, a line that has no end as well."""
        self._print(self._take(home, whole=not ended))

    def _take(self, home: Path, *, tells: bool = True, whole: bool = False) -> list[str]:
        """The lines that are new; where they are to be `whole`, without one that goes on."""
        log = read_log(home, self.name, self._at)
        if log is not None:
            if log.dropped > self._at and tells:
                self._tell_dropped(log.dropped if not self._at else log.dropped - self._at)
                self._begun = b""
            self._at = log.end
            self._begun += log.printed
        lines = self._begun.split(b"\n")
        self._begun = lines.pop()
        if self._begun and (not whole or len(self._begun) > LINE_BYTES_MAX):
            lines.append(self._begun)
            self._begun = b""
        return [line.decode("utf-8", "replace") for line in lines]

    def _tell_dropped(self, count: int) -> None:
        if self._as_json:
            print(json_line({**self._of, "dropped_bytes": count}))
        else:
            print(f"{self.prefix}[prytany: {count} bytes that it printed before this were dropped]")

    def _print(self, lines: list[str], last: int | None = None) -> None:
        if self._pattern is not None:
            lines = self._pattern.matching(lines)
        for line in lines if last is None else lines[max(0, len(lines) - last) :]:
            if self._as_json:
                sys.stdout.write(f"{json_line({**self._of, 'line': line})}\n")
            else:
                sys.stdout.write(f"{self.prefix}{safe(line, lines=True)}\n")


def _check_known(home: Path, sources: Sequence[Source]) -> None:
    """Raise Esrch or Enoent for what the journal does not know; what has a log is known."""
    silent = {source.name: source for source in sources if read_log(home, source.name, FOR_EVER) is None}
    if not silent:
        return
    granted: set[str] = set()
    for row in open_reader(home).rows(1):
        for event in entry_of(row).events:
            if isinstance(event, ev.ToolsGranted):
                granted.add(f"tools.{Path(event.path).stem}")
                silent.pop(f"tools.{Path(event.path).stem}", None)
            elif isinstance(event, ev.ProcessSpawned):
                silent.pop(str(event.pid), None)
        if not silent:
            return  # they are known, and printed nothing
    for source in silent.values():
        if source.tools:
            there = ", ".join(sorted(granted)[:5]) or "none"
            error = Enoent(f"no run here was granted a file of tools {source.tools!r}")
            raise advised(error, f"those that were granted: {there}")
        raise no_process(unknown(open_reader(home), source.name), home)


async def _follow(home: Path, sources: Sequence[Source], as_json: bool) -> None:
    """Go on with what they print until each has ended, or nothing runs any more."""
    client = await reach(home)
    if not client.live:
        try:
            for source in sources:
                source.go_on(home, ended=True)
            if all([await _has_ended(client, source) for source in sources]):
                note("nothing runs here, and what is followed has ended", as_json)
            else:
                await tell_nothing_runs(client, as_json)
        finally:
            await client.close()
        return
    watch = Watch(home / "logs", [f"{source.name}.log" for source in sources])
    ends = {asyncio.ensure_future(_end(client, source)): source for source in sources}
    changed = asyncio.ensure_future(watch.changed())
    try:
        _show(home, sources)  # what came before the watch was set
        while ends:
            done, _ = await asyncio.wait({changed, *ends}, return_when=asyncio.FIRST_COMPLETED)
            if changed in done:
                changed = asyncio.ensure_future(watch.changed())
            _show(home, list(ends.values()))
            stopped = False
            for end in [end for end in ends if end.done()]:
                source = ends.pop(end)
                stopped = not end.result() or stopped
                if end.result():
                    await asyncio.wait({changed}, timeout=LATE_S)
                source.go_on(home, ended=True)
            sys.stdout.flush()
            if stopped:
                await client.reach()
                if not client.live:
                    await tell_nothing_runs(client, as_json)
                return
    finally:
        for task in (changed, *ends):
            task.cancel()
        await asyncio.gather(changed, *ends, return_exceptions=True)
        watch.close()
        await client.close()


def _show(home: Path, sources: Sequence[Source]) -> None:
    for source in sources:
        source.go_on(home)
    sys.stdout.flush()


async def _has_ended(client: Client, source: Source) -> bool:
    """Whether it is a process that has ended; what there is to go on with is not its own then."""
    if not source.pid:
        return False
    try:
        return (await client.inspect(source.pid)).ended_ns > 0
    except Esrch:
        return True


async def _end(client: Client, source: Source) -> bool:
    """Wait until it prints nothing any more; whether it has ended, or else its kernel."""
    try:
        if source.pid:
            await client.wait(source.pid)
        else:
            await client.wait_entry(FOR_EVER)  # until the kernel stops
    except Esrch:
        return True
    except (Epipe, Eagain):
        return False
    return True
