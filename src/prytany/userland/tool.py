"""`@tool`: a function of the operator that agents may be granted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar, overload

Function = TypeVar("Function", bound=Callable[..., Any])
Effect = Literal["pure", "keyed", "unsafe"]


@overload
def tool(function: Function, /) -> Function: ...


@overload
def tool(
    *, effect: Effect = "unsafe", secrets: tuple[str, ...] = (), resources: tuple[str, ...] = (), timeout_ms: int = 0
) -> Callable[[Function], Function]: ...


def tool(
    function: Function | None = None,
    /,
    *,
    effect: Effect = "unsafe",
    secrets: tuple[str, ...] = (),
    resources: tuple[str, ...] = (),
    timeout_ms: int = 0,
) -> Function | Callable[[Function], Function]:
    """Declare a plain or `async` function as a tool, in a file that is named with `--tools`.

    Its typed parameters become the JSON Schema that a model is shown, its docstring what the model is told. It runs in
    a process of its own that starts with an empty environment; calls may run at once, a plain function's in threads.
    The file is imported once without any secret, so that a secret is to be read when the function is called.

    Args:
        effect: what a call is worth of which nobody knows whether it happened. `pure`: made again. `keyed`: made again
            with the same `key: str`, a parameter that such a function has to have, and that names this one call for
            ever. `unsafe`: a person is asked.
        secrets: variables of the operator's environment that the function needs; its process has these and no others.
        resources: what a call must have to itself, as templates over its parameters: `orders/{order_id}`.
        timeout_ms: how long one call may take, to the end of its process; 60,000 when it is 0.
    """

    def declare(declared: Function) -> Function:
        declared.__dict__["__prytany_tool__"] = {
            "effect": effect, "secrets": secrets, "resources": resources, "timeout_ms": timeout_ms,
        }  # fmt: skip
        return declared

    return declare if function is None else declare(function)
