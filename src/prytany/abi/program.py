"""A recorded program: the text of its main file, and of the modules beside it that it imports, as one content.

    magic, msgpack [main, [[name, kind, text], ...]]

Paths are not in it: a module's name and kind give its path from the program's folder, so the same program in two
places is one content. A record that is plain text (what was stored before modules were) is a main file alone; the magic
begins with a zero byte, which no Python text may hold, so the two cannot be taken for each other.
"""

from __future__ import annotations

import msgspec

from prytany.abi.errors import Einval

MAGIC = b"\0prytany.program/1\0"
MODULE, PACKAGE, NAMESPACE = "module", "package", "namespace"
CONVERSATION = "Session"
"""The function of a chat agent's program that keeps a conversation with people."""


class Module(msgspec.Struct, array_like=True, frozen=True):
    """One module beside a program. A `namespace` is a folder without `__init__.py`, and has no text."""

    name: str
    kind: str
    text: bytes = b""

    @property
    def path(self) -> str:
        """Its file from the program's folder; "" for a namespace."""
        place = self.name.replace(".", "/")
        return {MODULE: f"{place}.py", PACKAGE: f"{place}/__init__.py"}.get(self.kind, "")


class Recorded(msgspec.Struct, array_like=True, frozen=True):
    """What a record holds of a program. `whole` is False for a record of the main file alone."""

    main: bytes
    modules: list[Module] = []
    whole: bool = True


_decoder = msgspec.msgpack.Decoder(Recorded)


def pack_program(main: bytes, modules: list[Module]) -> bytes:
    """The content that is recorded."""
    return MAGIC + msgspec.msgpack.encode([main, modules])


def is_whole(content: bytes) -> bool:
    """Whether a recorded program holds its modules too; an older one has to find them on disk."""
    return content.startswith(MAGIC)


def unpack_program(content: bytes) -> Recorded:
    """What `pack_program` packed, or a main file alone. Raises Einval for what is neither."""
    if not is_whole(content):
        return Recorded(content, [], False)
    try:
        return _decoder.decode(memoryview(content)[len(MAGIC) :])
    except msgspec.MsgspecError as error:
        raise Einval(f"the recorded program cannot be read by this version: {error}") from None
