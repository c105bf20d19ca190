"""The commands about mailboxes and dead letters, as they are typed."""

from __future__ import annotations

from pathlib import Path

import click

from prytany.cli import options

NUMBER_MAX = 1 << 53
_type = options.Number(min=1, max=NUMBER_MAX)
_numbers = click.argument(
    "numbers", metavar="[NUMBER]...", type=_type, nargs=-1, help="Their numbers, as mail dead shows them."
)


@click.group(cls=options.Sections, invoke_without_command=True)
@options.home
@options.as_json
@click.pass_context
def mail(context: click.Context, home: Path | None, as_json: bool) -> None:
    """Show the mailboxes: what waits, what is in hand, how old the oldest is, and what is dead."""
    if context.invoked_subcommand is None:
        from prytany.cli.home import find_home
        from prytany.cli.mail import list_mailboxes

        list_mailboxes(find_home(home), as_json)


@click.command()
@click.argument(
    "number", metavar="[NUMBER]", type=_type, required=False, help="One, with its content and its whole history."
)
@options.home
@options.as_json
@click.pass_context
def dead(context: click.Context, number: int | None, home: Path | None, as_json: bool) -> None:
    """List the messages that could not be handled, and why."""
    from prytany.cli.mail import list_dead, show_dead

    where, in_json = _terms(context, home, as_json)
    if number is None:
        list_dead(where, in_json)
    else:
        show_dead(where, in_json, number)


@click.command()
@_numbers
@click.option("--all", "every", is_flag=True, help="All that are dead.")
@options.home
@options.as_json
@click.pass_context
def retry(
    context: click.Context, numbers: tuple[int, ...], every: bool, home: Path | None, as_json: bool
) -> None:  # fmt: skip
    """Put dead letters back: into the mailbox of their receiver, or of whoever has its name now."""
    from prytany.cli.mail import retry_dead

    where, in_json = _terms(context, home, as_json)
    context.exit(retry_dead(where, in_json, _chosen(numbers, every)))


@click.command()
@_numbers
@click.option("--all", "every", is_flag=True, help="All that are dead.")
@options.home
@options.as_json
@click.pass_context
def drop(
    context: click.Context, numbers: tuple[int, ...], every: bool, home: Path | None, as_json: bool
) -> None:  # fmt: skip
    """Let go of dead letters. Their records stay in the journal."""
    from prytany.cli.mail import drop_dead

    where, in_json = _terms(context, home, as_json)
    context.exit(drop_dead(where, in_json, _chosen(numbers, every)))


def _chosen(numbers: tuple[int, ...], every: bool) -> tuple[int, ...]:
    """Those that were named, or none for all."""
    if every == bool(numbers):
        raise click.UsageError("name dead letters by their numbers, or all of them with --all")
    return tuple(dict.fromkeys(numbers))


def _terms(context: click.Context, home: Path | None, as_json: bool) -> tuple[Path, bool]:
    """Options of the group count for its commands."""
    from prytany.cli.home import find_home

    above = context.parent.params if context.parent else {}
    return find_home(home or above.get("home")), as_json or bool(above.get("as_json"))


mail.section("Commands", dead, retry, drop)
