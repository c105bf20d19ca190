"""`run` and `resume`, as they are typed."""

from __future__ import annotations

from pathlib import Path

import click

from prytany.cli import options


@click.command()
@click.argument(
    "target",
    metavar="[TARGET]",
    default=".",
    shell_complete=options.files(".py"),
    help="A program, FILE.py:FUNCTION; or a fleet file, or a folder that holds one, this one by default; or stages, "
    "'research bees | write': agents of --fleet, or programs, with their arguments.",
)
@options.path_option("input", "DIR", "A folder that the program may read.")
@options.path_option("output", "DIR", "A folder that it may write; with --input, ./output by default.")
@click.option(
    "--unveil", metavar="DIR[:rw]", multiple=True, help="Another folder to read, or to write; may be given again."
)
@click.option(
    "--arg", metavar="NAME=VALUE", multiple=True, help="An argument, as JSON or else text; may be given again."
)
@options.of_fleet
@options.tools
@options.running
@options.budget
@options.running_of
@click.option("--python", metavar="PLACE", default="", help="Run it in this interpreter or virtual environment.")
@click.option(
    "--entry",
    metavar="AGENT",
    default="",
    callback=options.said,
    help="Of a fleet: the agent, if not what its file says.",
)
@click.option(
    "--fleet",
    type=click.Path(path_type=Path),
    metavar="PLACE",
    default=Path(),
    help="Of stages: the fleet file that their agents are in, or its folder; this one by default.",
)
@click.option("--pipefail", is_flag=True, help="Of stages: exit with the status of the last that failed.")
@options.plain
@options.as_json
@click.pass_context
def run(
    context: click.Context, target: str, input: Path | None, output: Path | None, unveil: tuple[str, ...],
    arg: tuple[str, ...], home: Path | None, tools: tuple[Path, ...], model: str, running: int,
    running_of: dict[int, int], unconfined: bool,
    tags: tuple[str, ...], budgets: tuple[str, ...], python: str, entry: str, trust: bool, fleet: Path,
    pipefail: bool, plain: bool, as_json: bool,
) -> None:  # fmt: skip
    """Run a program, or an agent of a fleet, to its end, with everything that it starts.

    Its arguments are `input` and `output`, the whole paths of these folders, where they are given, and each --arg.
    Of a fleet, --input and --output stand for the folders of these names.

    Ctrl-C stops it so that it can be resumed. Exits with the program's status.
    """
    from prytany.abi.names import check_tags
    from prytany.cli.amounts import read_bounds
    from prytany.cli.arguments import given_arguments
    from prytany.cli.home import find_home
    from prytany.cli.run import Terms, check_program, check_terms, run_program
    from prytany.cli.stages import is_pipeline
    from prytany.system.fleet.target import is_fleet
    from prytany.system.unveil import unveil_for_run

    place = find_home(home)
    check_tags(tags)
    budget = read_bounds(budgets, "--budget") if budgets else None
    terms = Terms(
        place, model, running, unconfined, as_json, plain=plain, tags=tags, budget=budget, running_of=running_of
    )  # fmt: skip
    if is_pipeline(target):
        from prytany.cli.pipeline import run_pipeline

        _only_for_one(input=input, output=output, unveil=unveil, tools=tools, python=python, entry=entry, arg=arg)
        context.exit(run_pipeline(terms, target, fleet, trust=trust, pipefail=pipefail))
    if fleet != Path() or pipefail:
        raise click.UsageError(f"--fleet and --pipefail are for stages, 'a | b', and {target} is none")
    if is_fleet(target):
        from prytany.cli.fleet import run_fleet

        for name, value in (("--unveil", unveil), ("--tools", tools), ("--python", python)):
            if value:
                raise click.UsageError(f"{name} is for programs; a fleet says it in its file")
        given = {name: folder for name, folder in (("input", input), ("output", output)) if folder is not None}
        context.exit(run_fleet(terms, Path(target), entry, given, given_arguments(arg, {}), trust=trust))
    if entry or trust:
        raise click.UsageError(f"--entry and --trust are for fleets, and {target} is none")
    check_program(target)
    check_terms(arg, model, python)
    folders, unveiled = unveil_for_run(input, output, target, place, tools, unveil)
    kwargs = given_arguments(arg, folders)
    context.exit(run_program(terms._replace(tools=tools), target, kwargs, unveiled, python))


def _only_for_one(**given: object) -> None:
    """Raise UsageError for what stages have no use for."""
    for name, value in given.items():
        if value:
            raise click.UsageError(f"--{name} is for one program; stages have what their fleet file says")


@click.command()
@options.home
@options.model
@options.running
@options.running_of
@options.unconfined
@options.plain
@options.as_json
@click.pass_context
def resume(
    context: click.Context,
    home: Path | None,
    model: str,
    running: int,
    running_of: dict[int, int],
    unconfined: bool,
    plain: bool,
    as_json: bool,
) -> None:
    """Go on with everything in a home that has not ended.

    What was answered before is not asked again. Exits with the status of the run.
    """
    from prytany.cli.home import find_home
    from prytany.cli.run import Terms
    from prytany.cli.run import resume as resume_home

    context.exit(
        resume_home(Terms(find_home(home), model, running, unconfined, as_json, plain=plain, running_of=running_of))
    )
