"""A kernel with a conversation in it that kills itself at an entry: `python -m tests.simulation.killed_letters`.

Arguments as of `killed_kernel`; mailboxes hold few messages, so that senders wait.
"""

from __future__ import annotations

from prytany.abi import limits
from tests.simulation import killed_kernel

if __name__ == "__main__":
    limits.MAILBOX_MESSAGES_MAX = 4
    killed_kernel.PROGRAM = killed_kernel.PROGRAM.with_name("letters.py")
    killed_kernel.FUNCTION = "root"
    killed_kernel.main()
