import pytest

from prytany.abi.errors import Eio, Enoent
from prytany.journal.bodies import SMALL_BYTES_MAX, pack, split, unpack
from prytany.journal.chain import GENESIS, HASH_BYTES, next_hash
from prytany.journal.digests import Keyring


def counting_entropy() -> Keyring:
    drawn = iter(range(256))
    return Keyring(lambda n: bytes([next(drawn)]) * n)


def test_a_hash_depends_on_the_hash_before_and_on_the_record() -> None:
    assert len(GENESIS) == HASH_BYTES
    assert len({next_hash(GENESIS, b"a"), next_hash(GENESIS, b"b"), next_hash(next_hash(GENESIS, b"a"), b"a")}) == 3


def test_packed_bodies_come_back() -> None:
    pairs = [(bytes(16), b""), (b"\1" * 16, bytes(4_096))]
    assert unpack(pack(pairs)) == pairs
    assert pack([]) == b""
    assert unpack(b"") == []


def test_every_flip_in_packed_bodies_changes_them_or_is_refused() -> None:
    pairs = [(bytes(range(16)), b"content"), (bytes(16), b"x" * 300)]
    packed = pack(pairs)
    for place in range(len(packed)):
        for mask in (1, 2, 4, 8, 16, 32, 64, 128, 255):
            damaged = bytearray(packed)
            damaged[place] ^= mask
            try:
                assert unpack(bytes(damaged)) != pairs
            except Eio:
                continue


def test_a_body_above_the_bound_becomes_a_row_of_its_own() -> None:
    small, large = (bytes(16), bytes(SMALL_BYTES_MAX)), (b"\1" * 16, bytes(SMALL_BYTES_MAX + 1))
    packed, bodies = split(7, 3, [small, large])
    assert unpack(packed) == [small]
    assert [(b.tenant, b.digest, b.key_id, b.content) for b in bodies] == [(7, large[0], 3, large[1])]


def test_two_tenants_name_the_same_content_differently() -> None:
    ring = counting_entropy()
    ring.admit(1)
    ring.admit(2)
    assert ring.digest(1, b"x") != ring.digest(2, b"x")


def test_a_keyring_comes_back_and_never_reuses_a_key_id() -> None:
    ring = counting_entropy()
    assert ring.admit(1)
    assert not ring.admit(1)
    digest = ring.digest(1, b"x")
    ring.admit(2)
    assert ring.forget(2)
    ring = Keyring.load(ring.save(), lambda n: b"\xff" * n)
    assert ring.digest(1, b"x") == digest
    assert ring.key_id(2) is None
    ring.admit(2)
    assert ring.key_id(2) == 3


def test_a_tenant_without_a_key_has_no_digests() -> None:
    with pytest.raises(Enoent):
        counting_entropy().digest(1, b"x")


def test_any_damage_to_a_saved_keyring_is_refused() -> None:
    ring = counting_entropy()
    ring.admit(1)
    saved = ring.save()
    for place in range(len(saved)):
        damaged = bytearray(saved)
        damaged[place] ^= 1
        with pytest.raises(Eio):
            Keyring.load(bytes(damaged), bytes)
