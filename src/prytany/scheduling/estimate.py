"""What a call will take, guessed from what calls like it took: for rates and for the order, never for budgets.

A kind of call is whatever the kernel says (an agent's program at a model, say). Of each is kept how many tokens its
prompts had a byte, and how long its answers were, with how far they strayed: the guess is the mean and two deviations,
so that it is too low seldom, and never above what the caller allows. Kinds that were not asked of for long are
forgotten; a guess that was wrong costs order and pace, no correctness.

Source: Jacobson, "Congestion avoidance and control", SIGCOMM 1988, whose estimate of a mean and its deviation this is.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

KINDS_MAX = 1_024
BYTES_A_TOKEN = 4
"""Before anything is known."""
UNIT = 1_024
"""Of what is kept, so that integers will do."""
GAIN_SHIFT = 3
DEVIATIONS = 2


class Kind(msgspec.Struct):
    """Of one kind of call, each times `UNIT`."""

    a_byte: int
    """Tokens of a prompt, a byte."""
    answer: int = -1
    """Tokens of an answer; -1 before the first."""
    strays: int = 0
    """How far an answer is from that."""


class Estimates:
    """See the module.

    Attributes:
        edition: how often the first call of a kind told what such calls take; guesses of before are bounds.
    """

    def __init__(self, kinds_max: int = KINDS_MAX) -> None:
        self._kinds: OrderedDict[str, Kind] = OrderedDict()
        self._kinds_max = kinds_max
        self.edition = 0

    def __len__(self) -> int:
        return len(self._kinds)

    def guess(self, kind: str, prompt_bytes: int, tokens_max: int) -> tuple[int, int]:
        """Tokens of the prompt, and of the answer, which is at most `tokens_max`; both >= 1."""
        known = self._kinds.get(kind)
        if known is None:
            return max(1, prompt_bytes // BYTES_A_TOKEN), max(1, tokens_max)
        prompt = max(1, prompt_bytes * known.a_byte // UNIT)
        if known.answer < 0:
            return prompt, max(1, tokens_max)
        return prompt, max(1, min(tokens_max, (known.answer + DEVIATIONS * known.strays) // UNIT))

    def learn(self, kind: str, prompt_bytes: int, prompt: int, completion: int) -> None:
        """A call of that kind took so much."""
        known = self._kinds.get(kind)
        if known is None:
            known = self._kinds[kind] = Kind(UNIT // BYTES_A_TOKEN)
            self.edition += 1
            if len(self._kinds) > self._kinds_max:
                self._kinds.popitem(last=False)
        self._kinds.move_to_end(kind)
        if prompt_bytes > 0 and prompt > 0:
            known.a_byte += ((prompt * UNIT // prompt_bytes) - known.a_byte) >> GAIN_SHIFT
        answer = completion * UNIT
        if known.answer < 0:
            known.answer, known.strays = answer, answer // 4
        else:
            off = answer - known.answer
            known.answer += off >> GAIN_SHIFT
            known.strays += (abs(off) - known.strays) >> (GAIN_SHIFT - 1)
