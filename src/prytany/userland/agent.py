"""`@agent`: what a program says of itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from prytany.abi.schema_form import forms_fault

Program = TypeVar("Program", bound=Callable[..., Any])


def check_forms(forms: Mapping[str, Mapping[str, Any]], of: str) -> None:
    """Raise TypeError for what are no JSON Schemas by the types of messages."""
    at, wrong = forms_fault(dict(forms))
    if wrong:
        raise TypeError(f"{of}: {'.'.join(map(str, at))}: {wrong}")


def agent(
    *, pledge: str = "", name: str = "", accepts: Mapping[str, Mapping[str, Any]] | None = None
) -> Callable[[Program], Program]:
    """Declare a program's pledge: the classes of system calls that it uses, separated by spaces.

    The kernel reads the declaration from the program's text, without running it, so both have to be literals. A
    program that declares nothing may do nothing but think, wait and end.

    Args:
        pledge: of `proc`, `ipc`, `model`, `tools`, `files.read`, `files.write`.
        name: shown to people; the function's name by default.
        accepts: the messages that it takes: a JSON Schema of the body by type, as a literal. Whoever sends it anything
            else gets Einval. Of a `Server` it follows from the handlers, where nothing is said.
    """

    if accepts is not None:
        check_forms(accepts, "accepts")

    def declare(program: Program) -> Program:
        setattr(program, "__prytany__", {"pledge": pledge.split(), "name": name})  # noqa: B010 of a function or a class
        return program

    return declare
