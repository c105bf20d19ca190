"""What a program does when it is told to end, and when its calls are cancelled."""

# ruff: noqa: ASYNC110
# A program draws on the standard library as it pleases: that is what is under test.
import asyncio


async def main(proc, how, signum):
    if how == "own handler":
        heard = []
        asyncio.get_running_loop().add_signal_handler(signum, heard.append, "heard")
        await proc.call("raise_signal", (signum,))
        while not heard:
            await asyncio.sleep(0.1)
        return heard
    sent = proc.call("raise_signal", (signum,))
    try:
        await proc.call("never")
    except asyncio.CancelledError:
        await proc.call("tidied")
        if how == "catches":
            return "tidy"
        raise
    return sent.done()


async def late(proc):
    """Cancel many calls at once; some results win their races."""
    calls = [proc.call("one", (i,)) for i in range(40)]
    for call in calls:
        call.cancel()
        call.cancel()
    states = [call.cancelled() for call in calls]
    results = await asyncio.gather(*calls, return_exceptions=True)
    return [any(states), {type(r).__name__ for r in results}.pop(), [call.late for call in calls]]


async def unasked(proc):
    """An ECANCELED that nobody asked for is an error, not a cancellation."""
    try:
        await proc.call("fail", ("ECANCELED",))
    except Exception as error:
        return type(error).__name__
