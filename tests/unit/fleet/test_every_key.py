"""Every key of the form with everything that a file can hold there: taken, or refused with a place in the file; and no
exception, nothing hidden in what is said, and nothing taken that could not be sent to a kernel."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import inspect as types

from prytany.abi.errors import Enoent
from prytany.system.fleet.faults import FleetError
from prytany.system.fleet.form import Fleet
from prytany.system.fleet.loading import load_fleet
from prytany.system.fleet.resolved import ResolvedFleet, resolve
from tests.unit.fleet.keys import SOUND, Key, keys, lay_out, place_of, written

VARIABLES = {"A": "value", "B": "${A}", "C": "\x1b[31m", "HOME": "/root"}
NEVER = (
    "!!python/object/apply:os.system [ls]", "!!python/name:os.system ''", "!!python/object/new:os._Environ {}", "!x y",
    "!!binary aGk=", "!!set {a}", "!!omap [a: b]", "*nope", "&a [*a]", "@x", "`x`", "%x", '"\\U00110000"', '"\\ud800"',
    "[", "}", "'", "a: b: c", "{<<: {a: b}}", "{? [1] : 2}", "<<: x",
)  # fmt: skip
"""What is taken nowhere."""
HIDDEN = ('"\\0"', '"\\x1b[31m"', '"\\e]52;c;aGk=\\a"', '"\\u202e\\u200b"', '"\\u2028"', '"\\x9b"', '"\\uFEFF"', "${C}")
"""What is taken in prompts alone, and where JSON Schemas are."""
ANY = (
    "", "~", "[[]]", "{}", "[]", "{a: b}", "[null]", "['']", "''", "5", "-1", "0", "1.5", "+1", "1e3", "1e400", ".inf",
    ".nan", "0o17", "017", "0x1F", "1_000", "1:30", "٣", "2026-01-01", "yes", "no", "on", "y", "TRUE", "'true'", "a b",
    "!!str 5", "!!int '5'", "!!float x", "!!bool maybe", "9" * 5_000, "9" * 400, "1" * 30, "1" * 20, "x" * 70_000,
    "${HOME", "${NONE}", "$", "${}", "${A:-${B}}", "${B}", "$${A}", "../../etc", "/etc/passwd", "/dev/zero", "..",
    "pipe", "loop", "a/b", "a.b", ".", "http://", "'http://[x'", "'https://u:p@h/'", "'http://h:99999999/'", "main.py",
    "'main.py:main:main'", "docs:main", "':'", "é", "e\u0301", "|\n  text\n", "'Talker'", "talker ", '"a\\n"', "=",
)  # fmt: skip
PROMPTS: tuple[Key, ...] = (("agents", "*", "instruction"), ("agents", "*", "answer", "*"))
KEYS = list(keys())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("fleet")
    lay_out(made)
    os.mkfifo(made / "pipe")
    (made / "loop").symlink_to("loop")
    return made


def load(folder: Path, text: str) -> FleetError | None:
    """What is wrong with it; a sound one is resolved, packed, and read again as a kernel reads it."""
    path = folder / "fleet.yaml"
    path.write_text(text)
    try:
        loaded = load_fleet(path, VARIABLES)
    except FleetError as error:
        return error
    packed = msgspec.msgpack.encode(resolve(loaded.fleet, folder, {}))
    msgspec.msgpack.decode(packed, type=ResolvedFleet)
    return None


def check(key: Key, place: list[str | int], text: str, error: FleetError) -> None:
    lines = text.count("\n") + 1
    for fault in error.faults:
        assert 1 <= fault.place.line <= lines, (key, fault)
        assert fault.place.column >= 1, (key, fault)
        assert fault.what.isprintable(), (key, ascii(fault.what[:200]))
        assert len(fault.what) < 1_000, (key, fault.what[:100])
    assert all(line.isprintable() for line in error.message.splitlines()), ascii(error.message[:300])
    if "it is not YAML" in error.message or key in (("models",), ("secrets",), ("tools",)):
        return  # what is missing there is said where it is named
    if key[: len(PRICES)] == PRICES:
        return  # one may make another wrong, or a budget in money
    paths = [list(fault.path) for fault in error.faults]
    assert any(path[: len(place)] == place or place[: len(path)] == path for path in paths), (key, error.message[:300])


PRICES = ("models", "*", "prices")


def test_the_sound_file_is_sound_and_has_every_key(folder: Path) -> None:
    place: list[Any] = ["version"]
    assert load(folder, written(place, "1")) is None
    assert [key for key, _ in KEYS if place_of(key) is None] == []
    assert SOUND["version"] == 1


@pytest.mark.parametrize("key", [key for key, _ in KEYS], ids=".".join)
def test_what_stands_at_a_key_is_taken_or_refused_with_its_place(folder: Path, key: Key) -> None:
    place = place_of(key)
    assert place is not None
    at = [key for key, _ in KEYS].index(key) % 4
    try_all(folder, key, place, NEVER[at::4], HIDDEN[at::4], ANY[at::4])


@pytest.mark.slow
@pytest.mark.parametrize("key", [key for key, _ in KEYS], ids=".".join)
def test_everything_at_every_key(folder: Path, key: Key) -> None:
    place = place_of(key)
    assert place is not None
    try_all(folder, key, place, NEVER, HIDDEN, ANY)


def try_all(
    folder: Path, key: Key, place: list[str | int], never: tuple[str, ...], hidden: tuple[str, ...],
    other: tuple[str, ...],
) -> None:  # fmt: skip
    for fragment in (*never, *hidden, *other):
        text = written(place, fragment)
        error = load(folder, text)
        refused = fragment in never or (fragment in hidden and key not in PROMPTS)
        assert error is not None or not refused, (key, fragment)
        if error is not None:
            check(key, place, text, error)


def _required() -> list[Key]:
    """The keys that have to be there."""
    found: list[Key] = []
    for key, form in [((), types.type_info(Fleet)), *KEYS]:
        bare = form
        while isinstance(bare, types.Metadata):
            bare = bare.type
        for member in bare.types if isinstance(bare, types.UnionType) else (bare,):
            fields = member.fields if isinstance(member, types.StructType) else ()
            found += [(*key, field.encode_name) for field in fields if field.required]
    return found


@pytest.mark.parametrize("key", _required(), ids=".".join)
def test_a_key_that_is_missing_is_named(folder: Path, key: Key) -> None:
    place = place_of(key)
    assert place is not None
    copy = json.loads(json.dumps(SOUND))
    at = copy
    for part in place[:-1]:
        at = at[part]
    del at[place[-1]]
    error = load(folder, json.dumps(copy, indent=1))
    assert error is not None
    assert f"{key[-1]!r} is missing" in error.message


@pytest.mark.parametrize("key", [key for key, _ in KEYS if key[-1] not in ("*", "0")], ids=".".join)
def test_a_key_that_stands_twice_or_is_misspelt_is_refused(folder: Path, key: Key) -> None:
    place = place_of(key)
    assert place is not None
    text = json.dumps(SOUND, indent=1)
    for other in (key[-1], f"{key[-1]}s", key[-1].upper(), f" {key[-1]}", f"{key[-1]}\u200b"):
        copy = json.loads(text)
        at = copy
        for part in place[:-1]:
            at = at[part]
        at["\x01"] = None
        error = load(folder, json.dumps(copy, indent=1).replace(json.dumps("\x01"), json.dumps(other)))
        assert error is not None, (key, other)
        check(key, place[:-1], text, error)
        assert "stands twice" in error.message or "no such key" in error.message, (key, other, error.message)


SMALL = "version: 1\nname: small\nagents: {one: {instruction: hi}}\n"
FILES = {
    "a mark of bytes": ("\ufeff" + SMALL).encode(), "UTF-16": SMALL.encode("utf-16"), "UTF-32": SMALL.encode("utf-32"),
    "Latin 1": SMALL.replace("hi", "hï").encode("latin-1"), "tabs": SMALL.replace(": 1", ":\t1\n\tx: 1").encode(),
    "NUL": SMALL.encode() + b"\0",
    "old lines": SMALL.replace("\n", "\r").encode(), "half": SMALL.encode()[:30] + b"\xe2",
    "directive": b"%YAML 9.9\n---\n" + SMALL.encode(),
    "a tag of its own": b"%TAG ! tag:yaml.org,2002:python/\n---\n!x 1",
    "two": SMALL.encode() + b"---\n" + SMALL.encode(), "a word": b"fleet", "a number": b"1", "a list": b"- 1",
    "keys without end": ("".join(f"k{n}: 1\n" for n in range(30_000))).encode(), "deep": b"a: " + b"[" * 10_000,
    "deep maps": b"a: " + b"{a: " * 10_000, "deep by lines": "".join(" " * n + "a:\n" for n in range(1_000)).encode(),
    "a long line": b"a: " + b"x" * 1_048_000, "a key of a key": b"? ? ? a\n", "many anchors": b"&a " * 1_000 + b"x",
    "aliases": b"a: &a [x,x,x,x,x,x,x,x,x,x]\n" + b"".join(
        b"a%d: &b%d [%s]\n" % (n, n, b",".join([b"*b%d" % (n - 1) if n else b"*a"] * 10)) for n in range(9)
    ),
    "an alias of itself": b"&a {a: *a}", "garbage": bytes(range(256)) * 20, "escapes": b"\x1b[2J: 1\n",
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_any_kind_is_read_or_refused_with_a_place(folder: Path, name: str) -> None:
    path = folder / "fleet.yaml"
    path.write_bytes(FILES[name])
    if name in ("a mark of bytes", "old lines"):
        assert load_fleet(path, {}).fleet.name == "small"
        return
    with pytest.raises(FleetError) as caught:
        load_fleet(path, {})
    error = caught.value
    assert all(fault.place.line >= 1 and fault.place.column >= 1 for fault in error.faults)
    assert all(line.isprintable() for line in error.message.splitlines()), ascii(error.message[:300])
    assert len(error.message) < 20_000


def test_what_is_no_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    (tmp_path / "world.yaml").symlink_to("/dev/zero")
    (tmp_path / "large.yaml").write_bytes(b"")
    os.truncate(tmp_path / "large.yaml", 100 << 20)
    for name in ("folder", "loop", "nowhere", "pipe", "world"):
        with pytest.raises(Enoent):
            load_fleet(tmp_path / f"{name}.yaml", {})
    with pytest.raises(FleetError, match="at most"):
        load_fleet(tmp_path / "large.yaml", {})
