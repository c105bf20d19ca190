"""`prytany`: what people type. Commands import what they need when they run: the bare one starts at once."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from prytany import __version__
from prytany.abi.errors import KernelError
from prytany.ports.store import StoreError

app = typer.Typer(name="prytany", add_completion=False, pretty_exceptions_enable=False)
models = typer.Typer(no_args_is_help=True, help="The models at hand.")
journal = typer.Typer(no_args_is_help=True, help="The journal of a home.")
incidents = typer.Typer(invoke_without_command=True, help="What needs a person, and settling it.")
app.add_typer(models, name="models")
app.add_typer(incidents, name="incidents")
app.add_typer(journal, name="journal")

HomeOption = Annotated[
    Path | None, typer.Option("--home", help="the home; else PRYTANY_HOME, else the nearest .prytany")
]
ModelOption = Annotated[str, typer.Option("--model", help="scripted, local, or a .gguf file")]
RunningOption = Annotated[int, typer.Option("--running", min=1, help="how many processes run at once")]
UnconfinedOption = Annotated[bool, typer.Option("--unconfined", help="accept that workers are not confined")]
ToolsOption = Annotated[
    list[Path] | None,
    typer.Option("--tools", help="a file of the operator's tools, granted to the run; may be given again"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="one JSON object a line")]
PidArgument = Annotated[str, typer.Argument(metavar="PID", help="a process, as ps shows it")]
CallArgument = Annotated[int, typer.Argument(metavar="N", min=0, help="its call, as incidents shows it")]


@app.callback(invoke_without_command=True)
def root(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="print the version")] = False
) -> None:
    """An operating system for AI agents."""
    if version:
        print(f"prytany {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def run(
    target: Annotated[str, typer.Argument(help="module.py:function")],
    input: Annotated[Path | None, typer.Option("--input", help="a folder that the program may read")] = None,
    output: Annotated[Path | None, typer.Option("--output", help="a folder that it may write")] = None,
    home: HomeOption = None,
    tools: ToolsOption = None,
    model: ModelOption = "",
    running: RunningOption = 64,
    unconfined: UnconfinedOption = False,
    python: Annotated[str, typer.Option("--python", help="run it in this interpreter or virtual environment")] = "",
) -> None:
    """Run a program to its end, with everything that it starts."""
    from prytany.cli.attached import command
    from prytany.cli.home import find_home
    from prytany.cli.run import run_program
    from prytany.system.unveil import unveil_for_run

    place = find_home(home)
    files = list(tools or ())
    kwargs, unveil = unveil_for_run(input, output, target, place, files)
    print(f"home {place}  (look at it with: {command('ps', place)})", file=sys.stderr)
    raise typer.Exit(
        run_program(
            place,
            target,
            kwargs,
            unveil,
            model=model,
            running_max=running,
            unconfined=unconfined,
            python=python,
            tools=files,
        )
    )


@app.command()
def resume(
    home: HomeOption = None, model: ModelOption = "", running: RunningOption = 64, unconfined: UnconfinedOption = False
) -> None:
    """Go on with everything in a home that has not ended."""
    from prytany.cli.attached import command
    from prytany.cli.home import find_home
    from prytany.cli.run import resume as resume_home

    place = find_home(home)
    print(f"home {place}  (look at it with: {command('ps', place)})", file=sys.stderr)
    raise typer.Exit(resume_home(place, model=model, running_max=running, unconfined=unconfined))


@app.command()
def ps(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List processes."""
    from prytany.cli.home import find_home
    from prytany.cli.listing import list_processes

    list_processes(find_home(home), as_json)


@app.command()
def inspect(pid: PidArgument, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show everything about a process: state, program, rights, limits, open calls, usage, incidents."""
    from prytany.cli.home import find_home
    from prytany.cli.inspect import inspect_process

    inspect_process(find_home(home), pid, as_json)


@app.command()
def kill(
    pids: Annotated[list[str], typer.Argument(metavar="PID", help="processes, as ps shows them")],
    signal: Annotated[
        str, typer.Option("--signal", "-s", help="TERM, KILL, STOP, CONT, INT, USR1, USR2; or 9")
    ] = "TERM",
    home: HomeOption = None,
) -> None:
    """Signal processes: TERM lets a program tidy up, KILL does not. Where nothing runs, it is recorded."""
    from prytany.cli.home import find_home
    from prytany.cli.kill import kill_processes

    raise typer.Exit(kill_processes(find_home(home), pids, signal))


@app.command()
def wait(
    pid: PidArgument,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0, help="in seconds; 124 when it has passed")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Wait until a process has ended, print what it returned, and exit as it did."""
    from prytany.cli.home import find_home
    from prytany.cli.wait import wait_process

    raise typer.Exit(wait_process(find_home(home), pid, timeout, as_json))


@incidents.callback()
def list_incidents(context: typer.Context, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """What needs a person, oldest first; its sub-commands settle it."""
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


@app.command()
def trace(pid: str, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show every call of a process, with how it ended."""
    from prytany.cli.home import find_home
    from prytany.cli.listing import trace_process

    trace_process(find_home(home), pid, as_json)


@app.command()
def logs(pid: str, home: HomeOption = None) -> None:
    """Show what a process printed, or a file of tools (`tools.NAME`)."""
    from prytany.cli.home import find_home
    from prytany.cli.listing import show_log

    show_log(find_home(home), pid)


@app.command("tools")
def list_tools(tools: ToolsOption = None, as_json: JsonOption = False) -> None:
    """List the tools of files: what they say of themselves, and what they need."""
    from prytany.cli.tools import show_tools

    raise typer.Exit(show_tools(list(tools or ()), as_json))


@app.command()
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


@models.command()
def fetch() -> None:
    """Get the local model's weights, checked by their sha256."""
    from prytany.cli.models import fetch_with_bar

    fetch_with_bar()


@journal.command()
def head(home: HomeOption = None) -> None:
    """Print the head, to be kept elsewhere: against it a cut tail shows."""
    from prytany.cli.home import find_home
    from prytany.cli.journal import show_head

    show_head(find_home(home))


@journal.command()
def verify(
    home: HomeOption = None,
    head: Annotated[str, typer.Option("--head", help="a head that was printed before")] = "",
    as_json: JsonOption = False,
) -> None:
    """Check every record, body and snapshot, and say where one is damaged."""
    from prytany.cli.home import find_home
    from prytany.cli.journal import verify_home

    raise typer.Exit(verify_home(find_home(home), head, as_json))


@journal.command()
def forget(pid: str, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Destroy the content of an ended process: arguments, results, and what it printed. The chain still verifies."""
    from prytany.cli.forget import forget_process
    from prytany.cli.home import find_home

    forget_process(find_home(home), pid, as_json)


@journal.command()
def keep(
    to: Annotated[Path, typer.Option("--to", help="a new folder, which becomes a home")],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new home of what is sound of a damaged one."""
    from prytany.cli.home import find_home
    from prytany.cli.journal import keep_sound_part

    keep_sound_part(find_home(home), to.absolute(), as_json)


def main() -> None:
    """The command's entry: an error of the kernel's is a line and an exit code, never a traceback."""
    try:
        app()
    except (KernelError, StoreError) as error:
        from prytany.cli.text import safe

        print(f"prytany: {safe(str(error))}", file=sys.stderr)
        sys.exit(2)
