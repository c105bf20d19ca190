"""Options and arguments that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prytany.cli.text import read_number

HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        help="the home; else PRYTANY_HOME, else the nearest .prytany upwards, else the user's state folder",
    ),
]
ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="NAME",
        help="scripted, local, a .gguf file, or remote; by default remote where PRYTANY_MODEL_URL is set, else local",
    ),
]
RunningOption = Annotated[int, typer.Option("--running", metavar="N", min=1, help="how many processes run at once")]
UnconfinedOption = Annotated[
    bool, typer.Option("--unconfined", help="accept that workers are not confined, where the machine cannot do it")
]
ToolsOption = Annotated[
    list[Path] | None, typer.Option("--tools", metavar="FILE.py", help="a file of tools; may be given again")
]
JsonOption = Annotated[bool, typer.Option("--json", help="one JSON object a line")]
PidArgument = Annotated[str, typer.Argument(metavar="PID", help="a process, as ps shows it")]
CallArgument = Annotated[int, typer.Argument(metavar="N", parser=read_number, help="its call, as incidents shows it")]
