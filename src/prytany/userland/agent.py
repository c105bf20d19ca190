"""`@agent`: what a program says of itself."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Program = TypeVar("Program", bound=Callable[..., Coroutine[Any, Any, Any]])


def agent(*, pledge: str = "", name: str = "") -> Callable[[Program], Program]:
    """Declare a program's pledge: the classes of system calls that it uses, separated by spaces.

    The kernel reads the declaration from the program's text, without running it, so both have to be literals. A
    program that declares nothing may do nothing but think, wait and end.

    Args:
        pledge: of `proc`, `model`, `tools`, `files.read`, `files.write`.
        name: shown to people; the function's name by default.
    """

    def declare(program: Program) -> Program:
        program.__dict__["__prytany__"] = {"pledge": pledge.split(), "name": name}
        return program

    return declare
