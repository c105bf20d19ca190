"""The commands that end processes or hold them, as they are typed."""

from __future__ import annotations

from pathlib import Path

import click

from prytany.cli import options

GRACE_S = 10.0

runs = click.option("--run", "runs", metavar="PID", multiple=True, help="All of a run; may be given again.")
held = click.argument("pids", metavar="[PID...]", nargs=-1, help=options.NAMED_PIDS)


@click.command()
@click.argument("pids", metavar="PID...", nargs=-1, required=True, help=options.NAMED_PIDS)
@click.option(
    "--grace", metavar="SECONDS", type=float, default=GRACE_S, show_default=True, help="Between TERM and KILL."
)
@options.home
@options.as_json
@click.pass_context
def stop(context: click.Context, pids: tuple[str, ...], grace: float, home: Path | None, as_json: bool) -> None:
    """End processes: TERM, so that they tidy up; KILL for those that have not ended in time.

    Where nothing runs, TERM is recorded, and the next resume goes on from there.
    """
    from prytany.cli.hold import stop_processes
    from prytany.cli.home import find_home

    context.exit(stop_processes(find_home(home), pids, grace, as_json))


@click.command()
@held
@runs
@options.home
@options.as_json
@click.pass_context
def pause(
    context: click.Context, pids: tuple[str, ...], runs: tuple[str, ...], home: Path | None, as_json: bool
) -> None:
    """Hold processes, or whole runs, where they are: no more of their calls begin until unpause."""
    from prytany.abi.signals import Signal

    _hold(context, pids, runs, Signal.STOP, home, as_json)


@click.command()
@held
@runs
@options.home
@options.as_json
@click.pass_context
def unpause(
    context: click.Context, pids: tuple[str, ...], runs: tuple[str, ...], home: Path | None, as_json: bool
) -> None:
    """Let processes, or whole runs, go on that are paused."""
    from prytany.abi.signals import Signal

    _hold(context, pids, runs, Signal.CONT, home, as_json)


def _hold(
    context: click.Context, pids: tuple[str, ...], runs: tuple[str, ...], signal: int, home: Path | None, as_json: bool
) -> None:
    from prytany.abi.signals import Signal
    from prytany.cli.hold import hold
    from prytany.cli.home import find_home

    context.exit(hold(find_home(home), pids, runs, Signal(signal), as_json))


@click.command()
@click.option("--thaw", is_flag=True, help="Let go on what a freeze stopped, and nothing else.")
@options.home
@options.as_json
def freeze(thaw: bool, home: Path | None, as_json: bool) -> None:
    """Stop everything at once, in one entry of the journal."""
    from prytany.cli.hold import freeze as freeze_home
    from prytany.cli.home import find_home

    freeze_home(find_home(home), thaw, as_json)
