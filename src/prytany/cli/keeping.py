"""The commands about a home as a whole, its journal and the machine, as they are typed."""

from __future__ import annotations

from pathlib import Path

import click

from prytany.cli import options


@click.command("tools")
@options.tools
@options.as_json
@click.pass_context
def list_tools(context: click.Context, tools: tuple[Path, ...], as_json: bool) -> None:
    """List what files of tools hold: name, effect, and the secrets and resources that each needs."""
    from prytany.cli.tools import show_tools

    context.exit(show_tools(tools, as_json))


@click.command()
@options.as_json
@click.pass_context
def doctor(context: click.Context, as_json: bool) -> None:
    """Say what this machine can confine, and how to mend what is missing."""
    from prytany.cli.doctor import examine

    context.exit(examine(as_json))


@click.command()
@click.argument("shell", required=False, type=click.Choice(["bash", "zsh", "fish"]), help="$SHELL by default.")
@options.as_json
@click.pass_context
def completion(context: click.Context, shell: str | None, as_json: bool) -> None:
    """Print what makes a shell complete prytany's commands and options.

    For bash: prytany completion bash > ~/.local/share/bash-completion/completions/prytany
    """
    from prytany.cli.completion import show_completion

    show_completion(context.find_root().command, shell, as_json)


@click.group(cls=options.Sections, invoke_without_command=True)
@click.pass_context
def journal(context: click.Context) -> None:
    """Check the journal of a home, keep what is sound of it, and forget."""
    options.help_if_bare(context)


@click.command()
@options.home
@options.as_json
def head(home: Path | None, as_json: bool) -> None:
    """Print the head, to be kept elsewhere: against it a cut tail shows."""
    from prytany.cli.home import find_home
    from prytany.cli.journal import show_head

    show_head(find_home(home), as_json)


@click.command()
@options.home
@click.option("--head", metavar="HEAD", default="", help="A head that `journal head` printed before.")
@options.as_json
@click.pass_context
def verify(context: click.Context, home: Path | None, head: str, as_json: bool) -> None:
    """Check every record, body and snapshot, and say where one is damaged."""
    from prytany.cli.home import find_home
    from prytany.cli.journal import verify_home

    context.exit(verify_home(find_home(home), head, as_json))


@click.command()
@options.pid
@options.home
@options.as_json
def forget(pid: str, home: Path | None, as_json: bool) -> None:
    """Destroy the content of a process that has ended: arguments, results, and what it printed.

    No kernel may be running. The chain still verifies.
    """
    from prytany.cli.forget import forget_process
    from prytany.cli.home import find_home

    forget_process(find_home(home), pid, as_json)


@click.command()
@options.path_option("to", "DIR", "A new folder, which becomes a home.", required=True)
@options.home
@options.as_json
def keep(to: Path, home: Path | None, as_json: bool) -> None:
    """Make a new home of what is sound of a damaged one, which is only read."""
    from prytany.cli.home import find_home
    from prytany.cli.journal import keep_sound_part

    keep_sound_part(find_home(home), to.absolute(), as_json)


journal.section("Commands", head, verify, keep, forget)
