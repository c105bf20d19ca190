"""`prytany`: what people type. Commands import what they need when they run: the bare one starts at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from prytany import __version__
from prytany.cli import (
    conversing,
    eventing,
    fleets,
    holding,
    keeping,
    mailing,
    models,
    notifying,
    options,
    running,
    scheduling,
    sharing,
    steering,
    viewing,
)  # fmt: skip


@click.group(
    cls=options.Sections,
    name="prytany",
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="prytany %(version)s")
@click.pass_context
def app(context: click.Context) -> None:
    """An operating system for AI agents.

    A kernel lives in `run`, `resume` and `up`. The others speak to the one that runs in the home, or read its journal.
    """
    options.help_if_bare(context)


app.section("Running", fleets.init, running.run, running.resume, fleets.up, fleets.down, fleets.fleet, fleets.service)
app.section(
    "Talking",
    conversing.chat,
    conversing.attach,
    conversing.sessions,
    steering.send,
    eventing.publish,
    eventing.topics,
    eventing.triggers,
)
app.section(
    "Looking and steering",
    viewing.status, viewing.ps, viewing.tree, scheduling.why, steering.inspect, steering.trace, viewing.logs,
    viewing.cost, scheduling.budget, scheduling.sched, scheduling.schedule, sharing.locks, sharing.shared,
    steering.wait, steering.kill, holding.stop,
    holding.pause, holding.unpause, holding.freeze, steering.upgrade, steering.incidents, mailing.mail,
    notifying.notify,
)  # fmt: skip
app.section("Keeping", keeping.backup, keeping.restore_home)
app.section("The home", keeping.list_tools, keeping.journal, models.models, keeping.doctor, keeping.completion)


def main() -> None:
    """The command's entry."""
    if asked := os.environ.get(options.COMPLETE):
        from click.shell_completion import shell_complete

        sys.exit(shell_complete(app, {}, "prytany", options.COMPLETE, asked))
    _prepare_streams()
    sys.exit(perform(sys.argv[1:]))


def _prepare_streams() -> None:
    """Whatever the locale is, what it cannot show is shown as an escape; a stream that was closed leads nowhere."""
    for fd in range(3):  # else what is opened next has its number, and libuv aborts when it is to close that
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115 as long as the process
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 as long as the process
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def perform(arguments: Sequence[str]) -> int:
    """Carry out a command line; its exit code. What goes wrong is told, and no traceback, unless it is a bug."""
    try:
        try:
            if any("\0" in argument for argument in arguments):  # a shell cannot give it, and no file has such a name
                raise click.UsageError("an argument holds the character NUL")
            with app.make_context("prytany", list(arguments)) as context:
                app.invoke(context)
            status = 0
        except click.exceptions.Exit as left:
            status = left.exit_code
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:
        from prytany.cli.failure import fail

        return fail(error, app, arguments)
    return status
