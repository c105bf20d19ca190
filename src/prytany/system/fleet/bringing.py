"""Bringing a resolved fleet into a kernel: programs found, models and tools by the names that the kernel knows.

Everything that can fail is done before anything is changed: a fleet is prepared, which says what would change, and
then brought in one step, or dropped. A kernel that goes on in a home brings its fleets again from the journal: what
runs asks the models that it asked.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import msgspec

from prytany.abi.control import Change
from prytany.drivers.tools.python.tools import PythonTools
from prytany.kernel.fleets import Agent
from prytany.kernel.kernel import Kernel
from prytany.kernel.outcome import Program
from prytany.system.fleet.agents import agents_of
from prytany.system.fleet.behind import Environment, changed_secrets, skills_digest, tools_differ
from prytany.system.fleet.channels import couriers_back, forms_of, open_couriers, secrets_named, secrets_now
from prytany.system.fleet.comparing import CHANGED, compare
from prytany.system.fleet.drivers import Drivers, runs_with
from prytany.system.fleet.keyless import AbsentModel
from prytany.system.fleet.leaving import leaving_of, let_go_when_left, ready_anew, ready_leaving
from prytany.system.fleet.meaning import FindProgram
from prytany.system.fleet.models import ReadyModel, name_of, names_of, ready_models
from prytany.system.fleet.older import older_whole
from prytany.system.fleet.resolved import ResolvedFleet
from prytany.system.fleet.switched import SwitchedModel
from prytany.system.fleet.triggers import triggers_of
from prytany.system.fleet.variables import marks_of
from prytany.system.logs import Logs
from prytany.system.model_prices import look_up_prices
from prytany.system.programs import find_program
from prytany.system.tools import load_tools

RUNS_SHOWN = 10
_decoder = msgspec.msgpack.Decoder(ResolvedFleet)


def resolved_of(kernel: Kernel, number: int) -> ResolvedFleet:
    """A fleet of the kernel, as it was brought last. Raises Enoent, and Eio where the record of it is damaged."""
    return _decoder.decode(kernel.content(kernel.fleet_operator.get(number).resolved))


def plain_find(target: str) -> Program:
    """A program as it is on disk. Raises KernelError."""
    return find_program(target, "")


class Prepared:
    """A fleet of which all is there that it needs; bring it, or drop it. Make it with `prepare`."""

    def __init__(
        self, kernel: Kernel, drivers: Drivers, fleet: ResolvedFleet, number: int, *, lenient: bool = False
    ) -> None:
        self._kernel = kernel
        self._lenient = lenient
        self._drivers = drivers
        self.fleet = fleet
        self.number = number
        self._tools: dict[str, PythonTools] = {}
        self._older: dict[str, PythonTools] = {}
        self._models: dict[str, ReadyModel] = {}
        self._left: dict[str, ReadyModel] = {}
        """That could not be had so far, of those that it names no more."""
        self._before: ResolvedFleet | None = None
        self._agents: list[Agent] = []
        self._skills: dict[str, bytes] = {}
        self._environment: Mapping[str, str] = {}
        self._told_with: dict[str, str] = {}
        self._marks: dict[str, str] = {}
        self.new_marks = False
        """The variables of its secrets are others than are recorded, though they may be known already."""
        self.changes: list[Change] = []

    async def prepare(self, logs: Logs, environment: Mapping[str, str], find: FindProgram) -> None:
        """Load and open what is not there as it is wanted. Raises KernelError, and nothing is left of it then."""
        fleet, drivers = self.fleet, self._drivers
        self._told_with = secrets_now(fleet, environment, {} if self._lenient else None)
        self._environment = environment
        before = self._before = resolved_of(self._kernel, self.number) if self.number else None
        had, named = drivers.told_with.get(self.number, {}), secrets_named(before) if before is not None else set[str]()
        other = [name for name, value in self._told_with.items() if name in named and had.get(name) != value]
        behind = {("secret", name): ["value"] for name in other}
        secrets = Environment(fleet, environment)
        kept = open_models(drivers, self.number)
        try:
            for name, path in fleet.tools.items():
                behind["tools", name] = await self._load(path, logs, secrets, behind)
            for path, name in {path: name for name, path in fleet.tools.items()}.items():
                if whole := await older_whole(drivers, path, logs, secrets):
                    self._older.update(whole)
                    behind["tools", name].append("secrets of its text of then")
            self._models = ready_models(fleet, kept, environment, lenient=self._lenient)
            self._left = ready_anew(self._kernel, self.number, before, kept, environment)
            await look_up_prices(ready.opened.model for ready in self._models.values())
            self._agents = list(agents_of(fleet, self._names, find))
        except BaseException:
            await self.drop()
            raise
        self._marks = marks_of(self._variables(), environment, self._kernel.digest)
        self.new_marks = before is not None and before.marks != self._marks
        for name, ready in {**self._left, **self._models}.items():
            self._compare_model(name, ready, kept.get(name), behind)
        self._compare_agents(before, behind)
        self.changes = compare(before, fleet, behind)
        if before is not None and not self.changes and msgspec.structs.replace(before, marks={}, leaving={}) != fleet:
            self.changes = [Change(sign=CHANGED, kind="fleet", name=fleet.name, what=["how it is written"])]

    async def _load(
        self, path: str, logs: Logs, secrets: Environment, behind: dict[tuple[str, str], list[str]]
    ) -> list[str]:
        """Load a file of tools where what is loaded of it is not what is wanted; in words, what changes."""
        if path in self._tools:  # it has two names
            return []
        there = self._drivers.tools.get(path)
        if there is not None and not isinstance(there, PythonTools):
            return []
        what = tools_differ(there, secrets, lenient=self._lenient) if there is not None else []
        if there is not None and not what:
            return []
        new = self._tools[path] = await load_tools(path, logs, secrets, lenient=self._lenient)
        if there is None:
            return []
        for name in changed_secrets(there, new.secrets):
            if name in new.secrets:
                behind["secret", name] = ["value"]
        said = self._kernel.tools.said_by(path, there)
        names = dict.fromkeys([*new.manifests, *there.manifests])
        for name in names:
            was, now = there.manifests.get(name), new.manifests.get(name)
            if was is None or now is None:
                what.append(f"+{name}" if was is None else f"-{name}")
            elif was != now:
                what.append(f"what {name} says of itself")
        runs = runs_with(self._kernel, path, said) if new.manifests != there.manifests else []
        if runs:
            more = f" and {len(runs) - RUNS_SHOWN} more" if len(runs) > RUNS_SHOWN else ""
            what.append(f"runs that go on with it as it was: {', '.join(map(str, runs[:RUNS_SHOWN]))}{more}")
        return what

    def _compare_model(
        self, name: str, ready: ReadyModel, kept: SwitchedModel | None, behind: dict[tuple[str, str], list[str]]
    ) -> None:
        if kept is None or ready.opened is kept.opened:
            return
        (had, had_key, had_stamp), (has, has_key, has_stamp) = kept.opened.by, ready.opened.by
        if had_key != has_key and had.key == has.key and has.key is not None:
            behind["secret", has.key.secret] = ["value"]
        if had_stamp != has_stamp and had.file == has.file:
            behind["model", name] = ["what its file holds"]
        was_absent, is_absent = (isinstance(one.opened.model, AbsentModel) for one in (kept, ready))
        if was_absent and not is_absent and kept.opened.by == ready.opened.by:
            behind["model", name] = ["it can be asked"]

    def _compare_agents(self, before: ResolvedFleet | None, behind: dict[tuple[str, str], list[str]]) -> None:
        fleets = self._kernel.fleets.fleets
        had = fleets[self.number].agents if before is not None else {}
        for agent in self._agents:
            resolved = self.fleet.agents[agent.name]
            what: list[str] = []
            declared = had.get(agent.name)
            same = before is not None and before.agents.get(agent.name) == resolved
            if declared is not None and same and declared.source != self._kernel.shared_digest(agent.program.source):
                what.append("the loop that it runs" if resolved.chat else "the text of its program")
            if declared is not None and same and sorted(agent.tools) != declared.tools:
                what.append("the tools of a file that it has")
            if resolved.chat is not None and resolved.chat.skills:
                self._skills[agent.name] = digest = skills_digest(resolved.chat.skills)
                if self._drivers.skills.get((self.number, agent.name), digest) != digest:
                    what.append("what its skills say")
            if what:
                behind["agent", agent.name] = what

    def _variables(self) -> set[str]:
        """The names of those that its secrets are from, those that its tools name by themselves included."""
        secrets = self.fleet.secrets
        named = {secret.env for secret in secrets.values() if secret.env}
        for path in self.fleet.tools.values():
            if (tools := self._tools.get(path) or self._drivers.tools.get(path)) is not None:
                named |= {name for tool in tools.manifests.values() for name in tool.secrets if name not in secrets}
        return named

    def _names(self, path: str) -> list[str]:
        new = self._tools.get(path)
        return list(new.manifests) if new is not None else self._kernel.tools.names(path)

    def bring(self, *, uid: int, stays: bool) -> int:
        """Bring it; its number. Nothing is changed where that raises KernelError, and it is still to be dropped."""
        kernel, fleet, drivers = self._kernel, self.fleet, self._drivers
        number = self.number or kernel.fleets.next_number
        leaving = leaving_of(kernel, number, self._before, fleet)
        recorded = msgspec.structs.replace(fleet, marks=self._marks, leaving=leaving)
        kernel.fleet_operator.declare(
            fleet.name, self._agents, models=names_of(fleet, number), tools=list(fleet.tools.values()),
            resolved=msgspec.msgpack.encode(recorded), uid=uid, stays=stays, number=self.number,
            channels=forms_of(fleet), triggers=triggers_of(fleet), bytes_per_second=fleet.bytes_per_second,
            known={tool for path in fleet.tools.values() for tool in self._names(path)}, budget=fleet.run_budget,
        )  # fmt: skip
        for path, tools in self._tools.items():
            drivers.replace_tools(kernel, path, tools)
        for key, tools in self._older.items():
            drivers.replace_older(key, tools)
        for name, ready in {**self._left, **self._models}.items():
            switch(kernel, drivers, number, name, ready)
        open_couriers(drivers.couriers, kernel, number, fleet, self._environment)
        drivers.told_with[number] = self._told_with
        drivers.skills.update({(number, name): digest for name, digest in self._skills.items()})
        self._tools, self._older, self._models, self._left = {}, {}, {}, {}
        return number

    async def drop(self) -> None:
        """Let go of what was loaded and opened for it."""
        tools, self._tools, self._older = [*self._tools.values(), *self._older.values()], {}, {}
        models, self._models, self._left = [*self._models.values(), *self._left.values()], {}, {}
        for loaded in tools:
            await loaded.close()
        for ready in models:
            if not ready.opened.asked:
                await ready.opened.close()


def switch(kernel: Kernel, drivers: Drivers, number: int, name: str, ready: ReadyModel) -> None:
    """What a fleet calls by that name is that from now on; calls that wait for it feel new limits at once."""
    opened, terms = ready.of(number)
    name = name_of(number, name)
    model = drivers.models.get(name)
    if isinstance(model, SwitchedModel):
        model.switch(opened, terms)
        kernel.model_turns.look(name)
    else:
        drivers.models[name] = SwitchedModel(opened, terms)


async def prepare(
    kernel: Kernel, drivers: Drivers, logs: Logs, fleet: ResolvedFleet, *, number: int = 0,
    environment: Mapping[str, str] = os.environ, find: FindProgram = plain_find, lenient: bool = False,
) -> Prepared:  # fmt: skip
    """Look at what it would be to bring a fleet, or `number` again; nothing is changed. One that is `lenient` goes
    without secrets that cannot be had.

    Raises:
        KernelError: a program, tool, model or secret is not there, or cannot be used.
    """
    prepared = Prepared(kernel, drivers, fleet, number, lenient=lenient)
    await prepared.prepare(logs, environment, find)
    return prepared


async def bring(
    kernel: Kernel, drivers: Drivers, logs: Logs, fleet: ResolvedFleet, *, uid: int, stays: bool = False
) -> int:
    """Bring a new fleet; its number. Nothing is changed where it cannot be brought. Raises as `prepare`."""
    prepared = await prepare(kernel, drivers, logs, fleet)
    try:
        return prepared.bring(uid=uid, stays=stays)
    finally:
        await prepared.drop()


def open_models(drivers: Drivers, number: int) -> dict[str, SwitchedModel]:
    """The models of a fleet that are open, by its names."""
    before = f"{number}/"
    named = {name.removeprefix(before): model for name, model in drivers.models.items() if name.startswith(before)}
    return {name: model for name, model in named.items() if isinstance(model, SwitchedModel)}


def withhold_variables(kernel: Kernel, drivers: Drivers) -> None:
    """Let none of the fleets that are up have a variable that is another one's. What is not up was run or resumed with
    the variables of whoever did that. Raises Eio."""
    marks = {number: resolved_of(kernel, number).marks for number, f in kernel.fleets.fleets.items() if f.stays}
    drivers.variables.withhold(marks, kernel.digest)


def bring_back(kernel: Kernel, drivers: Drivers) -> None:
    """Open the models and couriers of the fleets that are in the journal; of one that is down and of which nothing
    lives, the couriers alone, for what is still to be told.

    A fleet that is up comes back without a key or a model's file that is gone, so that one fleet keeps no other from
    it; `lacking` says which.

    Raises:
        KernelError: a model cannot be opened.
    """
    going_on = _going_on(kernel)
    for number in kernel.fleets.fleets:
        environment = drivers.variables.of(number)
        drivers.couriers.update(couriers_back(kernel, number, environment))
        if number not in going_on:
            continue
        fleet = resolved_of(kernel, number)
        stays = kernel.fleets.fleets[number].stays
        for name, ready in ready_models(fleet, {}, environment, lenient=stays).items():
            switch(kernel, drivers, number, name, ready)
        left = ready_leaving(kernel, number, fleet, open_models(drivers, number), environment)
        for name, ready in left.items():
            switch(kernel, drivers, number, name, ready)
        let_go_when_left(kernel, drivers, number, left)
        drivers.told_with[number] = secrets_now(fleet, environment, {})  # what it cannot tell now waits
        for agent in fleet.agents.values():
            if agent.chat is not None and agent.chat.skills:
                drivers.skills[number, agent.name] = skills_digest(agent.chat.skills)


def tools_of(kernel: Kernel) -> list[str]:
    """The files of tools of the fleets that are in the journal, but for those that are down and of which nothing
    lives."""
    fleets = kernel.fleets.fleets
    return list(dict.fromkeys(path for number in _going_on(kernel) for path in fleets[number].tools))


def _going_on(kernel: Kernel) -> list[int]:
    """The fleets that are up, or have a process that lives. Looks at every process."""
    fleets, table = kernel.fleets, kernel.table
    alive = {member.fleet for pid, member in fleets.members.items() if (p := table.get(pid)) is not None and p.alive}
    return [number for number, fleet in fleets.fleets.items() if fleet.stays or number in alive]


def environment_of(kernel: Kernel, drivers: Drivers, path: str) -> Mapping[str, str]:
    """Where the tools of a file have their secrets from: as the fleet says that was brought last of those that have
    it."""
    numbers = [number for number, fleet in kernel.fleets.fleets.items() if path in fleet.tools]
    if not numbers:
        return os.environ
    return Environment(resolved_of(kernel, numbers[-1]), drivers.variables.of(numbers[-1]))
