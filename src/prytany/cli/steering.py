"""The commands that look at a home and steer it, as they are typed."""

from __future__ import annotations

from pathlib import Path

import click

from prytany.cli import options


@click.command()
@options.named_pid
@options.home
@options.as_json
def inspect(pid: str, home: Path | None, as_json: bool) -> None:
    """Show everything about a process: state, program, rights, limits, open calls, usage, incidents."""
    from prytany.cli.home import find_home
    from prytany.cli.inspect import inspect_process

    inspect_process(find_home(home), pid, as_json)


@click.command()
@click.argument("pids", metavar="PID...", nargs=-1, required=True, help=options.NAMED_PIDS)
@click.option(
    "--signal",
    "-s",
    metavar="NAME",
    default="TERM",
    show_default=True,
    help="TERM, KILL, STOP, CONT, INT, USR1, USR2; or 9.",
)
@options.home
@options.as_json
@click.pass_context
def kill(context: click.Context, pids: tuple[str, ...], signal: str, home: Path | None, as_json: bool) -> None:
    """Signal processes: TERM lets a program tidy up, KILL does not.

    Where nothing runs, the signal is recorded, and the next resume goes on from there.
    """
    from prytany.cli.home import find_home
    from prytany.cli.kill import kill_processes

    context.exit(kill_processes(find_home(home), pids, signal, as_json))


@click.command()
@options.pid
@click.option("--timeout", metavar="SECONDS", type=options.Amount(min=0), help="Exit with 124 when it has passed.")
@options.home
@options.as_json
@click.pass_context
def wait(context: click.Context, pid: str, timeout: float | None, home: Path | None, as_json: bool) -> None:
    """Wait until a process has ended, print what it returned, and exit with its status."""
    from prytany.cli.home import find_home
    from prytany.cli.wait import wait_process

    context.exit(wait_process(find_home(home), pid, timeout, as_json))


@click.command()
@options.pid
@click.option("--follow", "-f", is_flag=True, help="Go on with what it does, until it ends.")
@click.option("--call", "calls", metavar="NAME", multiple=True, help="Only calls of that name; may be given again.")
@options.home
@options.as_json
@click.pass_context
def trace(
    context: click.Context, pid: str, follow: bool, calls: tuple[str, ...], home: Path | None, as_json: bool
) -> None:
    """Show every call of a process and how it ended, its messages, and its children's beginnings and ends."""
    from prytany.cli.home import find_home
    from prytany.cli.trace import trace_process

    context.exit(trace_process(find_home(home), pid, as_json, follow=follow, calls=calls))


@click.command()
@click.argument("pid", metavar="PID", help="A process or a session, or an agent of which one process is there.")
@click.argument("type", metavar="TYPE", help="The message's type; a Server takes it by on_TYPE.")
@click.argument("body", metavar="[BODY]", required=False, help="JSON, or else text; else what standard input holds.")
@click.option("--text", is_flag=True, help="The body is text, whatever it looks like.")
@click.option("--wait", is_flag=True, help="Wait for the reply, and print it.")
@options.home
@options.as_json
def send(pid: str, type: str, body: str | None, text: bool, wait: bool, home: Path | None, as_json: bool) -> None:
    """Put a message into the mailbox of a process that has pledged ipc.

    Where nothing runs, it is recorded, and lies there when the home is resumed.
    """
    from prytany.cli.home import find_home
    from prytany.cli.send import send_message

    send_message(find_home(home), pid, type, body, text, as_json, wait=wait)


@click.command()
@options.pid
@click.argument(
    "target",
    metavar="[FILE.py:CLASS]",
    default="",
    callback=options.said,
    help="The program; by default its own, as it is on disk now.",
)
@options.home
@options.as_json
def upgrade(pid: str, target: str, home: Path | None, as_json: bool) -> None:
    """Move a Server to another version of its program, between two messages; its state goes through `migrate`.

    Where the new one fails to take the state over, the old one goes on, and an incident says so.
    """
    from prytany.cli.home import find_home
    from prytany.cli.upgrade import upgrade_process

    upgrade_process(find_home(home), pid, target, as_json)


@click.group(cls=options.Sections, invoke_without_command=True)
@options.home
@options.as_json
@click.pass_context
def incidents(context: click.Context, home: Path | None, as_json: bool) -> None:
    """List what needs a person, and settle it."""
    if context.invoked_subcommand is None:
        from prytany.cli.home import find_home
        from prytany.cli.incidents import list_incidents

        list_incidents(find_home(home), as_json)


@click.command()
@options.pid
@options.call
@options.home
@options.as_json
@click.pass_context
def retry(context: click.Context, pid: str, n: int, home: Path | None, as_json: bool) -> None:
    """Do it again: ask the model again, run what is in doubt again, let the process go on."""
    _settle(context, home, "retry", pid, n, as_json)


@click.command()
@options.pid
@options.call
@options.home
@options.as_json
@click.pass_context
def skip(context: click.Context, pid: str, n: int, home: Path | None, as_json: bool) -> None:
    """End the call with an error that its program sees; for the process itself (0): end it."""
    _settle(context, home, "skip", pid, n, as_json)


@click.command()
@options.pid
@options.call
@click.argument("value", required=False, help="The result, as text; else what standard input holds.")
@click.option("--from-json", is_flag=True, help="The result is written as JSON.")
@options.home
@options.as_json
@click.pass_context
def give(
    context: click.Context, pid: str, n: int, value: str | None, from_json: bool, home: Path | None, as_json: bool
) -> None:
    """Answer the call in the place of what it waits for."""
    from prytany.cli.incidents import given_value

    _settle(context, home, "give", pid, n, as_json, given_value(value, from_json))


def _settle(
    context: click.Context, home: Path | None, choice: str, pid: str, n: int, as_json: bool, value: object = None
) -> None:
    from prytany.cli.home import find_home
    from prytany.cli.incidents import settle

    # `incidents --home H retry` means what `incidents retry --home H` does.
    above = context.parent.params if context.parent else {}
    settle(find_home(home or above.get("home")), choice, pid, n, as_json or bool(above.get("as_json")), value)


incidents.section("Settling", retry, skip, give)
