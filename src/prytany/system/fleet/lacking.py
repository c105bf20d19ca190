"""What the fleets of a kernel lack: secrets that were there when a fleet was brought, and cannot be had now.

A fleet that is up comes back without them. What needs one says so, and nothing else is kept from its work; the fleet
has them when it is brought again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator

import msgspec

from prytany.abi.errors import KernelError
from prytany.drivers.tools.python.tools import PythonTools
from prytany.kernel.kernel import Kernel
from prytany.system.fleet.bringing import open_models, resolved_of
from prytany.system.fleet.channels import secrets_now
from prytany.system.fleet.drivers import Drivers
from prytany.system.fleet.keyless import AbsentModel

GIVE = "give what is missing, and bring the fleet again, with `prytany up`: it goes on without until then"


def may_lack(kernel: Kernel, path: str, runs: Collection[int]) -> bool:
    """Whether a file of tools comes back without its secrets: a fleet that is up names it, or began one of these
    runs."""
    up = [fleet for fleet in kernel.fleets.fleets.values() if fleet.stays]
    return any(path in fleet.tools for fleet in up) or any(
        (fleet := kernel.fleets.fleet_of(run)) is not None and fleet.stays for run in runs
    )


def lacking(kernel: Kernel, drivers: Drivers) -> list[str]:
    """In words, a line each. Reads the secrets of channels, which are looked up at each attempt."""
    found = list(_of_tools(drivers))
    for number, fleet in kernel.fleets.fleets.items():
        for name, model in open_models(drivers, number).items():
            if isinstance(absent := model.opened.model, AbsentModel):
                found.append(f"the model {name} of the fleet {fleet.name} cannot be asked: {absent.why}")
        if fleet.stays and fleet.channels:
            without: dict[str, str] = {}
            with contextlib.suppress(KernelError, msgspec.MsgspecError):  # the record of it is damaged
                secrets_now(resolved_of(kernel, number), drivers.variables.of(number), without)
            found += [f"nobody is told of the fleet {fleet.name} by {label}: {why}" for label, why in without.items()]
    return found


def _of_tools(drivers: Drivers) -> Iterator[str]:
    """A file that is loaded by an older text as well lacks the same."""
    said = {
        (tools.path, name): why
        for tools in drivers.tools.values()
        if isinstance(tools, PythonTools)
        for name, why in tools.lacking.items()
    }
    for (path, name), why in said.items():
        yield f"tools in {path} that need {name} cannot be called: {why}"
