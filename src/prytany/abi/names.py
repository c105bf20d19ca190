"""Names of files that go into a journal or to a program."""

from __future__ import annotations

from prytany.abi.errors import Einval


def check_name(path: str) -> str:
    """`path`, where it can be written down; raises Einval where its bytes are no UTF-8, which Linux does not mind."""
    try:
        path.encode()
    except UnicodeEncodeError:
        error = Einval(f"{path[:200]!a} is no name in UTF-8, and could not be recorded")
        error.add_note("give it such a name")
        raise error from None
    return path
