"""Models that their fleet names no more, and that somebody may still ask: who began with one finishes with it, over a
restart of the kernel too. What is recorded of a fleet says how each was opened, for as long as it is asked."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from prytany.kernel.kernel import Kernel
from prytany.system.fleet.drivers import Drivers, who_asks
from prytany.system.fleet.keyless import AbsentModel
from prytany.system.fleet.models import ReadyModel, name_of, ready_models
from prytany.system.fleet.resolved import Leaving, ResolvedFleet
from prytany.system.fleet.switched import SwitchedModel


def leaving_of(kernel: Kernel, number: int, before: ResolvedFleet | None, fleet: ResolvedFleet) -> dict[str, Leaving]:
    """Those that leave a fleet when it is brought again, and those that left it before, by the fleet's names. Looks at
    every process and open call, for each of them.

    Args:
        kernel: where it is brought.
        number: the fleet's.
        before: as it is up; None where it is not.
        fleet: as it is brought.
    """
    if before is None:
        return {}
    found = dict(before.leaving)
    for name, form in before.models.items():
        found[name] = Leaving(model=form, secret=before.secrets[form.key.secret] if form.key is not None else None)
    return {
        name: one for name, one in found.items() if name not in fleet.models and who_asks(kernel, name_of(number, name))
    }


def ready_leaving(
    kernel: Kernel, number: int, fleet: ResolvedFleet, kept: Mapping[str, SwitchedModel],
    environment: Mapping[str, str],
) -> dict[str, ReadyModel]:  # fmt: skip
    """Of those that left a fleet, as it is recorded, the ones that somebody may ask. One that cannot be had is waited
    for by whoever asks it."""
    ready: dict[str, ReadyModel] = {}
    for name, one in fleet.leaving.items():
        if name in fleet.models or not who_asks(kernel, name_of(number, name)):
            continue
        secret = {one.model.key.secret: one.secret} if one.model.key is not None and one.secret is not None else {}
        alone = msgspec.structs.replace(fleet, models={name: one.model}, secrets=secret)
        ready |= ready_models(alone, kept, environment, lenient=True)
    return ready


def ready_anew(
    kernel: Kernel, number: int, fleet: ResolvedFleet | None, kept: Mapping[str, SwitchedModel],
    environment: Mapping[str, str],
) -> dict[str, ReadyModel]:  # fmt: skip
    """The same of those that could not be had when this kernel began."""
    if fleet is None:
        return {}
    absent = {name for name, model in kept.items() if isinstance(model.opened.model, AbsentModel)}
    leaving = {name: one for name, one in fleet.leaving.items() if name in absent}
    return ready_leaving(kernel, number, msgspec.structs.replace(fleet, leaving=leaving), kept, environment)


def let_go_when_left(kernel: Kernel, drivers: Drivers, number: int, names: Mapping[str, ReadyModel]) -> None:
    """These go when those have ended who may ask them."""
    for name in names:
        drivers.drop_model(kernel, name_of(number, name))
