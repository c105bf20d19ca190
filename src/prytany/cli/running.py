"""`run` and `resume`, as they are typed."""

from __future__ import annotations

from pathlib import Path

import click

from prytany.cli import options


@click.command()
@click.argument(
    "target", metavar="FILE.py:FUNCTION", shell_complete=options.files(".py"), help="A program in a Python file."
)
@options.path_option("input", "DIR", "A folder that the program may read.")
@options.path_option("output", "DIR", "A folder that it may write; with --input, ./output by default.")
@click.option(
    "--unveil", metavar="DIR[:rw]", multiple=True, help="Another folder to read, or to write; may be given again."
)
@click.option(
    "--arg", metavar="NAME=VALUE", multiple=True, help="An argument, as JSON or else text; may be given again."
)
@options.home
@options.tools
@options.model
@options.running
@options.unconfined
@click.option("--python", metavar="PLACE", default="", help="Run it in this interpreter or virtual environment.")
@options.as_json
@click.pass_context
def run(
    context: click.Context, target: str, input: Path | None, output: Path | None, unveil: tuple[str, ...],
    arg: tuple[str, ...], home: Path | None, tools: tuple[Path, ...], model: str, running: int, unconfined: bool,
    python: str, as_json: bool,
) -> None:  # fmt: skip
    """Run a program to its end, with everything that it starts.

    Its arguments are `input` and `output`, the whole paths of these folders, where they are given, and each --arg.

    Ctrl-C stops it so that it can be resumed. Exits with the program's status.
    """
    from prytany.cli.arguments import given_arguments
    from prytany.cli.home import find_home
    from prytany.cli.run import Terms, check_program, run_program
    from prytany.system.unveil import unveil_for_run

    place = find_home(home)
    check_program(target)
    folders, unveiled = unveil_for_run(input, output, target, place, tools, unveil)
    kwargs = given_arguments(arg, folders)
    terms = Terms(place, model, running, unconfined, as_json, tools)
    context.exit(run_program(terms, target, kwargs, unveiled, python))


@click.command()
@options.home
@options.model
@options.running
@options.unconfined
@options.as_json
@click.pass_context
def resume(
    context: click.Context, home: Path | None, model: str, running: int, unconfined: bool, as_json: bool
) -> None:
    """Go on with everything in a home that has not ended.

    What was answered before is not asked again. Exits with the status of the run.
    """
    from prytany.cli.home import find_home
    from prytany.cli.run import Terms
    from prytany.cli.run import resume as resume_home

    context.exit(resume_home(Terms(find_home(home), model, running, unconfined, as_json)))
