"""The commands that show a home, its processes and what they took, as they are typed."""

from __future__ import annotations

from pathlib import Path

import click

from prytany.cli import options

STATES = ("created", "ready", "running", "waiting", "stopped", "terminated")


@click.command()
@options.home
@options.as_json
@click.pass_context
def status(context: click.Context, home: Path | None, as_json: bool) -> None:
    """Show what runs in a home, and what it takes of the disk. Exits with 3 when nothing runs."""
    from prytany.cli.home import find_home
    from prytany.cli.status import show_status

    context.exit(show_status(find_home(home), as_json))


@click.command()
@click.option(
    "--run", metavar="PID", default="", callback=options.said, help="Only the processes of that run, by its first one."
)
@click.option("--state", metavar="STATE", type=click.Choice(STATES), help="Only those in that state.")
@click.option("--tag", metavar="NAME", default="", callback=options.said, help="Only those that have that tag.")
@click.option("--all", "every", is_flag=True, help="Those that ended long ago, too.")
@click.option("--wide", is_flag=True, help="With class, weight, deadline, time in queues and model, too.")
@options.home
@options.as_json
def ps(
    run: str, state: str | None, tag: str, every: bool, wide: bool, home: Path | None, as_json: bool
) -> None:  # fmt: skip
    """List processes, and what each waits for."""
    from prytany.cli.home import find_home
    from prytany.cli.listing import list_processes

    list_processes(find_home(home), as_json, run=run, state=state or "", tag=tag, every=every, wide=wide)


@click.command()
@click.argument(
    "pid", metavar="[PID]", default="", callback=options.said, help="A process, as ps shows it; all of them by default."
)
@options.home
@options.as_json
def tree(pid: str, home: Path | None, as_json: bool) -> None:
    """Show processes under their parents, with state, tokens, money and age."""
    from prytany.cli.home import find_home
    from prytany.cli.listing import show_tree

    show_tree(find_home(home), pid, as_json)


@click.command()
@click.argument(
    "pids",
    metavar="PID...",
    nargs=-1,
    required=True,
    help="Processes, as ps shows them; or tools.NAME, files of tools.",
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what they print, until they end.")
@click.option("--since", metavar="WHEN", default="", help="From then on: 30s, 10m, 2h, 7d ago, or 2026-05-03T10:00.")
@click.option("--grep", metavar="REGEX", default="", help="Only lines in which that is found.")
@click.option("--lines", "-n", metavar="N", type=options.Number(min=0), help="Only the last N lines of each.")
@options.home
@options.as_json
@click.pass_context
def logs(
    context: click.Context, pids: tuple[str, ...], follow: bool, since: str, grep: str, lines: int | None,
    home: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Show what processes, or files of tools, printed."""
    from prytany.cli.home import find_home
    from prytany.cli.logs import show_logs

    place = find_home(home)
    context.exit(show_logs(place, pids, as_json, follow=follow, since=since, grep=grep, last=lines))


@click.command()
@click.option(
    "--by", metavar="WHAT", default="model", show_default=True, help="agent, model, day, run, tag; or several."
)
@click.option("--since", metavar="WHEN", default="", help="From then on: 30s, 10m, 2h, 7d ago, or 2026-05-03T10:00.")
@click.option("--tag", metavar="NAME", default="", callback=options.said, help="Only of processes that have that tag.")
@click.option(
    "--estimate", metavar="TARGET", default="", callback=options.said, shell_complete=options.files(".py"),
    help="Instead: what a run of that program or fleet will take, by the earlier ones that are kept.",
)  # fmt: skip
@options.home
@options.as_json
@click.pass_context
def cost(
    context: click.Context, by: str, since: str, tag: str, estimate: str, home: Path | None, as_json: bool
) -> None:  # fmt: skip
    """Show what models took: calls, tokens, money and time, and what calls waited in queues, from the journal."""
    from prytany.cli.cost import show_cost
    from prytany.cli.home import find_home

    if estimate:
        from prytany.cli.estimate import show_estimate

        if others := sorted({"by", "since", "tag"} & options.given(context)):
            raise click.UsageError(f"--estimate and --{others[0]} are not given together")
        show_estimate(find_home(home), estimate, as_json)
        return
    show_cost(find_home(home), by, since, as_json, tag)
