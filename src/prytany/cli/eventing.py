"""The commands about events, as they are typed: `topics`, `publish`."""

from __future__ import annotations

from pathlib import Path

import click

from prytany.cli import options

of = click.option(
    "--of", metavar="WHOSE", default="", callback=options.said,
    help="The name of a fleet, or the pid of a run; needed where there are several.",
)  # fmt: skip


@click.group(cls=options.Sections, invoke_without_command=True)
@options.home
@options.as_json
@click.pass_context
def topics(context: click.Context, home: Path | None, as_json: bool) -> None:
    """List topics with their last events, and who is subscribed, with what they have not had yet."""
    if context.invoked_subcommand is None:
        from prytany.cli.home import find_home
        from prytany.cli.topics import list_topics

        list_topics(find_home(home), as_json)


@click.command()
@click.argument("pattern", metavar="PATTERN", default=">", help="Topics: prices.eurusd, prices.*, orders.>; all.")
@click.option(
    "--since", "since", metavar="WHERE", default="start", show_default=True,
    help="A number, start, last (of each topic), how long ago (10m), or when (2026-05-03T10:00).",
)  # fmt: skip
@click.option("-f", "--follow", is_flag=True, help="Go on with what is published.")
@of
@options.home
@options.as_json
@click.pass_context
def tail(
    context: click.Context, pattern: str, since: str, follow: bool, of: str, home: Path | None, as_json: bool
) -> None:  # fmt: skip
    """Show the events of topics that the log still has."""
    from prytany.cli.home import find_home
    from prytany.cli.topics import tail_topics

    above = context.parent.params if context.parent else {}
    where, in_json = find_home(home or above.get("home")), as_json or bool(above.get("as_json"))
    context.exit(tail_topics(where, pattern, since, of, in_json, follow=follow))


@click.command()
@click.argument("topic", metavar="TOPIC", help="Tokens with dots between them: prices.eurusd.")
@click.argument("fields", metavar="[KEY=VALUE]...", nargs=-1, help="JSON, or else text.")
@of
@options.home
@options.as_json
def publish(topic: str, fields: tuple[str, ...], of: str, home: Path | None, as_json: bool) -> None:
    """Publish an event to all who are subscribed to its topic."""
    from prytany.cli.home import find_home
    from prytany.cli.topics import publish_event

    publish_event(find_home(home), topic, fields, of, as_json)


fleet = click.option(
    "--of", "of", metavar="FLEET", default="", callback=options.said, help="The fleet, where several have such a one."
)
name = click.argument("name", metavar="NAME", help="As triggers shows it.")


@click.group(cls=options.Sections, invoke_without_command=True)
@options.home
@options.as_json
@click.pass_context
def triggers(context: click.Context, home: Path | None, as_json: bool) -> None:
    """List what starts agents by itself: what for, when next, and what it did last."""
    if context.invoked_subcommand is None:
        from prytany.cli.home import find_home
        from prytany.cli.triggers import list_triggers

        list_triggers(find_home(home), as_json)


@click.command()
@name
@fleet
@options.home
@options.as_json
@click.pass_context
def on(context: click.Context, name: str, of: str, home: Path | None, as_json: bool) -> None:
    """Switch a trigger on."""
    _switch(context, name, of, home, as_json, on=True)


@click.command()
@name
@fleet
@options.home
@options.as_json
@click.pass_context
def off(context: click.Context, name: str, of: str, home: Path | None, as_json: bool) -> None:
    """Switch a trigger off. What comes meanwhile is not made up for."""
    _switch(context, name, of, home, as_json, on=False)


def _switch(context: click.Context, name: str, of: str, home: Path | None, as_json: bool, *, on: bool) -> None:
    from prytany.cli.home import find_home
    from prytany.cli.triggers import switch_trigger

    above = context.parent.params if context.parent else {}
    switch_trigger(find_home(home or above.get("home")), name, of, as_json or bool(above.get("as_json")), on=on)


topics.section("Commands", tail)
triggers.section("Commands", on, off)
