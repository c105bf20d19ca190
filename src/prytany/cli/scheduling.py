"""The commands that show and steer who runs next: `sched`, `schedule`, `budget` and `why`, as they are typed."""

from __future__ import annotations

from pathlib import Path

import click

from prytany.cli import options

CLASSES = ("interactive", "initiated", "utility", "background")
ACCOUNTS = ("process", "tree", "run", "tenant")


@click.command()
@options.home
@options.as_json
def sched(home: Path | None, as_json: bool) -> None:
    """Show who is next at each model, why, what that one waits for, and who else waits."""
    from prytany.cli.home import find_home
    from prytany.cli.queues import show_order

    show_order(find_home(home), as_json)


@click.command()
@options.named_pid
@click.option("--qos", metavar="CLASS", type=click.Choice(CLASSES), help=f"{', '.join(CLASSES)}.")
@click.option("--weight", metavar="N", type=options.Number(min=1, max=1_000), help="Its share beside others, from 1.")
@click.option(
    "--deadline", metavar="DURATION", default="", callback=options.said,
    help="Within which its model calls are to begin, from now: 30s, 10m; or none.",
)  # fmt: skip
@options.home
@options.as_json
def schedule(
    pid: str, qos: str | None, weight: int | None, deadline: str, home: Path | None, as_json: bool
) -> None:  # fmt: skip
    """Change class, weight or deadline of a process, also for its calls that wait.

    Without an option it shows what the process has.
    """
    from prytany.cli.home import find_home
    from prytany.cli.schedule import schedule_process

    schedule_process(find_home(home), pid, qos or "", weight or 0, deadline, as_json)


@click.command()
@click.argument(
    "pid", metavar="[PID]", default="", callback=options.said,
    help="A process, as ps shows it, or an agent of which one process is there; all budgets by default.",
)  # fmt: skip
@click.option(
    "--add", "more", metavar="K=N", multiple=True,
    help="Raise a bound: tokens=10000, usd=1.5, calls=20, wall=10m; may be given again.",
)  # fmt: skip
@click.option(
    "--set", "bounds", metavar="K=N", multiple=True,
    help="Bound it anew: as --add, a minute's as tokens/min=5000; K=unlimited, or unlimited for all.",
)  # fmt: skip
@click.option(
    "--account", metavar="WHOSE", type=click.Choice(ACCOUNTS),
    help="process, tree, run or tenant; else the one that stopped the process, or else its run's.",
)  # fmt: skip
@click.option("--all", "every", is_flag=True, help="Those of what has ended, too.")
@options.home
@options.as_json
def budget(
    pid: str, more: tuple[str, ...], bounds: tuple[str, ...], account: str | None, every: bool, home: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Show budgets: bounds, what is spent, set aside and left; or add to one, and let go on what it stopped.

    Where nothing runs, what is added is recorded, and the next resume goes on with it.
    """
    from prytany.cli.budget import change_budget, show_budgets
    from prytany.cli.home import find_home

    if more and bounds:
        raise click.UsageError("--add and --set are not given together")
    if not (more or bounds):
        if account:
            raise click.UsageError("--account says which one --add or --set means")
        show_budgets(find_home(home), pid, as_json, every=every)
    else:
        change_budget(find_home(home), pid, account or "", more, bounds, as_json)


@click.command()
@options.named_pid
@options.home
@options.as_json
def why(pid: str, home: Path | None, as_json: bool) -> None:
    """Show what a process waits for, down to the last cause, and which command helps."""
    from prytany.cli.home import find_home
    from prytany.cli.why import explain_process

    explain_process(find_home(home), pid, as_json)
