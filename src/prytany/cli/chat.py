"""`chat` and `attach`: a person and an agent; answers as they come, interrupted with Ctrl-C.

A session is an object of the kernel: who has it, the agent, and what ends with it. Where a kernel runs in the home, the
session is one of it; else a kernel lives here, for as long as the talk does.
"""

from __future__ import annotations

import os
import pwd
import shlex
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import uvloop

from prytany.abi import limits
from prytany.abi.budgets import Budget
from prytany.abi.control import FleetRow, SessionRow
from prytany.abi.errors import Eagain, Einval, Enoent, Esrch
from prytany.abi.ids import Pid, format_pid
from prytany.cli.attached import command, reach
from prytany.cli.bringing import resolved
from prytany.cli.failure import advised
from prytany.cli.heeded import asked_by_nobody, only_at_begin
from prytany.cli.last import last_notices
from prytany.cli.run import Terms
from prytany.cli.talking import talk_with
from prytany.cli.text import note
from prytany.cli.trusting import trusted
from prytany.cli.up import kernel_here
from prytany.client import Client, attach
from prytany.system.service_manager import ServiceManager

RECALLED_ENTRIES = 20_000
"""How far back of the journal the last words are looked for, when somebody comes to a session."""


class Manner(NamedTuple):
    """How somebody talks."""

    as_json: bool
    say: str | None = None
    """One message, and no more; None is what standard input holds."""
    kept: bool = False
    grace_ms: int = limits.SESSION_GRACE_MS
    user: str = ""
    """As they give it; "" is their name on this machine."""
    tags: tuple[str, ...] = ()
    budget: Budget | None = None
    """Of the session's run, over what it has by default."""


def user_of(given: str) -> str:
    """The name that a session has its user by."""
    if given:
        return given
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid {os.getuid()}"


def chat(terms: Terms, target: Path, agent: str, manner: Manner, *, trust: bool, given: Collection[str] = ()) -> int:
    """A session with an agent; the exit code. `given` are the options that were typed, and hold where a kernel
    begins."""

    if manner.kept and "grace" in given:
        note("--grace: without effect beside --keep, with which nobody is waited for", terms.as_json,
             without_effect=["--grace"])  # fmt: skip
    ServiceManager.take(os.environ)  # nobody is told of a session, and nothing that it starts can be

    async def run() -> int:
        client = await _live(terms.home)
        if client is None:
            return await _chat_here(terms, target, agent, manner, trust=trust)
        try:
            if "model" in given:
                raise advised(
                    Einval("--model is for a kernel that begins, and one runs in this home"),
                    "leave it out; or name the model in the fleet file, and bring that up again; or use another --home",
                )
            only_at_begin(("unconfined", "trust"), given, terms.home, terms.as_json)
            rows = await client.fleets()
            if "target" in given:
                rows = _of_file(rows, target, terms.home)
            fleet, name = agent_of(rows, agent)
            return await _begin(client, fleet, name, manner, own=False)
        finally:
            await client.close()

    return uvloop.run(run())


async def _chat_here(terms: Terms, target: Path, agent: str, manner: Manner, *, trust: bool) -> int:
    fleet = resolved(target)
    name = agent or fleet.entry
    found = fleet.agents.get(name)
    if found is None or found.chat is None:
        chats = [a.name for a in fleet.agents.values() if a.chat is not None]
        said = f"there is no chat agent {name!r} in {target}{': it is a program' if found else ''}"
        raise advised(Enoent(said), f"its chat agents are: {', '.join(chats) or 'none'}")
    digest = trusted(fleet, (), terms.home, trust, terms.as_json)
    asked_by_nobody(terms.model, fleet, terms.as_json)
    quiet = terms._replace(quiet=True)
    async with kernel_here(quiet, any(not a.model for a in fleet.agents.values()), ServiceManager()) as up:
        try:
            await up.bring(fleet, digest)
            own = await attach(terms.home)
            try:
                return await _begin(own, fleet.name, name, manner, own=True)
            finally:
                await own.close()
        finally:
            await last_notices(up.shard, terms.home, terms.as_json)


async def _begin(client: Client, fleet: str, agent: str, manner: Manner, *, own: bool) -> int:
    after = (await client.status()).head
    row = await client.open_session(
        fleet, agent, user_of(manner.user), kept=manner.kept, grace_ms=manner.grace_ms, tags=manner.tags,
        budget=manner.budget,
    )  # fmt: skip
    accounts = await client.budgets(row.session)
    return await talk_with(
        client, row.session, after, manner.as_json, manner.say, session=True, own=own, accounts=accounts
    )


def attach_to(home: Path, manner: Manner, pid: int) -> int:
    """Go on with a session, by its number or any process of it, or talk with a process that takes `say`; the exit code.

    Args:
        home: the kernel's.
        manner: how.
        pid: the session, or a process; 0 is the only session that is open.
    """

    async def go_on(client: Client) -> int:
        rows = await client.sessions()
        row = _of(rows, pid) if pid else _only([row for row in rows if row.state == "open"], home)
        status = await client.status()
        if row is None:
            after, pid_ = status.head, await _listener(client, pid)
            return await talk_with(client, pid_, after, manner.as_json, manner.say, session=False, own=False)
        if row.state != "open":
            how = "is being ended" if row.state == "closing" else "has ended"
            raise advised(
                Esrch(f"session {format_pid(Pid(row.session))} {how}: {row.reason}"),
                f"see which there are with: {command('sessions', home)}",
                f"begin another with: {command(f'chat {row.agent}', home)}",
            )
        recent = status.head - row.spoken_seq <= RECALLED_ENTRIES and row.spoken_seq > 0
        recalled = recent and (row.unanswered or manner.say is None)
        after = row.spoken_seq - 1 if recalled else status.head
        return await talk_with(
            client, row.session, after, manner.as_json, manner.say, session=True, own=False,
            recalls=status.head if recalled and not row.unanswered else 0,
        )  # fmt: skip

    async def run() -> int:
        client = await _live(home)
        if client is None:
            raise advised(Eagain("nothing runs in this home"), f"bring its fleet up again with: {command('up', home)}")
        try:
            return await go_on(client)
        finally:
            await client.close()

    return uvloop.run(run())


def _of(rows: list[SessionRow], pid: int) -> SessionRow | None:
    return next((row for row in rows if row.session == pid), None)


def _only(rows: list[SessionRow], home: Path) -> SessionRow:
    if len(rows) == 1:
        return rows[0]
    if not rows:
        raise advised(Enoent("no session is open"), f"begin one with: {command('chat', home)}")
    there = ", ".join(f"{format_pid(Pid(row.session))} ({row.agent}, {row.user})" for row in rows[:20])
    raise advised(Einval("which session is meant?"), f"name one of {there}")


async def _listener(client: Client, pid: int) -> int:
    """A process that is no session, where it takes messages; raises Esrch, Einval."""
    try:
        found = await client.inspect(pid)
    except Esrch as error:
        raise advised(error, f"see which sessions there are with: {command('sessions', client.home)}") from None
    name = format_pid(Pid(pid))
    if found.session:
        return found.session
    if found.state == "terminated":
        raise advised(Esrch(f"process {name} has ended"), f"see how with: {command(f'inspect {name}', client.home)}")
    if "ipc" not in found.pledge:
        raise advised(
            Einval(f"process {name} is no session, and takes no messages"),
            f"see which sessions there are with: {command('sessions', client.home)}",
        )
    return pid


def _of_file(rows: list[FleetRow], target: Path, home: Path) -> list[FleetRow]:
    """The fleet of that file, where it is up. Raises Enoent."""
    name = resolved(target).name
    found = [row for row in rows if row.stays and row.name == name]
    if not found:
        how = command(f"up {shlex.quote(str(target))}", home)
        raise advised(Enoent(f"the fleet {name} of {target} is not up on the kernel that runs here"), f"{how} does it")
    return found


def agent_of(rows: list[FleetRow], agent: str) -> tuple[str, str]:
    """The fleet that is up and has the agent, and the agent, `AGENT` or `FLEET.AGENT`; "" is the entry of the only
    fleet, or the only chat agent. Raises Enoent, Einval."""
    up = [row for row in rows if row.stays]
    there = sorted({(row.name, name) for row in up for name in row.chats})
    if agent:
        every = [(row.name, name) for row in up for name in row.agents]
        found = sorted({(fleet, name) for fleet, name in every if agent in (name, f"{fleet}.{name}")})
        found = [one for one in found if one in there] or found
    else:
        found = [(up[0].name, up[0].entry)] if len(up) == 1 and up[0].entry in up[0].chats else there
    if len(found) == 1:
        return found[0]
    names = [name for _, name in there]
    known = ", ".join(f"{fleet}.{name}" if names.count(name) > 1 else name for fleet, name in there) or "none"
    if not there:
        raise advised(Enoent("a kernel runs in this home, and no fleet is up on it"), "bring one up with: prytany up")
    if not found:
        raise advised(Enoent(f"no fleet that is up has an agent {agent!r}"), f"there are {known}")
    raise advised(Einval("which agent is meant?"), f"name one of {known}")


async def _live(home: Path) -> Client | None:
    try:
        client = await reach(home)
    except Enoent:
        return None
    if client.live:
        return client
    await client.close()
    return None
