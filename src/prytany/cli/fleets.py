"""The commands about fleet files, as they are typed."""

from __future__ import annotations

from pathlib import Path

import click

from prytany.cli import options

target = click.argument(
    "target", metavar="[TARGET]", default=".", type=click.Path(path_type=Path), shell_complete=options.files(".yaml"),
    help="A fleet file, or a folder that holds one; this folder by default.",
)  # fmt: skip


@click.group(cls=options.Sections, invoke_without_command=True)
@click.pass_context
def fleet(context: click.Context) -> None:
    """Check and show fleet files."""
    options.help_if_bare(context)


@click.command()
@target
@options.as_json
def check(target: Path, as_json: bool) -> None:
    """Say everything that is wrong with a fleet file, with line and column. Nothing of it is run."""
    from prytany.cli.fleet import check_fleet

    check_fleet(target, as_json)


@click.command()
@target
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
@target
@options.home
@options.model
@options.running
@options.unconfined
@click.option("--trust", is_flag=True, help="Trust what of it is not confined, without being asked.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option(
    "--keep-ended", metavar="DAYS", default="", help="How long runs that ended are listed; 7 days by default."
)
@options.as_json
@click.pass_context
def up(
    context: click.Context, target: Path, home: Path | None, model: str, running: int, unconfined: bool, trust: bool,
    dry_run: bool, keep_ended: str, as_json: bool,
) -> None:  # fmt: skip
    """Bring a fleet up, so that its agents can be talked to.

    Where a kernel runs in the home, what changes is applied to it. Else one runs here, until Ctrl-C or TERM.
    """
    from prytany.cli.home import find_home
    from prytany.cli.run import Terms
    from prytany.cli.up import bring_up

    terms = Terms(find_home(home), model, running, unconfined, as_json, keep_ended=keep_ended)
    context.exit(bring_up(terms, target, trust=trust, dry_run=dry_run))


@click.command()
@click.argument("name", metavar="[FLEET]", default="", help="Its name; the only one that is up by default.")
@options.home
@options.as_json
def down(name: str, home: Path | None, as_json: bool) -> None:
    """Take a fleet down: its runs are asked to end, and nothing of it is started any more."""
    from prytany.cli.home import find_home
    from prytany.cli.up import take_down

    take_down(find_home(home), name, as_json)


@click.command()
@click.argument("agent", metavar="[AGENT]", default="", help="A chat agent; the fleet's entry by default.")
@click.option(
    "--fleet",
    "target",
    metavar="TARGET",
    default=".",
    type=click.Path(path_type=Path),
    help="A fleet file, or a folder that holds one; this folder by default. Not asked for where a kernel runs.",
)
@options.home
@options.model
@options.unconfined
@click.option("--trust", is_flag=True, help="Trust what of the fleet is not confined, without being asked.")
@click.option("--keep", is_flag=True, help="Let the session live on when its lines end; attach comes back to it.")
@options.as_json
@click.pass_context
def chat(
    context: click.Context, agent: str, target: Path, home: Path | None, model: str, unconfined: bool, trust: bool,
    keep: bool, as_json: bool,
) -> None:  # fmt: skip
    """Talk with a chat agent, line by line.

    Ctrl-C ends an answer, Ctrl-D the session.
    """
    from prytany.cli.home import find_home
    from prytany.cli.run import Terms
    from prytany.cli.up import chat as talk

    context.exit(talk(Terms(find_home(home), model, 64, unconfined, as_json), target, agent, trust=trust, keep=keep))


@click.command()
@options.pid
@options.home
@options.as_json
@click.pass_context
def attach(context: click.Context, pid: str, home: Path | None, as_json: bool) -> None:
    """Go on with a session that lives."""
    from prytany.cli.attached import pid_of
    from prytany.cli.home import find_home
    from prytany.cli.up import attach_to

    context.exit(attach_to(find_home(home), pid_of(pid), as_json))
