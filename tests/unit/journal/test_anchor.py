from pathlib import Path

import pytest

from prytany.abi.errors import Eio
from prytany.journal.anchor import SLOT_BYTES, SYNC_COMMITS, Anchor, Head, read_anchor
from prytany.ports.store import StoreGone


def written(path: Path, *seqs: int) -> None:
    anchor = Anchor(path)
    for seq in seqs:
        anchor.write(seq, bytes([seq % 256]) * 16)
    anchor.close()


def head(seq: int) -> Head:
    return Head(seq, bytes([seq % 256]) * 16)


def test_nothing_was_anchored_in_a_file_that_is_not_there_or_empty(tmp_path: Path) -> None:
    assert read_anchor(tmp_path / "head") is None
    written(tmp_path / "head")
    assert read_anchor(tmp_path / "head") is None
    assert (tmp_path / "head").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_the_newest_head_is_read(tmp_path: Path, count: int) -> None:
    written(tmp_path / "head", *range(1, count + 1))
    assert read_anchor(tmp_path / "head") == head(count)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_file_opened_again_overwrites_the_older_head(tmp_path: Path, count: int) -> None:
    written(tmp_path / "head", *range(1, count + 1))
    written(tmp_path / "head", count + 1)
    (tmp_path / "head").write_bytes(_with_flip((tmp_path / "head").read_bytes(), head(count + 1)))
    assert read_anchor(tmp_path / "head") == head(count)


def _with_flip(content: bytes, newest: Head) -> bytes:
    damaged = bytearray(content)
    damaged[content.index(newest.hash)] ^= 1
    return bytes(damaged)


def test_any_flip_in_a_slot_leaves_the_other_and_never_a_third_head(tmp_path: Path) -> None:
    written(tmp_path / "head", 1, 2)
    content = (tmp_path / "head").read_bytes()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1
        (tmp_path / "head").write_bytes(damaged)
        assert read_anchor(tmp_path / "head") in (head(1), head(2))


def test_a_file_without_a_good_slot_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "head", 1, 2)
    for content in (bytes(2 * SLOT_BYTES), b"short"):
        (tmp_path / "head").write_bytes(content)
        with pytest.raises(Eio):
            read_anchor(tmp_path / "head")


def test_it_is_synced_only_once_in_many_commits_and_at_close(tmp_path: Path) -> None:
    anchor = Anchor(tmp_path / "head")
    for seq in range(SYNC_COMMITS + 1):
        anchor.write(seq, bytes(16))
    assert anchor.syncs == 1
    anchor.close()
    assert anchor.syncs == 2


def test_a_head_in_a_file_that_was_removed_is_none(tmp_path: Path) -> None:
    anchor = Anchor(tmp_path / "head")
    anchor.write(1, bytes(16))
    (tmp_path / "head").unlink()
    with pytest.raises(StoreGone):
        anchor.write(2, bytes(16))
    anchor.close()
