"""The commands for talking with agents, as they are typed."""

from __future__ import annotations

from pathlib import Path

import click

from prytany.cli import options

say = click.option(
    "--say", "-m", metavar="TEXT", help="Say that, print the answer, and leave; - says all of standard input."
)


@click.command()
@click.argument(
    "agent",
    metavar="[AGENT]",
    default="",
    callback=options.said,
    help="A chat agent, or FLEET.AGENT; the fleet's entry by default.",
)
@click.option(
    "--fleet",
    "target",
    metavar="TARGET",
    default=".",
    type=click.Path(path_type=Path),
    help="A fleet file, or a folder that holds one; this folder by default. Where a kernel runs: one that is up on it.",
)
@say
@options.of_fleet
@options.budget
@click.option("--keep", is_flag=True, help="Let the session live on without you; attach comes back to it.")
@click.option(
    "--grace",
    metavar="SECONDS",
    type=options.Amount(min=0, max=604_800),
    default=30.0,
    show_default=True,
    help="Else, how long it waits for you when you go without a word.",
)
@click.option("--as", "user", metavar="NAME", default="", help="Your name in the session; that on this machine, else.")
@options.as_json
@click.pass_context
def chat(
    context: click.Context, agent: str, target: Path, say: str | None, home: Path | None, model: str, unconfined: bool,
    tags: tuple[str, ...], budgets: tuple[str, ...], trust: bool, keep: bool, grace: float, user: str, as_json: bool,
) -> None:  # fmt: skip
    """Talk with a chat agent, line by line, or say one thing.

    Ctrl-C ends an answer, Ctrl-D leaves; with the last who leaves, a session ends.
    """
    from prytany.cli.amounts import read_bounds
    from prytany.cli.chat import Manner
    from prytany.cli.chat import chat as talk
    from prytany.cli.home import find_home
    from prytany.cli.run import Terms

    manner = Manner(as_json, say, keep, int(grace * 1_000), user, tags)
    manner = manner._replace(budget=read_bounds(budgets, "--budget") if budgets else None)
    context.exit(
        talk(
            Terms(find_home(home), model, 64, unconfined, as_json),
            target,
            agent,
            manner,
            trust=trust,
            given=options.given(context),
        )
    )


@click.command()
@click.argument(
    "session",
    metavar="[SESSION]",
    default="",
    callback=options.said,
    help="Its number, or the pid of a process of it; the only one, else.",
)
@say
@options.home
@options.as_json
@click.pass_context
def attach(context: click.Context, session: str, say: str | None, home: Path | None, as_json: bool) -> None:
    """Come to a session that is open, beside whoever is in it."""
    from prytany.cli.attached import pid_of
    from prytany.cli.chat import Manner, attach_to
    from prytany.cli.home import find_home

    context.exit(attach_to(find_home(home), Manner(as_json, say), pid_of(session) if session else 0))


@click.group(cls=options.Sections, invoke_without_command=True)
@click.option("--all", "every", is_flag=True, help="Those that have ended, too.")
@options.home
@options.as_json
@click.pass_context
def sessions(context: click.Context, every: bool, home: Path | None, as_json: bool) -> None:
    """List who talks with which agent, and end it."""
    if context.invoked_subcommand is None:
        from prytany.cli.home import find_home
        from prytany.cli.sessions import list_sessions

        list_sessions(find_home(home), as_json, every=every)


@click.command()
@click.argument("numbers", metavar="SESSION...", nargs=-1, required=True, help="Sessions, by their numbers.")
@options.home
@options.as_json
@click.pass_context
def end(context: click.Context, numbers: tuple[str, ...], home: Path | None, as_json: bool) -> None:
    """End sessions, kept or not: their processes get TERM, five seconds to tidy up, and KILL."""
    from prytany.cli.home import find_home
    from prytany.cli.sessions import end_sessions

    above = context.parent.params if context.parent else {}  # `sessions --home H end 3` means the same
    context.exit(end_sessions(find_home(home or above.get("home")), numbers, as_json or bool(above.get("as_json"))))


sessions.section("Ending", end)
