"""How programs run: a confined zygote that workers are forked from, and the kernel's end of it.

    launcher.py     kernel side: starts a zygote, asks it for workers, ends them        asyncio
    zygote.py       the program that forks: executed afresh, preloaded, one a venv      no asyncio
    confinement.py  what a worker is granted, and the ordered steps that take away the rest
    landlock.py     the file system half of it          seccomp.py   the system call half
    messages.py     what launcher and zygote say to each other
    pids.py uids.py naming one incarnation of a process; one uid a live worker
    checks.py       what this machine can do of all that: `prytany doctor`

This room knows `abi` and `userland`, and nothing of the kernel. Nothing is pickled across any of its boundaries.
"""
