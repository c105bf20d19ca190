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
