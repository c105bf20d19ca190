"""What a program finds around it that an earlier life in the same memory could have left there."""

import asyncio
import linecache
import os
import sys


async def main(proc):
    loop = asyncio.get_running_loop()
    made = [asyncio.ensure_future(asyncio.sleep(0.001)) for _ in range(3)]
    await asyncio.wait(made)
    return {
        "tasks": [task.get_name() for task in made],
        "numbers": [task.number for task in made],
        "alive": sorted(task.get_name() for task in asyncio.all_tasks()),
        "finders": [type(finder).__name__ for finder in sys.meta_path].count("RecordedModules"),
        "rehearsed": [name for name in (*sys.modules, *linecache.cache) if "prytany_rehearsal" in name],
        "elapsed": loop.time(),
        "is current": asyncio.get_event_loop_policy().get_event_loop() is loop,
        "forks": os.register_at_fork.__name__,
        "says at once": sys.stdout.line_buffering,
    }
