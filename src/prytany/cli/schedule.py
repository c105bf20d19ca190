"""`schedule`: another class, weight or deadline for a process."""

from __future__ import annotations

from pathlib import Path

from prytany.abi.control import Scheduled
from prytany.abi.errors import Einval
from prytany.abi.ids import Pid, format_pid
from prytany.cli.attached import duration, say_recorded, with_client
from prytany.cli.failure import advised
from prytany.cli.moments import length_ms
from prytany.cli.naming import named, pids_of
from prytany.cli.text import json_line, safe
from prytany.client import Client
from prytany.drivers.clocks.system import SystemClock

NEVER = "none"
KEPT_MS = -1


def schedule_process(home: Path, pid_text: str, qos: str, weight: int, deadline: str, as_json: bool) -> None:
    """Change what is given, and say what the process has now. Raises Esrch, Einval."""
    target, deadline_ms = named(pid_text), _deadline(deadline)

    async def schedule(client: Client) -> Scheduled:
        (pid,) = await pids_of(client, [target])
        if not (qos or weight) and deadline_ms == KEPT_MS:
            found = await client.inspect(pid)
            return Scheduled(pid=pid, qos=found.qos, weight=found.weight, deadline_ns=found.deadline_ns)
        done = await client.schedule(pid, qos, weight, deadline_ms)
        say_recorded(client, as_json)
        return done

    done = with_client(home, schedule)
    if as_json:
        print(json_line(done))
        return
    left_ns = done.deadline_ns - SystemClock().now_ns()
    when = f"a deadline in {duration(left_ns)}" if left_ns > 0 else "a deadline that has passed"
    line = f"{done.qos}, weight {done.weight}, {when if done.deadline_ns else 'no deadline'}"
    print(safe(f"process {format_pid(Pid(done.pid))}: {line}"))


def _deadline(text: str) -> int:
    """In ms from now; 0 for none, -1 where nothing is said. Raises Einval."""
    if not text:
        return KEPT_MS
    if text.strip() == NEVER:
        return 0
    found = length_ms(text)
    if not found:
        raise advised(
            Einval(f"--deadline {text[:100]!r} is no length of time"), "write 30s, 10m or 2h from now, or none"
        )
    return found
