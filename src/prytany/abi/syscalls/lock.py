"""Locks on names that processes of one scope share."""

from __future__ import annotations

from prytany.abi.syscalls.form import Argument, Syscall

CALLS = (
    Syscall(
        "lock_acquire",
        "ipc",
        (
            Argument("names", "list[str]", "what the caller wants alone; or with `permits`, one permit of each"),
            Argument("shared", "list[str]", "what it wants while others share it"),
            Argument("permits", "int", "how many each has, where they are semaphores; 0 for locks", 0),
            Argument("timeout_ms", "int", "how long to wait, counted while the kernel is down too; 0 is for ever", 0),
        ),
        "int",
        {
            "EINVAL": "a name or a number is out of bounds, or named twice; or the name is a semaphore of other permits"
            " (`permits` in the detail), or a lock",
            "EAGAIN": "the caller has too many, too many wait for one of them, or there are too many semaphores",
            "ETIMEDOUT": "it was not the caller's turn in time; nothing is held",
            "EDEADLK": "nobody of those that wait for each other could have gone on; `cycle` says who waits for what",
        },
        "Wait until all of these are the caller's, and answer the number of the grant, which grows with each grant.",
    ),
    Syscall(
        "lock_release",
        "ipc",
        (Argument("fence", "int", "the number of the grant"),),
        "bool",
        {},
        "Let go of all of one grant. False says that the caller does not have it (any more).",
    ),
)
