"""The commands about models, as they are typed."""

from __future__ import annotations

from pathlib import Path

import click

from prytany.cli import options

fleet = options.path_option("fleet", "TARGET", "A fleet file, or a folder that holds one: its models, by its names.")
NAME = "local, scripted, remote, a .gguf file, or the name of one in the folder of models."


@click.group(cls=options.Sections, invoke_without_command=True)
@click.pass_context
def models(context: click.Context) -> None:
    """See which models there are and who waits for them, get the local one, check, try and remove them."""
    options.help_if_bare(context)


@click.command()
@options.home
@options.as_json
def queue(home: Path | None, as_json: bool) -> None:
    """Show who waits for which model, what is in flight, rates used and left, 429s and breakers.

    Of who waits how many are interactive, initiated, utility and background. Rates are of the last minute.
    """
    from prytany.cli.home import find_home
    from prytany.cli.queues import show_queues

    show_queues(find_home(home), as_json)


@click.command("list")
@fleet
@options.as_json
def list_models(fleet: Path | None, as_json: bool) -> None:
    """List the models that can be asked, and what the others lack. None is asked.

    Files of your own are those in the folder that PRYTANY_MODELS names, else in prytany/models of your data folder.
    """
    from prytany.cli.model.listing import show_models

    show_models(fleet, as_json)


@click.command()
@options.as_json
def fetch(as_json: bool) -> None:
    """Get the local model's weights, checked by their sha256."""
    from prytany.cli.model.fetching import fetch_with_bar

    fetch_with_bar(as_json)


@click.command()
@click.argument(
    "name", required=False, default="", metavar="[NAME]", callback=options.said, shell_complete=options.model_names,
    help="All that are here, by default.",
)  # fmt: skip
@options.as_json
@click.pass_context
def check(context: click.Context, name: str, as_json: bool) -> None:
    """Check model files: the local one by its sha256, others by their headers. None is loaded."""
    from prytany.cli.model.checking import check_files

    context.exit(check_files(name, as_json))


@click.command("try")
@click.argument("name", metavar="NAME", help=NAME, shell_complete=options.model_names)
@click.argument("prompt", metavar="[PROMPT]", required=False, default=None, help="What is asked.")
@fleet
@click.option(
    "--timeout", metavar="S", type=options.Amount(min=0, min_open=True, max=3_600), default=None,
    help="How long it may take, 60 seconds by default.",
)  # fmt: skip
@options.home
@options.trust
@options.as_json
def try_model(
    name: str, prompt: str | None, fleet: Path | None, timeout: float | None, home: Path | None, trust: bool,
    as_json: bool,
) -> None:  # fmt: skip
    """Ask a model one short question: what came, how fast, and what it can do; or what is wrong.

    An endpoint may want money for it. A fleet's model that is sent a secret, or is elsewhere, has to be trusted first,
    as for `up`; the home says what was.
    """
    from prytany.cli.model.trying import ask_once

    if trust and fleet is None:
        raise click.UsageError("--trust is for a fleet's model, which --fleet names")
    ask_once(name, prompt, fleet, timeout, home, as_json, trust=trust)


@click.command()
@click.argument(
    "name", metavar="NAME", help="local, or a file of the folder of models.", shell_complete=options.model_names
)
@click.option("--yes", is_flag=True, help="Without being asked.")
@options.as_json
def remove(name: str, yes: bool, as_json: bool) -> None:
    """Remove the local model's fetched weights, or a model file of your own."""
    from prytany.cli.model.removing import remove_model

    remove_model(name, yes, as_json)


models.section("Commands", list_models, queue, fetch, check, try_model, remove)
