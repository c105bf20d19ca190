"""The memory of the machine, looked at from time to time: before it is gone, what nobody waits for stands still."""

from __future__ import annotations

from prytany.abi import limits
from prytany.kernel.kernel import Kernel
from prytany.ports.memory import Memory


async def watch_memory(kernel: Kernel, memory: Memory) -> None:
    """Look, and act on it, until the kernel stops. While it drains nothing is begun anyway, and nothing let go on."""
    while not kernel.closing:
        if not kernel.draining:
            kernel.reactions.pressure.look(memory.sample())
        await kernel.outside.clock.sleep_until(kernel.now_ns() + limits.MEMORY_LOOK_MS * 1_000_000)
