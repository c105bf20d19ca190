"""The commands about fleet files, as they are typed."""

from __future__ import annotations

from pathlib import Path

import click

from prytany.cli import options

drain = click.option(
    "--drain",
    metavar="SECONDS",
    type=options.Number(min=0, max=86_400),
    default=30,
    show_default=True,
    help="When it is told to stop: how long what is under way may take to end, while nothing is begun.",
)


@click.command()
@click.argument(
    "folder", metavar="[FOLDER]", default=".", type=click.Path(path_type=Path), help="Where; this folder by default."
)
@options.as_json
def init(folder: Path, as_json: bool) -> None:
    """Make a fleet to begin with: a chat agent, and a Python one that it may start.

    What is there is not overwritten.
    """
    from prytany.cli.init import make_fleet

    make_fleet(folder, as_json)


@click.group(cls=options.Sections, invoke_without_command=True)
@click.pass_context
def fleet(context: click.Context) -> None:
    """Check and show fleet files."""
    options.help_if_bare(context)


@click.command()
@options.target
@options.as_json
def check(target: Path, as_json: bool) -> None:
    """Say everything that is wrong with a fleet file, with line and column. Nothing of it is run."""
    from prytany.cli.fleet import check_fleet

    check_fleet(target, as_json)


@click.command()
@options.target
@click.option("--resolved", is_flag=True, help="As it will run: defaults filled in, names looked up, paths whole.")
@options.as_json
def show(target: Path, resolved: bool, as_json: bool) -> None:
    """Print a fleet file. Secrets are not in it, only where they are from."""
    from prytany.cli.fleet import show_fleet

    show_fleet(target, resolved, as_json)


@click.command()
@options.as_json
def schema(as_json: bool) -> None:
    """Print the JSON Schema of fleet files, for editors."""
    from prytany.cli.fleet import show_schema

    show_schema(as_json)


fleet.section("Commands", check, show, schema)


@click.command()
@options.target
@options.of_fleet
@options.running
@options.running_of
@options.budget
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option(
    "--keep-ended",
    metavar="DAYS",
    type=options.Amount(min=0, max=36_500),
    envvar="PRYTANY_KEEP_ENDED",
    default=7.0,
    show_default=True,
    help="How long runs that ended are listed.",
)
@drain
@options.plain
@options.as_json
@click.pass_context
def up(
    context: click.Context, target: Path, home: Path | None, model: str, running: int,
    running_of: dict[int, int], unconfined: bool,
    tags: tuple[str, ...], budgets: tuple[str, ...], trust: bool, dry_run: bool, keep_ended: float, drain: int,
    plain: bool, as_json: bool,
) -> None:  # fmt: skip
    """Bring a fleet up, so that its agents can be talked to.

    Where a kernel runs in the home, what changes is applied to it: what the file says and what lies behind it. Else one
    runs here, until Ctrl-C or TERM: then it drains, and a second one stops it at once. HUP lets it look at the file
    again. With --budget, each run that begins while the fleet is up may spend that, until it is brought without.
    """
    from prytany.cli.held import held

    with held() as hang_ups:
        from prytany.cli.amounts import read_bounds
        from prytany.cli.home import find_home
        from prytany.cli.run import Terms
        from prytany.cli.up import bring_up

        terms = Terms(
            find_home(home),
            model,
            running,
            unconfined,
            as_json,
            plain=plain,
            tags=tags,
            keep_ended_days=keep_ended,
            budget=read_bounds(budgets, "--budget") if budgets else None,
            running_of=running_of,
        )
        given = options.given(context)
        context.exit(bring_up(terms, target, hang_ups, trust=trust, dry_run=dry_run, drain_s=drain, given=given))


@click.group(cls=options.Sections, invoke_without_command=True)
@click.pass_context
def service(context: click.Context) -> None:
    """Have a fleet run by systemd."""
    options.help_if_bare(context)


@click.command()
@options.target
@click.option("--user", is_flag=True, help="For the user's own manager, and not the system's.")
@options.home
@drain
@options.as_json
def unit(target: Path, user: bool, home: Path | None, drain: int, as_json: bool) -> None:
    """Print a systemd unit for a fleet, with the paths of this installation.

    To have it run: prytany service unit FLEET > /etc/systemd/system/prytany-NAME.service, and systemctl enable --now.
    """
    from prytany.cli.service import show_unit

    show_unit(target, home, drain, user=user, as_json=as_json)


service.section("Commands", unit)


@click.command()
@click.argument(
    "name", metavar="[FLEET]", default="", callback=options.said, help="Its name; the only one that is up by default."
)
@options.home
@options.as_json
def down(name: str, home: Path | None, as_json: bool) -> None:
    """Take a fleet down: its runs are asked to end, and nothing of it is started any more."""
    from prytany.cli.home import find_home
    from prytany.cli.up import take_down

    take_down(find_home(home), name, as_json)
