"""Which slot a call gets: the one that holds most of its prompt already, or the one that nobody used for longest.

A slot keeps the computed prompt of its last call. A call that begins as that one did goes on from there, if both are of
one tenant; else the slot is read anew from its first token, so that nobody learns by the time an answer takes what
somebody else has asked. What a slot holds is known by digests of the prompt's bytes up to each block of them: prompts
agree in as many blocks as their digests do. Slots given to others than the last are given in the order of their asking.
"""

from __future__ import annotations

import asyncio
from hashlib import blake2b
from typing import Any

from prytany.drivers.models.openai_wire import encode

BLOCK_BYTES = 256
DIGEST_BYTES = 8


def digests_of(messages: list[dict[str, Any]]) -> list[bytes]:
    """A digest of the beginning, up to each whole block; O(bytes). Raises ModelFailure where they are not JSON."""
    said = encode(messages)
    beginning = blake2b(digest_size=DIGEST_BYTES)
    found: list[bytes] = []
    for end in range(BLOCK_BYTES, len(said) + 1, BLOCK_BYTES):
        beginning.update(said[end - BLOCK_BYTES : end])
        found.append(beginning.copy().digest())
    return found


class Slot:
    """One of llama.cpp's slots, as far as it is known from here."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.tenant: int | None = None
        """Whose call it had last; None for nobody's."""
        self.keeps = False
        """Its last call was of the same tenant as the one that has it."""
        self.held: list[bytes] = []
        """What it holds, as digests of a prompt's beginnings."""
        self.mark: object = None
        """Of what was put aside here, while nobody else has had the slot."""
        self.used = 0

    def shares(self, tenant: int, prompt: list[bytes]) -> int:
        """In how many blocks it agrees with a prompt of `tenant`."""
        if self.tenant != tenant:
            return 0
        agreed = 0
        for mine, theirs in zip(self.held, prompt, strict=False):
            if mine != theirs:
                break
            agreed += 1
        return agreed


class Slots:
    """All slots of a process: who waits for one gets it in the order of asking."""

    def __init__(self, count: int) -> None:
        self._slots = [Slot(number) for number in range(count)]
        self._free = list(self._slots)
        self._turns = 0
        self._places = asyncio.Semaphore(count)  # here and not in llama.cpp's queue, where waiting counts as time out

    async def take(self, tenant: int, prompt: list[bytes], mark: object = None) -> Slot:
        """The best of those that are free, once one is; `mark` is of what it is wanted for, if that was put aside."""
        await self._places.acquire()
        slot = self._best(tenant, prompt, mark)
        self._free.remove(slot)
        self._turns += 1
        slot.used = self._turns
        slot.keeps = slot.tenant == tenant
        slot.tenant, slot.held = tenant, prompt
        if slot.mark is not mark:
            slot.mark = None
        return slot

    def give_back(self, slot: Slot) -> None:
        """It is free again."""
        self._free.append(slot)
        self._places.release()

    def forget(self) -> None:
        """The process is another one: its slots hold nothing, but what those who have them will put there."""
        for slot in self._slots:
            slot.keeps, slot.mark = False, None
        for slot in self._free:
            slot.tenant, slot.held = None, []

    def _best(self, tenant: int, prompt: list[bytes], mark: object) -> Slot:
        oldest = min(self._free, key=lambda slot: slot.used)
        if mark is not None:
            return next((slot for slot in self._free if slot.mark is mark), oldest)
        shares = {slot.number: slot.shares(tenant, prompt) for slot in self._free}
        best = max(self._free, key=lambda slot: (shares[slot.number], -slot.used))
        lost = len(best.held) - shares[best.number]
        # What is saved is sure, and what is lost may not be asked for again, so it counts half.
        return best if 2 * shares[best.number] > lost else oldest
