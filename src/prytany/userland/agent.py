"""`@agent`: what a program says of itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Program = TypeVar("Program", bound=Callable[..., Any])


def agent(*, pledge: str = "", name: str = "") -> Callable[[Program], Program]:
    """Declare a program's pledge: the classes of system calls that it uses, separated by spaces.

    The kernel reads the declaration from the program's text, without running it, so both have to be literals. A
    program that declares nothing may do nothing but think, wait and end.

    Args:
        pledge: of `proc`, `ipc`, `model`, `tools`, `files.read`, `files.write`.
        name: shown to people; the function's name by default.
    """

    def declare(program: Program) -> Program:
        setattr(program, "__prytany__", {"pledge": pledge.split(), "name": name})  # noqa: B010 of a function or a class
        return program

    return declare
