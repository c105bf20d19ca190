"""Programs that end in every way there is; the argument says how."""

# A program draws on the standard library as it pleases: that is what is under test.
import asyncio
import sys

from prytany.abi.errors import Einval, KernelError, ProcessExit


class Agent:
    async def __call__(self, proc):
        return "called"


agent = Agent()


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def synchronous(proc):
    return 1


async def leaves(status):
    raise ProcessExit(status)


async def main(proc, how):
    match how:
        case "returns":
            return {"sum": 3}
        case "raises":
            raise ValueError("no " + "x" * 20_000)
        case "raises kernel error":
            await proc.call("fail", ("EDQUOT",))
        case "address":
            raise ValueError(f"about {object()!r}")
        case "leaves":
            await leaves(3)
        case "leaves from a group":
            async with asyncio.TaskGroup() as group:
                group.create_task(leaves(4))
        case "sys.exit":
            sys.exit(5)
        case "sys.exit(300)":
            sys.exit(300)
        case "sys.exit(-1)":
            sys.exit(-1)
        case "sys.exit(256)":
            sys.exit(256)
        case "sys.exit(True)":
            sys.exit(True)
        case "raises what has no text":
            raise Mute
        case "unsendable":
            return object()
        case "huge":
            try:
                await proc.call("one", ("x" * (5 << 20),))
            except Einval as error:
                return [error.errno, error.call, await proc.call("one", (1,))]
        case "too many":
            made = []
            try:
                while True:
                    made.append(proc.call("one", (1,)))
            except KernelError as error:
                return [error.errno, len(made), len(await asyncio.gather(*made))]
        case "fills a frame":
            made = [proc.call("one", ("x" * (3 << 20),)), proc.call("one", ("x" * (3 << 20),))]
            try:
                proc.call("one", ("x" * (3 << 20),))
            except KernelError as error:
                await asyncio.gather(*made)
                return error.errno
        case "leftovers":
            left = [asyncio.create_task(leftover(proc, i)) for i in range(3)]
            await asyncio.sleep(0)
            return len(left)


async def leftover(proc, i):
    try:
        await proc.call("never")
    finally:
        await proc.call("tidied", (i,))
