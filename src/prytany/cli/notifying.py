"""The commands about notices to people outside, as they are typed."""

from __future__ import annotations

from pathlib import Path

import click

from prytany.cli import options

number = click.argument(
    "number",
    metavar="[NOTICE]",
    type=options.Number(min=1, max=1 << 53),
    required=False,
    help="Its number, as notify shows it.",
)


@click.group(cls=options.Sections, invoke_without_command=True)
@options.home
@options.as_json
@click.pass_context
def notify(context: click.Context, home: Path | None, as_json: bool) -> None:
    """List the notices to people outside that were not delivered, and see to them.

    A fleet file says under `notify` who is told, and of what.
    """
    if context.invoked_subcommand is None:
        from prytany.cli.home import find_home
        from prytany.cli.notify import list_notices

        list_notices(find_home(home), as_json)


@click.command()
@number
@options.home
@options.as_json
@click.pass_context
def retry(context: click.Context, number: int | None, home: Path | None, as_json: bool) -> None:
    """Try a notice again now, or all that were not delivered."""
    from prytany.cli.notify import retry_notices

    retry_notices(*_terms(context, home, as_json), number or 0)


@click.command()
@number
@options.home
@options.as_json
@click.pass_context
def drop(context: click.Context, number: int | None, home: Path | None, as_json: bool) -> None:
    """Tell nobody of a notice, or of all that were given up."""
    from prytany.cli.notify import drop_notices

    drop_notices(*_terms(context, home, as_json), number or 0)


@click.command()
@options.target
@options.home
@options.trust
@options.as_json
@click.pass_context
def test(context: click.Context, target: Path, home: Path | None, trust: bool, as_json: bool) -> None:
    """Send a test through each channel of a fleet file, and say what happened.

    It is sent from here, with the secrets as this command finds them, and is in no journal. Exits with 1 where one was
    not delivered.
    """
    from prytany.cli.notify import test_channels

    where, in_json = _terms(context, home, as_json)
    context.exit(test_channels(where, in_json, target, trust=trust))


def _terms(context: click.Context, home: Path | None, as_json: bool) -> tuple[Path, bool]:
    """Options of the group count for its commands."""
    from prytany.cli.home import find_home

    above = context.parent.params if context.parent else {}
    return find_home(home or above.get("home")), as_json or bool(above.get("as_json"))


notify.section("Commands", retry, drop, test)
