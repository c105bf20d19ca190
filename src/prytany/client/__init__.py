"""Attaching to a home: what people, surfaces and scripts look at and steer it with.

    client = await attach(home)
    for row in await client.ps():
        ...
    await client.signal(pid, Signal.TERM)

It speaks to the kernel that runs there. Where none runs, it reads the journal itself, and what is commanded is
recorded for whoever resumes the home: the same methods, the same events.
"""

from prytany.client.client import Client, attach

__all__ = ["Client", "attach"]
