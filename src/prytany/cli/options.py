"""What commands have in common on the command line: options, arguments, and groups that list them in sections."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from prytany.cli.numbers import read_number

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[F], F]

COMPLETE = "_PRYTANY_COMPLETE"
"""The variable in which a shell asks for completions."""
SHORT_HELP_CHARS = 200
"""Of a command among others; more than its first sentence has."""


class CallNumber(click.ParamType[int]):
    """The number of a call, or `@57` for one that nobody waits for any more."""

    name = "call number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See `click.ParamType.convert`."""
        try:
            return read_number(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Number(click.IntRange):
    """A whole number within bounds, called that."""

    name = "whole number"


class Amount(click.FloatRange):
    """A number within bounds, and none that is no number."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See `click.ParamType.convert`."""
        amount = super().convert(value, param, ctx)
        if math.isnan(amount):  # nan is within no bounds, and beyond none
            self.fail(f"{str(value)[:100]!r} is not a number", param, ctx)
        return amount


def files(suffix: str) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """The shell's own completion of files; `suffix` is what it should look for, and not all shells do."""
    return lambda context, parameter, begun: [CompletionItem(begun, type="file", help=suffix)]


def model_names(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """The names of models, and files."""
    from prytany.abi.errors import KernelError
    from prytany.system.model_files import RESERVED, own_names

    try:
        names = [*sorted(RESERVED), *own_names()]
    except KernelError:
        names = sorted(RESERVED)
    found = [CompletionItem(name) for name in names if name.startswith(begun) and name.isprintable()]
    return [*found, *files(".gguf")(context, parameter, begun)]


def path_option(name: str, metavar: str, help: str, **more: Any) -> Decorator[Any]:
    """An option that names a place."""
    return click.option(f"--{name}", metavar=metavar, type=click.Path(path_type=Path), help=help, **more)


home = path_option(
    "home",
    "DIR",
    "The home; else PRYTANY_HOME, else the nearest .prytany upwards, else the user's state folder.",
)
as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object a line, errors too.")
model = click.option(
    "--model",
    metavar="NAME",
    default="",
    shell_complete=model_names,
    help="scripted, local, remote, a .gguf file, or its name in the folder of models; else PRYTANY_MODEL says it, else"
    " it is remote where PRYTANY_MODEL_URL is set, else local.",
)
running = click.option(
    "--running",
    metavar="N",
    type=Number(min=1),
    default=64,
    show_default=True,
    help="How many processes run at once.",
)


def _are_classes(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> dict[int, int]:
    """A callback: bounds by class."""
    from prytany.abi.qos import QOS

    bounds: dict[int, int] = {}
    for text in texts:
        name, equals, most = text.partition("=")
        if name not in QOS or not (equals and most.isascii() and most.isdecimal() and len(most) < 40):
            raise click.BadParameter(f"{text[:100]!r} is not CLASS=N; there are {', '.join(QOS)}")
        if int(QOS[name]) in bounds:
            raise click.BadParameter(f"{name} is given twice")
        bounds[int(QOS[name])] = int(most)
    return bounds


running_of = click.option(
    "--running-of", metavar="CLASS=N", multiple=True, callback=_are_classes,
    help="How many of a class at once, within --running; interactive, initiated, utility or background; may be given"
    " again.",
)  # fmt: skip
unconfined = click.option(
    "--unconfined", is_flag=True, help="Accept that workers are not confined, where the machine cannot do it."
)
trust = click.option("--trust", is_flag=True, help="Trust what of a fleet is not confined, without being asked.")
plain = click.option("--plain", is_flag=True, help="A line for what each process does, on a terminal as well.")


def _are_tags(context: click.Context, parameter: click.Parameter, tags: tuple[str, ...]) -> tuple[str, ...]:
    """A callback: each can be a tag."""
    from prytany.abi.names import check_tags

    check_tags(tags)
    return tags


tag = click.option(
    "--tag", "tags", metavar="NAME", multiple=True, callback=_are_tags,
    help="What `cost` and `ps` tell it apart by, with what it starts; may be given again.",
)  # fmt: skip


def said_each(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """A callback: none of what is given is empty."""
    if "" in values:
        raise click.BadParameter("it is empty", context, parameter)
    return values


budget = click.option(
    "--budget", "budgets", metavar="K=N", multiple=True, callback=said_each,
    help="What it may spend: unlimited, or tokens=10000, usd=1.5, calls=20, wall=10m, tokens/min=5000; what is not"
    " named stays as it is by default.",
)  # fmt: skip


def together(*options: Decorator[Any]) -> Decorator[Any]:
    """Several as one, in the order in which they are shown."""

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


of_fleet = together(home, model, unconfined, tag, trust)
"""Of each command that a kernel can begin by, for a fleet."""
target = click.argument(
    "target", metavar="[TARGET]", default=".", type=click.Path(path_type=Path), shell_complete=files(".yaml"),
    help="A fleet file, or a folder that holds one; this folder by default.",
)  # fmt: skip
tools = path_option("tools", "FILE.py", "A file of tools; may be given again.", multiple=True)
pid = click.argument("pid", metavar="PID", help="A process, as ps shows it.")
NAMED_PIDS = "Processes, as ps shows them, or agents with one process each."
named_pid = click.argument(
    "pid", metavar="PID", help="A process, as ps shows it, or an agent of which one process is there."
)
call = click.argument("n", metavar="N", type=CallNumber(), help="Its call, as incidents shows it.")


def said(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """A callback: what is given is not empty, as the variable of a script is that was not set."""
    if value == "" and context.get_parameter_source(str(parameter.name)) is not ParameterSource.DEFAULT:
        raise click.BadParameter("it is empty", context, parameter)
    return value


def help_if_bare(context: click.Context) -> None:
    """A group by itself shows what is in it."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


class Sections(click.Group):
    """A group whose help lists its commands in sections, in the order in which they were declared."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.sections: dict[str, list[str]] = {}

    def section(self, title: str, *commands: click.Command) -> None:
        """Add `commands` under `title`."""
        for command in commands:
            self.add_command(command)
            self.sections.setdefault(title, []).append(str(command.name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """See `click.Command.format_help`."""
        for title, names in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(SHORT_HELP_CHARS)) for name in names])


def given(context: click.Context) -> set[str]:
    """The parameters that were typed, by their names in Python."""
    typed = click.core.ParameterSource.COMMANDLINE
    return {name for name in context.params if context.get_parameter_source(name) is typed}
