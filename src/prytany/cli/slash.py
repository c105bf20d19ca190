"""The commands within a talk: a line that begins with a slash and a word."""

from __future__ import annotations

import re
from typing import Any

from prytany.abi.errors import KernelError
from prytany.cli.talk import Talk
from prytany.cli.totals import total_line

COMMAND = re.compile(r"/([a-z]+)\s*\Z")
HELP = {
    "help": "this",
    "new": "begin a new conversation: what was said is forgotten, and skills are read anew",
    "tools": "what the agent can use",
    "cost": "what the session took so far",
    "keep": "let it live on without you; attach comes back to it",
    "end": "end it, for everybody who is in it",
    "quit": "leave, as Ctrl-D does",
}


def command_of(line: str) -> str:
    """The command that a line is, or ""; a text that is meant to begin so has a space before."""
    found = COMMAND.match(line)
    return found.group(1) if found else ""


async def carry_out(talk: Talk, name: str) -> bool:
    """Do it, and say what came of it; whether the talk ends. Raises KernelError where the kernel refuses."""
    client, line = talk.client, talk.screen.line
    match name:
        case "new":
            await talk.tell("new", {})
        case "tools":
            await talk.tell("tools", {})
        case "cost":
            line(total_line((await client.inspect(talk.pid)).tree))
        case "keep" if talk.session:
            await client.keep_session(talk.pid, True)
            line(f"[it lives on without you, as session {talk.pid}]")
        case "end" if talk.session:
            await client.close_session(talk.pid)
            return True
        case "quit":
            return True
        case "help":
            for known, what in HELP.items():
                line(f"/{known:<6} {what}")
            line("Ctrl-C ends an answer, Ctrl-D leaves.")
            line('A backslash at the end of a line, or """ around lines, makes them one message.')
        case "keep" | "end":
            line("[this is a process, and no session]")
        case _:
            line(f"[there is no /{name}; /help says what there is. A space before the slash says it to the agent]")
    return False


def refused(error: KernelError) -> Any:
    """What is shown of a command or a message that the kernel refused."""
    advice = "; ".join(getattr(error, "__notes__", ()))
    return f"[{error.errno}: {error.message}{'; ' + advice if advice else ''}]"
