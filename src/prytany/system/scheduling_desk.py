"""Operators' commands about scheduling, on an opened shard: classes, budgets, queues, and what a process waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prytany.abi import control
from prytany.abi import events as ev
from prytany.abi.errors import Esrch
from prytany.abi.ids import Pid, format_pid
from prytany.kernel.budget_views import account_row, account_rows
from prytany.kernel.queue_views import Live, qos_name, queue_rows
from prytany.kernel.state import ShardState
from prytany.kernel.waiting.explain import explain

if TYPE_CHECKING:  # who only looks at a home does without
    from prytany.kernel.kernel import Kernel

Act = control.AddBudget | control.GrantBudget | control.ScheduleProcess


def look_at_scheduling(command: control.SchedulingLook, state: ShardState, live: Live | None, now_ns: int) -> object:
    """What a command that changes nothing is answered with; `live` is the kernel that runs. Raises Esrch."""
    match command:
        case control.ListQueues():
            return queue_rows(state, live, now_ns)
        case control.ListBudgets():
            return account_rows(state, command.pid, command.after, live, now_ns)
        case control.ExplainProcess():
            return explain(state, command.pid, live, now_ns)


def carry_out_scheduling(kernel: Kernel, command: Act, uid: int) -> object:
    """What one that changes something is answered with. Raises KernelError."""
    from prytany.abi.budgets import Budget
    from prytany.kernel import budgeting

    match command:
        case control.AddBudget():
            name = budgeting.add(kernel, command.pid, command.of, command.more, uid=uid)
        case control.GrantBudget():
            budget = Budget(command.total, command.minute)
            name = budgeting.grant(kernel, command.pid, command.of, budget, uid=uid)
        case control.ScheduleProcess():
            return _schedule(kernel, command, uid)
    return account_row(kernel.ledger.state, name, None if kernel.idle else kernel, kernel.now_ns())


def _schedule(kernel: Kernel, command: control.ScheduleProcess, uid: int) -> control.Scheduled:
    from prytany.kernel.handlers.schedule import schedule

    process = kernel.operator.process(command.pid)
    if not process.alive:
        raise Esrch(f"process {format_pid(Pid(command.pid))} has ended")
    event = schedule(process, command.qos, command.weight, command.deadline_ms, -1 - uid, kernel.now_ns())
    kernel.ledger.commit((ev.OperatorCommanded(uid, "schedule", command.pid), event), {})
    return control.Scheduled(
        pid=process.pid, qos=qos_name(process.qos), weight=process.weight, deadline_ns=process.deadline_ns
    )
