"""What a command says when it could not do what was asked: what is wrong, and what to do next.

For people it is two lines on standard error. With --json it is one object there:

    {"errno": "ESRCH", "message": "…", "retryable": false, "detail": {…}, "next": "…"}

Whoever raises an error knows best what to do about it, and says it as the exception's note; else the errno says it.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Any

import click

from prytany.abi.errors import ERRORS, KernelError
from prytany.cli.text import close_output, json_line, safe, say
from prytany.ports.store import StoreError, StoreFull, StoreLocked

FAILED = 2
INTERRUPTED = 130
OUTPUT_CLOSED = 141
"""As the shell has it for a command that SIGINT (2) or SIGPIPE (13) ended: 128 and the signal's number."""

PLACE_CHARS_MAX = 1_024
"""Of a path, in what is said of it."""
AGAIN = "try again in a moment"
BEGINS = "prytany --help shows which commands there are"
NEXT = {
    "EPERM": "prytany inspect PID shows what it has pledged, and the manual what each call needs",
    "EACCES": "see with ls -ld whose it is and who may open it, or name another place",
    "ESRCH": "prytany ps shows which processes there are",
    "EIO": "prytany journal verify says whether the home is damaged, and prytany doctor what the machine lacks",
    "ENOSPC": "make room on the disk",
    "EPIPE": "prytany ps shows what was done; prytany resume lets the home go on",
    "ECHILD": "prytany tree shows who is whose child",
    "EDEADLK": "prytany ps shows what waits for what; end one of them with prytany kill",
    "EDQUOT": "prytany inspect PID shows its limits, and how far they are used",
    "ECANCELED": "nothing was done; give the same command again where it is still wanted",
    "EMODEL": "prytany models list shows what each model lacks, and prytany models try asks one",
    "ETOOL": "prytany logs tools.NAME shows what the file of tools printed",
    "EREPLAY": "prytany incidents shows what needs a person, and how it is settled",
    "EINDOUBT": "prytany incidents shows what needs a person, and how it is settled",
    "EPOLICY": "undo what the rule forbids, or let the run go on from what it had: prytany ps shows it",
}


def advised(error: KernelError, *advice: str) -> KernelError:
    """`error`, with what to do about it, unless that is said already."""
    if not getattr(error, "__notes__", None):
        for line in advice:
            error.add_note(line)
    return error


def fail(error: BaseException, app: click.Group, arguments: Sequence[str]) -> int:
    """Tell what ended the command; its exit code. Raises `error` where it is a bug of ours."""
    as_json = wants_json(arguments)
    match error:
        case BrokenPipeError():
            close_output()
            return OUTPUT_CLOSED
        case KeyboardInterrupt() | click.Abort() | EOFError():
            _tell("EINTR", "interrupted", f"{_typed(app, arguments)} begins again", as_json, retryable=True)
            return INTERRUPTED
        case click.ClickException():
            # What click shows goes over several lines where it offers choices.
            message = " ".join(error.format_message().split()).rstrip(".")
            _tell("EINVAL", message, f"{_typed(app, arguments)} --help shows what it takes", as_json, bare=True)
        case KernelError() | StoreError() | OSError():
            tell(error, as_json, f"{_typed(app, arguments)} --help shows what it takes")
        case _:
            raise error
    return FAILED


def tell(error: KernelError | StoreError | OSError, as_json: bool, otherwise: str = "", **facts: Any) -> None:
    """Say what is wrong and what to do next, `otherwise` where neither the error nor its errno knows."""
    name, message, retryable, detail = _parts(error)
    advice = "; ".join(getattr(error, "__notes__", ())) or NEXT.get(name) or (AGAIN if retryable else otherwise)
    advice = advice or BEGINS
    _tell(name, message, advice, as_json, retryable=retryable, detail=detail, **facts)


def _parts(error: KernelError | StoreError | OSError) -> tuple[str, str, bool, dict[str, Any]]:
    match error:
        case KernelError():
            return error.errno, error.message, error.retryable, error.detail
        case StoreFull():
            return "ENOSPC", str(error), False, {}
        case StoreLocked():
            return "EBUSY", str(error), True, {}
        case StoreError():
            return "EIO", str(error), False, {}
        case OSError():
            name = errno.errorcode.get(error.errno or errno.EIO, "EIO")
            place = f"{str(error.filename)[:PLACE_CHARS_MAX]}: " if error.filename else ""
            known = ERRORS.get(name)
            return name, f"{place}{error.strerror or error}", bool(known and known.retryable), {}


def _tell(
    name: str, message: str, advice: str, as_json: bool, *, retryable: bool = False,
    detail: dict[str, Any] | None = None, bare: bool = False, **facts: Any,
) -> None:  # fmt: skip
    if as_json:
        told = {"errno": name, "message": message, "retryable": retryable, "detail": detail or {}, "next": advice}
        say(json_line({**facts, **told}))
        return
    # Of a fleet file each fault has a line of its own, and what it quotes has none.
    for part in message.split("\n") if detail and "faults" in detail else (message,):
        say(f"prytany: {part}" if bare else f"prytany: [{name}] {part}")
    if advice:
        say(f"next: {advice}")


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for JSON, whatever else is wrong with it."""
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in before


def _typed(app: click.Group, arguments: Sequence[str]) -> str:
    """The command that was meant, as it is typed."""
    words, commands = ["prytany"], app.commands
    for argument in arguments:
        found = commands.get(argument)
        if found is not None:
            words.append(argument)
            commands = getattr(found, "commands", {})
        elif not commands:
            break
    return safe(" ".join(words))
