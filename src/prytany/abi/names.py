"""Names that go into a journal: of files, and tags."""

from __future__ import annotations

import re
from collections.abc import Iterable

from prytany.abi import limits
from prytany.abi.errors import Einval

_TAG = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def check_name(path: str) -> str:
    """`path`, where it can be written down; raises Einval where its bytes are no UTF-8, which Linux does not mind."""
    try:
        path.encode()
    except UnicodeEncodeError:
        error = Einval(f"{path[:200]!a} is no name in UTF-8, and could not be recorded")
        error.add_note("give it such a name")
        raise error from None
    return path


def check_tags(*tags: Iterable[str]) -> list[str]:
    """All of these tags, each once, in order. Raises Einval where there are too many, or one is none."""
    found = sorted({tag for some in tags for tag in some})
    if len(found) > limits.TAGS_MAX:
        raise Einval(f"{len(found)} tags, and {limits.TAGS_MAX} are the most that a process has")
    for tag in found:
        if len(tag) > limits.TAG_CHARS_MAX or not _TAG.fullmatch(tag):
            raise Einval(
                f"{tag[:100]!a} is no tag: that is of letters, digits, `-` and `_`, begins with a letter, and has at"
                f" most {limits.TAG_CHARS_MAX}"
            )
    return found
