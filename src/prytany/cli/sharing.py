"""The commands about what processes share, `locks` and `shared`, as they are typed."""

from __future__ import annotations

from pathlib import Path

import click

from prytany.cli import options

scope = click.option(
    "--scope", metavar="SCOPE", default="", callback=options.said,
    help="Whose, where several have that name: run:PID or fleet:NUMBER, as --json shows them.",
)  # fmt: skip


@click.group(cls=options.Sections, invoke_without_command=True)
@options.home
@options.as_json
@click.pass_context
def locks(context: click.Context, home: Path | None, as_json: bool) -> None:
    """Show the locks that processes have, who waits for them, and since when; or break one."""
    if context.invoked_subcommand is None:
        from prytany.cli.home import find_home
        from prytany.cli.locks import list_locks

        list_locks(find_home(home), as_json)


@click.command("break")
@click.argument("name", metavar="NAME", help="Of the lock, as locks shows it.")
@scope
@options.home
@options.as_json
@click.pass_context
def break_(context: click.Context, name: str, scope: str, home: Path | None, as_json: bool) -> None:
    """Take a lock from whoever has it, with all that it was granted together with: who waits for it is next.

    Its holders are not told. What they guard can see that their number of the grant is below the next one's.
    """
    from prytany.cli.home import find_home
    from prytany.cli.locks import break_lock

    above = context.parent.params if context.parent is not None else {}
    break_lock(find_home(home or above.get("home")), name, scope, as_json or bool(above.get("as_json")))


locks.section("Seeing to them", break_)


@click.command()
@click.argument("name", metavar="[NAME]", default="", callback=options.said, help="Of one, to show what it holds.")
@scope
@options.home
@options.as_json
def shared(name: str, scope: str, home: Path | None, as_json: bool) -> None:
    """List the values that processes share, with their versions; or show one."""
    from prytany.cli.home import find_home
    from prytany.cli.shared import list_segments, show_segment

    if name:
        show_segment(find_home(home), name, scope, as_json)
    else:
        list_segments(find_home(home), scope, as_json)
