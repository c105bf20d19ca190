"""The header of a model file: what it says of itself, and whether the file can hold what it announces.

A model file may come from anywhere, and this is no loader: nothing of it is kept but a few words for people, every
count is bounded before it is used, and what is long is passed over unread. llama.cpp, which does load it, does so in a
confined process.

Source: ggml's docs/gguf.md; the sizes of tensors from ggml.c's type_traits.
"""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

from prytany.abi.errors import Einval, Enoent

MAGIC = b"GGUF"
VERSIONS = (2, 3)
KEYS_MAX = 1 << 14
TENSORS_MAX = 1 << 16
ITEMS_MAX = 1 << 22
"""Of all lists of texts, such as the words of a vocabulary, together."""
NAME_BYTES_MAX = 1 << 16
SHOWN_BYTES_MAX = 200
DIMENSIONS_MAX = 4
ALIGNMENT = 32
TEXT, LIST = 8, 9
WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a value, by its type: whole numbers, floats and truths."""
NUMBERS = {4: "<I", 5: "<i", 10: "<Q", 11: "<q"}
BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84),
    11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 16: (256, 66), 17: (256, 74), 18: (256, 98),
    19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4),
    27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip
"""Numbers of a block and its bytes, by the type of a tensor. Of other types only the beginning is checked."""


class Header(NamedTuple):
    """What a model file says of itself; texts are its own, and are to be escaped."""

    version: int
    tensors: int
    file_bytes: int
    name: str = ""
    architecture: str = ""
    context_tokens: int = 0
    """What it was trained for; 0 where it does not say."""


def open_plain_file(path: Path) -> BinaryIO:
    """The file, opened without waiting, as a FIFO of that name would have it. Raises Enoent, and Einval for no file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        raise Enoent(f"it cannot be opened: {getattr(error, 'strerror', None) or error}") from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise Einval("it is no file")
    return os.fdopen(fd, "rb")


def look_at(path: Path) -> Header:
    """Its first bytes alone. Raises Enoent, and Einval for what is no model file."""
    with open_plain_file(path) as file:
        return _begin(file, os.fstat(file.fileno()).st_size)[0]


def check_header(path: Path) -> Header:
    """All of its header. Raises Enoent; Einval for what is no model file, or not all of one."""
    with open_plain_file(path) as file:
        return _Reader(file, os.fstat(file.fileno()).st_size).read()


def _begin(file: BinaryIO, size: int) -> tuple[Header, int]:
    """What the first 24 bytes say, and the number of keys that follow."""
    first = file.read(24)
    if not first.startswith(MAGIC):
        raise Einval("it is empty" if not first else "it is no GGUF file: it does not begin with GGUF")
    if len(first) < 24:
        raise Einval("it is cut off within its first bytes")
    version, tensors, keys = struct.unpack("<IQQ", first[4:])
    if version not in VERSIONS:
        swapped = int.from_bytes(first[4:8], "big") in VERSIONS
        raise Einval(f"it is of {'another byte order' if swapped else f'version {version} of GGUF'}, which is not read")
    if not 0 < tensors <= TENSORS_MAX or keys > KEYS_MAX:
        raise Einval(f"it announces {tensors} tensors and {keys} keys, and no model has that")
    return Header(version, tensors, size), keys


class _Reader:
    """One walk over a header, forwards only, that never goes past the end of the file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._size = size
        self._items = 0

    def read(self) -> Header:
        header, keys = _begin(self._file, self._size)
        said = dict(filter(None, (self._key() for _ in range(keys))))
        ends = [self._tensor() for _ in range(header.tensors)]
        alignment = said.get("general.alignment", ALIGNMENT)
        if not isinstance(alignment, int) or alignment <= 0:
            raise Einval("its alignment is no number above 0")
        begin = -(-self._file.tell() // alignment) * alignment
        if begin + max(ends) > self._size:
            raise Einval(f"it is cut off: its tensors need {begin + max(ends)} bytes, and it has {self._size}")
        architecture = str(said.get("general.architecture", ""))
        context = said.get(f"{architecture}.context_length", 0)
        return header._replace(
            name=str(said.get("general.name", "")), architecture=architecture,
            context_tokens=context if isinstance(context, int) else 0,
        )  # fmt: skip

    def _take(self, count: int) -> bytes:
        taken = self._file.read(count)
        if len(taken) < count:
            raise Einval("it is cut off within its header")
        return taken

    def _skip(self, count: int) -> None:
        if count > self._size - self._file.tell():
            raise Einval("it is cut off within its header")
        self._file.seek(count, os.SEEK_CUR)

    def _number(self, form: str) -> int:
        found: int = struct.unpack(form, self._take(struct.calcsize(form)))[0]
        return found

    def _text(self) -> str:
        length = self._number("<Q")
        if length > NAME_BYTES_MAX:
            raise Einval(f"it has a name of {length} bytes")
        return self._take(length).decode("utf-8", "replace")

    def _key(self) -> tuple[str, str | int] | None:
        """A key and its value, where that is a number or a short text."""
        key, kind = self._text(), self._number("<I")
        if kind in NUMBERS:
            return key, self._number(NUMBERS[kind])
        if kind == TEXT:
            length = self._number("<Q")
            if length <= SHOWN_BYTES_MAX:
                return key, self._take(length).decode("utf-8", "replace")
            self._skip(length)
        elif kind == LIST:
            self._list()
        elif kind in WIDTHS:
            self._skip(WIDTHS[kind])
        else:
            raise Einval(f"it has a value of the type {kind}, which there is none of")
        return None

    def _list(self) -> None:
        kind, count = self._number("<I"), self._number("<Q")
        if kind in WIDTHS:
            self._skip(WIDTHS[kind] * count)
            return
        if kind != TEXT:
            raise Einval(f"it has a list of the type {kind}, which there is none of")
        self._items += count
        if self._items > ITEMS_MAX:
            raise Einval(f"its lists have more than {ITEMS_MAX} texts")
        for _ in range(count):
            self._skip(self._number("<Q"))

    def _tensor(self) -> int:
        """Where a tensor ends, from where the tensors begin."""
        self._text()
        dimensions = self._number("<I")
        if dimensions > DIMENSIONS_MAX:
            raise Einval(f"it has a tensor of {dimensions} dimensions")
        numbers = 1
        for _ in range(dimensions):
            numbers *= self._number("<Q")
        kind, begin = self._number("<I"), self._number("<Q")
        block, width = BLOCKS.get(kind, (1, 0))
        return begin + -(-numbers // block) * width
