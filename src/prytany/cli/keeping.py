"""The commands about a home as a whole, its journal and the machine, as they are typed."""

from __future__ import annotations

from pathlib import Path

import click

from prytany.cli import options

known_head = click.option("--head", metavar="HEAD", default="", help="A head that `journal head` printed before.")
shrink = click.option(
    "--shrink", is_flag=True,
    help="Give the room back to the disk; it is used again anyway. Writes wait while what is left is written anew.",
)  # fmt: skip
archives = click.option(
    "--archive", metavar="FILE", multiple=True, type=click.Path(path_type=Path),
    help="An archive of it, several times for several: all are checked as one.",
)  # fmt: skip
force = click.option("--force", is_flag=True, help="Replace the file where it is there.")


@click.command("tools")
@options.tools
@options.as_json
@click.pass_context
def list_tools(context: click.Context, tools: tuple[Path, ...], as_json: bool) -> None:
    """List what files of tools hold: name, effect, and the secrets and resources that each needs."""
    from prytany.cli.tools import show_tools

    context.exit(show_tools(tools, as_json))


@click.command()
@click.option("--docker", is_flag=True, help="What a container could, under Docker's default profile and capabilities.")
@options.as_json
@click.pass_context
def doctor(context: click.Context, docker: bool, as_json: bool) -> None:
    """Try what this machine can confine, and say how to mend what is missing."""
    from prytany.cli.doctor import examine

    context.exit(examine(docker, as_json))


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
@known_head
@archives
@options.as_json
@click.pass_context
def verify(context: click.Context, home: Path | None, head: str, archive: tuple[Path, ...], as_json: bool) -> None:
    """Check every record, body and snapshot, and say where one is damaged."""
    from prytany.cli.home import find_home
    from prytany.cli.journal import verify_home

    context.exit(verify_home(find_home(home), head, as_json, archive))


@click.command()
@options.pid
@options.home
@options.as_json
def forget(pid: str, home: Path | None, as_json: bool) -> None:
    """Destroy the content of a process that has ended: arguments, results, and what it printed.

    A kernel may be running. The chain still verifies.
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


@click.command()
@click.option("--before", metavar="WHEN", required=True, help="A date or a time, such as 2026-11-01, or an entry.")
@options.path_option("to", "FILE", "Where the archive is to be.", required=True)
@force
@click.option("--copy", is_flag=True, help="Leave the entries in the home, too.")
@shrink
@options.home
@options.as_json
def archive(
    before: str, to: Path, force: bool, copy: bool, shrink: bool, home: Path | None, as_json: bool
) -> None:  # fmt: skip
    """Move the older part of the journal, with its content, into one file; a kernel may be running.

    The file is read again and checked before anything is removed. What lives still needs some of the older entries:
    these stay. Keep the file: verify --archive checks it together with the home. Whoever has it can read what was said.
    """
    from prytany.cli.archive import archive_journal
    from prytany.cli.home import find_home

    archive_journal(find_home(home), to, before, as_json, force=force, copy=copy, shrink=shrink)


@click.command()
@archives
@options.home
@options.as_json
def rebase(archive: tuple[Path, ...], home: Path | None, as_json: bool) -> None:
    """Fold all archives of a home anew, and have it begin with what they give.

    For a version of prytany that cannot read the state which the home begins with, and for one that is damaged. Nothing
    may run in the home.
    """
    from prytany.cli.archive import rebase_home
    from prytany.cli.home import find_home

    rebase_home(find_home(home), archive, as_json)


@click.command()
@click.option("--before", metavar="WHEN", default="", help="A date or a time; seven days ago by default.")
@shrink
@options.home
@options.as_json
def collect(before: str, shrink: bool, home: Path | None, as_json: bool) -> None:
    """Destroy the content of processes that ended long ago, and what they printed; a kernel may be running.

    What living processes need is kept, and the chain still verifies.
    """
    from prytany.cli.backup import collect_content
    from prytany.cli.home import find_home

    collect_content(find_home(home), before, as_json, shrink=shrink)


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path), help="Where the backup is to be.")
@force
@click.option("--logs", is_flag=True, help="With what processes printed.")
@click.option("--verify", is_flag=True, help="Read all of it again when it is made, and check it.")
@options.home
@options.as_json
def backup(file: Path, force: bool, logs: bool, verify: bool, home: Path | None, as_json: bool) -> None:
    """Copy the home into one file, at one moment; a kernel may be running.

    The keys are in it: whoever has the file has all that was said. What the operator trusts is not.
    """
    from prytany.cli.backup import back_up
    from prytany.cli.home import find_home

    back_up(find_home(home), file, as_json, force=force, logs=logs, check=verify)


@click.command("restore-home")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path), help="A backup.")
@known_head
@options.home
@options.as_json
def restore_home(file: Path, head: str, home: Path | None, as_json: bool) -> None:
    """Make a new home of a backup, in which everything is stopped until it is told to go on.

    What was under way outside is in doubt, since the home that the backup is of may have gone on.
    """
    from prytany.cli.backup import restore
    from prytany.cli.home import find_home

    restore(file, find_home(home), head, as_json)


journal.section("Commands", head, verify, keep, forget, archive, collect, rebase)
