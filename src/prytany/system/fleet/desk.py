"""Operators' commands about fleets, and about those of its agents that people talk to, on a kernel that runs."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from prytany.abi import control
from prytany.abi.errors import Eagain, Eio, Enoent
from prytany.abi.qos import Qos
from prytany.abi.signals import Signal
from prytany.abi.values import pack
from prytany.kernel.fleet_agents import check_price
from prytany.kernel.following import hear
from prytany.kernel.kernel import Kernel
from prytany.kernel.notice_views import channel_rows
from prytany.kernel.turn import others_first
from prytany.supervision.fleets import Fleet
from prytany.system.fleet.bringing import prepare, resolved_of
from prytany.system.fleet.drivers import Drivers
from prytany.system.fleet.form_terms import known_budget
from prytany.system.fleet.lacking import lacking
from prytany.system.fleet.places import prepare_folders
from prytany.system.fleet.resolved import ResolvedFleet
from prytany.system.fleet.sound import unpack_fleet
from prytany.system.fleet.switched import SwitchedModel
from prytany.system.fleet.trees import start_trees
from prytany.system.logs import Logs

TAKEN_DOWN = "its fleet was taken down"
Command = (
    control.StartAgent | control.BringFleet | control.WithdrawFleet | control.ListFleets | control.FollowProcess
)  # fmt: skip


class FleetDesk:
    """Answers commands about fleets."""

    def __init__(self, kernel: Kernel, drivers: Drivers, logs: Logs, home: Path, model: str = "") -> None:
        """`model` is the kernel's name of the model of agents that name none."""
        self._kernel = kernel
        self._drivers = drivers
        self._logs = logs
        self._home = home
        self._model = model
        self._bringing = asyncio.Lock()

    async def answer(self, command: Command, uid: int) -> bytes:
        """Carry it out; its packed answer, once what it says is durable. Raises KernelError."""
        if self._kernel.idle:
            raise Eagain("nothing runs in this home: bring a kernel up first, with `prytany up`")
        match command:
            case control.FollowProcess():
                return pack(await self._hear(command.pid, command.after))
            case control.BringFleet():
                answer: object = await self._bring(command, uid)
            case control.StartAgent():
                answer = self._start(command, uid)
            case control.WithdrawFleet():
                answer = self._withdraw(command, uid)
            case control.ListFleets():
                answer = [self._row(fleet) for fleet in self._kernel.fleets.fleets.values()]
        packed = pack(answer)
        await self._durable()
        return packed

    async def come_back(self, command: control.BringFleet, uid: int) -> control.Plan:
        """Bring a fleet; one that is up already goes without secrets that cannot be had. Raises KernelError."""
        return await self._bring(command, uid, lenient=True)

    def lacking(self) -> list[str]:
        """In words, what cannot be had of the secrets of the fleets that are there."""
        return lacking(self._kernel, self._drivers)

    async def _durable(self) -> None:
        journal = self._kernel.ledger.journal
        await journal.wait_durable(journal.head.seq)

    async def _hear(self, pid: int, after: int) -> control.Heard:
        """Raises Esrch where the journal's processes have none of that pid any more."""
        kernel = self._kernel

        def forgotten() -> bool:
            return kernel.operator.process(pid).forgotten  # of one that was let go, Esrch says all that there is

        while True:
            durable = kernel.ledger.journal.durable
            heard = hear(kernel.reader, kernel.content, pid, after, durable, forgotten=forgotten)
            if heard.said:
                return heard
            after = heard.last
            await others_first()  # what lies far back takes a while
            if after >= durable:
                kernel.operator.process(pid)
                await kernel.ledger.wait_entry(after)

    async def _bring(self, command: control.BringFleet, uid: int, *, lenient: bool = False) -> control.Plan:
        fleet = await asyncio.to_thread(unpack_fleet, command.fleet)  # it may have to look up prices
        async with self._bringing:
            there = self._kernel.fleets.staying(fleet.name)
            variables, number = self._drivers.variables, there.number if there else 0
            prepared = await prepare(
                self._kernel, self._drivers, self._logs, fleet, number=number,
                environment=variables.of(number, command.environment), lenient=lenient and there is not None,
            )  # fmt: skip
            plan = control.Plan.of(fleet.name, prepared.number, prepared.changes, dry_run=command.dry_run)
            try:
                if command.dry_run or (there is not None and plan.empty and not prepared.new_marks):
                    return plan
                self._check_prices(fleet)
                prepare_folders(fleet, Path(fleet.folder) / "fleet.yaml", self._home)
                if self._kernel.draining:
                    raise Eagain("the kernel was told to stop meanwhile: bring it when it is back")
                if self._kernel.fleets.staying(fleet.name) is not there:
                    raise Eagain(f"the fleet {fleet.name} was taken down meanwhile")
                plan.number = prepared.bring(uid=uid, stays=True)
            finally:
                await prepared.drop()
            variables.give(plan.number, command.environment)
            self._let_go_of_models()
            self._drivers.forget_all_but(self._kernel.fleets.fleets)
            plan.started = [
                self._kernel.fleet_operator.start(
                    plan.number, name, [], {}, uid=uid, model=self._model, qos=Qos.UTILITY
                )
                for name, agent in fleet.agents.items()
                if agent.service and name in plan.added and agent.replicas is None
            ]
            plan.started += start_trees(
                self._kernel, fleet.supervise, fleet.agents, plan.number, plan.added, uid=uid, model=self._model
            )
            await self._durable()  # whoever brings it next reads what is recorded of it
            return plan

    def _check_prices(self, fleet: ResolvedFleet) -> None:
        """Raises Einval where money is to bound agents that ask the model of the run, and that has no price."""
        for agent in fleet.agents.values():
            if not agent.model:
                budgets = fleet.run_budget, known_budget(agent.budget)
                check_price(self._kernel, self._model, budgets)

    def _let_go_of_models(self) -> None:
        """Drop those that nobody means any more: of fleets that are gone, or that their fleet does not name now. One
        that may still be asked stays."""
        kernel = self._kernel
        own = [name for name, model in self._drivers.models.items() if isinstance(model, SwitchedModel)]
        for name in own:
            if name not in kernel.fleets.models:
                self._drivers.drop_model(kernel, name)

    def _start(self, command: control.StartAgent, uid: int) -> int:
        fleet = self._of_name(command.fleet)
        return self._kernel.fleet_operator.start(
            fleet.number,
            command.agent,
            [],
            command.kwargs,
            uid=uid,
            model=self._model,
            function=command.function,
            tags=command.tags,
        )

    def _withdraw(self, command: control.WithdrawFleet, uid: int) -> int:
        """How many processes were asked to end."""
        fleet, kernel = self._of_name(command.name), self._kernel
        roots = [pid for pid, member in kernel.fleets.members.items() if member.fleet == fleet.number]
        kernel.fleet_operator.withdraw(fleet.number, uid=uid)
        ended = 0
        for pid in roots if command.end else ():
            process = kernel.table.get(pid)
            if process is None or not process.alive or process.pid != process.run:
                continue
            if pid in kernel.ledger.state.sessions.sessions:
                kernel.sessions.end(pid, uid=uid, reason=TAKEN_DOWN)
            else:
                kernel.operator.signal(pid, Signal.TERM, uid=uid)
            ended += 1
        return ended

    def _of_name(self, name: str) -> Fleet:
        fleet = self._kernel.fleets.staying(name)
        if fleet is None:
            there = ", ".join(sorted(f.name for f in self._kernel.fleets.fleets.values() if f.stays)) or "none"
            raise Enoent(f"there is no fleet {name[:100]!r} up; there are {there}")
        return fleet

    def _row(self, fleet: Fleet) -> control.FleetRow:
        entry, chats = "", list[str]()
        if fleet.stays:
            with contextlib.suppress(Eio):  # the record of it is damaged, and the fleet is there all the same
                written = resolved_of(self._kernel, fleet.number)
                entry, chats = written.entry, [a.name for a in written.agents.values() if a.chat is not None]
        return control.FleetRow(
            number=fleet.number, name=fleet.name, stays=fleet.stays, processes=fleet.members,
            agents={name: agent.about for name, agent in fleet.agents.items()}, models=sorted(fleet.models),
            channels=channel_rows(fleet), entry=entry, chats=chats,
        )  # fmt: skip
