"""`prytany`: what people type. Commands import what they need when they run: the bare one starts at once."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from prytany import __version__
from prytany.abi.errors import KernelError
from prytany.cli.options import (
    CallArgument,
    HomeOption,
    JsonOption,
    ModelOption,
    PidArgument,
    RunningOption,
    ToolsOption,
    UnconfinedOption,
)  # fmt: skip
from prytany.ports.store import StoreError

app = typer.Typer(name="prytany", add_completion=False, pretty_exceptions_enable=False)
models = typer.Typer(no_args_is_help=True)
journal = typer.Typer(no_args_is_help=True)
incidents = typer.Typer(invoke_without_command=True)

RUNNING, STEERING, HOME = "Running", "Looking and steering", "The home"


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="print the version")] = False
) -> None:
    """An operating system for AI agents.

    A kernel lives in `run` and in `resume`. The others speak to the one that runs in the home, or read its journal.
    """
    if version:
        print(f"prytany {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command(rich_help_panel=RUNNING)
def run(
    target: Annotated[str, typer.Argument(metavar="FILE.py:FUNCTION", help="a program in a Python file")],
    input: Annotated[
        Path | None, typer.Option("--input", metavar="DIR", help="a folder that the program may read")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="DIR", help="a folder that it may write; with --input, ./output by default"),
    ] = None,
    unveil: Annotated[
        list[str] | None,
        typer.Option("--unveil", metavar="DIR[:rw]", help="another folder to read, or to write; may be given again"),
    ] = None,
    arg: Annotated[
        list[str] | None,
        typer.Option("--arg", metavar="NAME=VALUE", help="an argument, as JSON or else text; may be given again"),
    ] = None,
    home: HomeOption = None,
    tools: ToolsOption = None,
    model: ModelOption = "",
    running: RunningOption = 64,
    unconfined: UnconfinedOption = False,
    python: Annotated[
        str, typer.Option("--python", metavar="PLACE", help="run it in this interpreter or virtual environment")
    ] = "",
) -> None:
    """Run a program to its end, with everything that it starts.

    Its arguments are `input` and `output`, the whole paths of these folders, where they are given, and each --arg.

    Ctrl-C stops it so that it can be resumed. Exits with the program's status.
    """
    from prytany.cli.arguments import given_arguments
    from prytany.cli.attached import command
    from prytany.cli.home import find_home
    from prytany.cli.run import run_program
    from prytany.cli.text import say
    from prytany.system.unveil import unveil_for_run

    place = find_home(home)
    files = list(tools or ())
    folders, unveiled = unveil_for_run(input, output, target, place, files, unveil or ())
    kwargs = given_arguments(arg or (), folders)
    say(f"home {place}  (look at it with: {command('ps', place)})")
    raise typer.Exit(
        run_program(
            place,
            target,
            kwargs,
            unveiled,
            model=model,
            running_max=running,
            unconfined=unconfined,
            python=python,
            tools=files,
        )
    )


@app.command(rich_help_panel=RUNNING)
def resume(
    home: HomeOption = None, model: ModelOption = "", running: RunningOption = 64, unconfined: UnconfinedOption = False
) -> None:
    """Go on with everything in a home that has not ended.

    What was answered before is not asked again. Exits with the status of the run.
    """
    from prytany.cli.attached import command
    from prytany.cli.home import find_home
    from prytany.cli.run import resume as resume_home
    from prytany.cli.text import say

    place = find_home(home)
    say(f"home {place}  (look at it with: {command('ps', place)})")
    raise typer.Exit(resume_home(place, model=model, running_max=running, unconfined=unconfined))


@app.command(rich_help_panel=STEERING)
def ps(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List processes, and what each waits for."""
    from prytany.cli.home import find_home
    from prytany.cli.listing import list_processes

    list_processes(find_home(home), as_json)


@app.command(rich_help_panel=STEERING)
def inspect(pid: PidArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show everything about a process: state, program, rights, limits, open calls, usage, incidents."""
    from prytany.cli.home import find_home
    from prytany.cli.inspect import inspect_process

    inspect_process(find_home(home), pid, as_json)


@app.command(rich_help_panel=STEERING)
def kill(
    pids: Annotated[list[str], typer.Argument(metavar="PID", help="processes, as ps shows them")],
    signal: Annotated[
        str, typer.Option("--signal", "-s", metavar="NAME", help="TERM, KILL, STOP, CONT, INT, USR1, USR2; or 9")
    ] = "TERM",
    home: HomeOption = None,
) -> None:
    """Signal processes: TERM lets a program tidy up, KILL does not.

    Where nothing runs, the signal is recorded, and the next resume goes on from there.
    """
    from prytany.cli.home import find_home
    from prytany.cli.kill import kill_processes

    raise typer.Exit(kill_processes(find_home(home), pids, signal))


@app.command(rich_help_panel=STEERING)
def send(
    pid: PidArgument,
    type: Annotated[str, typer.Argument(metavar="TYPE", help="the message's type; a Server takes it by on_TYPE")],
    body: Annotated[
        str | None, typer.Argument(metavar="BODY", help="JSON, or else text; by default what standard input holds")
    ] = None,
    text: Annotated[bool, typer.Option("--text", help="the body is text, whatever it looks like")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a message into the mailbox of a process that has pledged ipc.

    Where nothing runs, it is recorded, and lies there when the home is resumed.
    """
    from prytany.cli.home import find_home
    from prytany.cli.send import send_message

    send_message(find_home(home), pid, type, body, text, as_json)


@app.command(rich_help_panel=STEERING)
def upgrade(
    pid: PidArgument,
    target: Annotated[
        str, typer.Argument(metavar="[FILE.py:CLASS]", help="the program; by default its own, as it is on disk now")
    ] = "",
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move a Server to another version of its program, between two messages; its state goes through `migrate`.

    Where the new one fails to take the state over, the old one goes on, and an incident says so.
    """
    from prytany.cli.home import find_home
    from prytany.cli.upgrade import upgrade_process

    upgrade_process(find_home(home), pid, target, as_json)


@app.command(rich_help_panel=STEERING)
def wait(
    pid: PidArgument,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", min=0, help="exit with 124 when it has passed")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Wait until a process has ended, print what it returned, and exit with its status."""
    from prytany.cli.home import find_home
    from prytany.cli.wait import wait_process

    raise typer.Exit(wait_process(find_home(home), pid, timeout, as_json))


@incidents.callback()
def list_incidents(context: typer.Context, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List what needs a person, and settle it."""
    from prytany.cli.home import find_home
    from prytany.cli.incidents import list_incidents

    if context.invoked_subcommand is None:
        list_incidents(find_home(home), as_json)


@incidents.command()
def retry(context: typer.Context, pid: PidArgument, n: CallArgument, home: HomeOption = None) -> None:
    """Do it again: ask the model again, run what is in doubt again, let the process go on."""
    _settle(context, home, "retry", pid, n)


@incidents.command()
def skip(context: typer.Context, pid: PidArgument, n: CallArgument, home: HomeOption = None) -> None:
    """End the call with an error that its program sees; for the process itself (0): end it."""
    _settle(context, home, "skip", pid, n)


@incidents.command()
def give(
    context: typer.Context,
    pid: PidArgument,
    n: CallArgument,
    value: Annotated[str | None, typer.Argument(help="the result, as text; else what standard input holds")] = None,
    home: HomeOption = None,
    is_json: Annotated[bool, typer.Option("--json", help="the result is written as JSON")] = False,
) -> None:
    """Answer the call in the place of what it waits for."""
    from prytany.cli.incidents import given_value

    _settle(context, home, "give", pid, n, given_value(value, is_json))


def _settle(context: typer.Context, home: Path | None, choice: str, pid: str, n: int, value: object = None) -> None:
    from prytany.cli.home import find_home
    from prytany.cli.incidents import settle

    # `incidents --home H retry` means what `incidents retry --home H` does.
    above = context.parent.params.get("home") if context.parent else None
    settle(find_home(home or above), choice, pid, n, value)


@app.command(rich_help_panel=STEERING)
def trace(
    pid: PidArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on with what it does, until it ends")] = False,
    call: Annotated[
        list[str] | None, typer.Option("--call", metavar="NAME", help="only calls of that name; may be given again")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show every call of a process and how it ended, its messages, and its children's beginnings and ends."""
    from prytany.cli.home import find_home
    from prytany.cli.trace import trace_process

    raise typer.Exit(trace_process(find_home(home), pid, as_json, follow=follow, calls=call or ()))


@app.command(rich_help_panel=STEERING)
def logs(
    pid: Annotated[
        str, typer.Argument(metavar="PID", help="a process, as ps shows it; or tools.NAME, a file of tools")
    ],
    home: HomeOption = None,
) -> None:
    """Show what a process, or a file of tools, printed."""
    from prytany.cli.home import find_home
    from prytany.cli.listing import show_log

    show_log(find_home(home), pid)


@app.command("tools", rich_help_panel=HOME)
def list_tools(tools: ToolsOption = None, as_json: JsonOption = False) -> None:
    """List what files of tools hold: name, effect, and the secrets and resources that each needs."""
    from prytany.cli.tools import show_tools

    raise typer.Exit(show_tools(list(tools or ()), as_json))


@app.command(rich_help_panel=HOME)
def doctor(as_json: JsonOption = False) -> None:
    """Say what this machine can confine, and how to mend what is missing."""
    from prytany.runtime.checks import check_machine

    bad = 0
    for check in check_machine():
        bad += not check.ok
        if as_json:
            print(json.dumps({"name": check.name, "ok": check.ok, "missing": check.missing, "mend": check.mend}))
        else:
            print(
                f"{'ok     ' if check.ok else 'MISSING'} {check.name}"
                + ("" if check.ok else f": {check.missing}. {check.mend}")
            )
    raise typer.Exit(1 if bad else 0)


@models.callback()
def about_models() -> None:
    """Get the local model."""


@models.command()
def fetch() -> None:
    """Get the local model's weights, checked by their sha256."""
    from prytany.cli.models import fetch_with_bar

    fetch_with_bar()


@journal.callback()
def about_journal() -> None:
    """Check the journal of a home, keep what is sound of it, and forget."""


@journal.command()
def head(home: HomeOption = None) -> None:
    """Print the head, to be kept elsewhere: against it a cut tail shows."""
    from prytany.cli.home import find_home
    from prytany.cli.journal import show_head

    show_head(find_home(home))


@journal.command()
def verify(
    home: HomeOption = None,
    head: Annotated[str, typer.Option("--head", metavar="HEAD", help="a head that `journal head` printed before")] = "",
    as_json: JsonOption = False,
) -> None:
    """Check every record, body and snapshot, and say where one is damaged."""
    from prytany.cli.home import find_home
    from prytany.cli.journal import verify_home

    raise typer.Exit(verify_home(find_home(home), head, as_json))


@journal.command()
def forget(pid: PidArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Destroy the content of a process that has ended: arguments, results, and what it printed.

    The chain still verifies. A kernel may be running; what others name as well is kept.
    """
    from prytany.cli.forget import forget_process
    from prytany.cli.home import find_home

    forget_process(find_home(home), pid, as_json)


@journal.command()
def keep(
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="a new folder, which becomes a home")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new home of what is sound of a damaged one, which is only read."""
    from prytany.cli.home import find_home
    from prytany.cli.journal import keep_sound_part

    keep_sound_part(find_home(home), to.absolute(), as_json)


app.add_typer(incidents, name="incidents", rich_help_panel=STEERING)
app.add_typer(journal, name="journal", rich_help_panel=HOME)
app.add_typer(models, name="models", rich_help_panel=HOME)


def main() -> None:
    """The command's entry: an error of the kernel's is a line and an exit code, never a traceback."""
    try:
        app()
    except (KernelError, StoreError) as error:
        from prytany.cli.text import safe

        print(f"prytany: {safe(str(error))}", file=sys.stderr)
        sys.exit(2)
