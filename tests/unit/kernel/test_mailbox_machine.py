"""Mailboxes against a model of what they promise: whatever processes send, take, finish, refuse, cancel or fail at,
nothing is lost, nothing comes again once it is done, each sender's order is kept, and every box and line is bounded.
"""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from prytany.abi import limits
from prytany.abi.errors import Eagain
from prytany.kernel.folding import fold_from_start
from prytany.kernel.mail import drop_letters, retry_letters
from tests.unit.kernel.puppets import Puppet, Stage

ROOM, LINE, ATTEMPTS = 2, 2, 2
WHO = st.integers(0, 1)
KIND = st.sampled_from("ab")
ID = st.integers(0, 1)


class Letter(msgspec.Struct):
    """One message, as the model knows it."""

    number: int
    sender: int
    kind: str
    id: int
    attempts: int = 0


class Wait(msgspec.Struct):
    """A receive that waits."""

    n: int
    kind: str
    sender: int
    id: int

    def takes(self, letter: Letter) -> bool:
        if self.kind not in ("", letter.kind) or self.sender not in (0, letter.sender):
            return False
        return self.id in (-1, letter.id)

    @property
    def plain(self) -> bool:
        return not self.kind and not self.sender and self.id < 0


class Box(msgspec.Struct):
    """What one process has."""

    waiting: list[Letter] = []
    hand: list[Letter] = []
    line: list[tuple[Letter, int]] = []
    """With the calls of the senders."""
    waits: list[Wait] = []
    dead: list[Letter] = []

    @property
    def full(self) -> bool:
        return len(self.waiting) + len(self.hand) >= ROOM

    def fill(self) -> None:
        while self.line and not self.full:
            self.waiting.append(self.line.pop(0)[0])


class MailboxMachine(RuleBasedStateMachine):
    """Two processes of one run."""

    def __init__(self) -> None:
        super().__init__()
        self.bounds = (limits.MAILBOX_MESSAGES_MAX, limits.SENDERS_MAX, limits.MESSAGE_ATTEMPTS_MAX)
        limits.MAILBOX_MESSAGES_MAX, limits.SENDERS_MAX, limits.MESSAGE_ATTEMPTS_MAX = ROOM, LINE, ATTEMPTS
        self.loop = asyncio.new_event_loop()
        self.next = 1
        self.done: set[int] = set()
        self.model = [Box() for _ in range(2)]
        self.stage, self.pids = self.loop.run_until_complete(self.begin())

    async def begin(self) -> tuple[Stage, list[int]]:
        stage = Stage()
        one = await stage.root(restarts=1_000)
        return stage, [one.pid, (await stage.child(one, restarts=1_000)).pid]

    def lines(self) -> list[tuple[Letter, int]]:
        return [held for box in self.model for held in box.line]

    def puppet(self, who: int) -> Puppet:
        return self.stage.puppets[self.pids[who]]

    def call(self, who: int, name: str, *args: Any) -> tuple[int, Any]:
        """Make a call; its number, and its answer so far."""
        puppet = self.puppet(who)
        n = puppet.call(name, *args)
        self.loop.run_until_complete(self.stage.settled())
        return n, puppet.answers.get(n)

    @rule(sender=WHO, receiver=WHO, sent=st.lists(st.tuples(KIND, ID, st.booleans()), min_size=1, max_size=4))
    def send(self, sender: int, receiver: int, sent: list[tuple[str, int, bool]]) -> None:
        for kind, id, waits in sent:
            self.send_one(sender, receiver, kind, id, waits)

    def send_one(self, sender: int, receiver: int, kind: str, id: int, waits: bool) -> None:
        # Who waits for itself, or for who waits for it, hears EDEADLK.
        waits = waits and sender != receiver and not any(x.sender == self.pids[receiver] for x, _ in self.lines())
        box, letter = self.model[receiver], Letter(self.next, self.pids[sender], kind, id)
        args = (self.pids[receiver], kind, {"id": id}, -1 if waits else 0)
        taker = next((wait for wait in box.waits if wait.takes(letter)), None)
        n, answer = self.call(sender, "message_send", *args)
        if taker is not None:
            box.waits.remove(taker)
            letter.attempts = 1
            box.hand.append(letter)
            assert self.puppet(receiver).answers[taker.n][1]["message"] == letter.number
        elif not box.full:
            box.waiting.append(letter)
        elif not waits or len(box.line) >= LINE:
            assert answer[0] == "EAGAIN"
            return
        else:
            assert answer is None
            box.line.append((letter, n))
            self.next += 1
            return
        assert answer == ("", letter.number)
        self.next += 1

    @rule(who=WHO, kind=st.sampled_from(["", "a", "b"]), sender=st.sampled_from([-1, -1, 0, 1]),
          id=st.sampled_from([-1, -1, 0, 1]))  # fmt: skip
    def receive(self, who: int, kind: str, sender: int, id: int) -> None:
        box = self.model[who]
        wait = Wait(0, kind, self.pids[sender] if sender >= 0 else 0, id)
        args = (0, [kind] if kind else None, wait.sender, {"id": id} if id >= 0 else {})
        n, answer = self.call(who, "message_receive", *args)
        if wait.plain and any(other.plain for other in box.waits):
            assert answer[0] == "EBUSY"
            return
        found = next((x for x in box.waiting if wait.takes(x)), None)
        held = next(((x, at) for x, at in box.line if wait.takes(x)), None) if found is None else None
        if found is not None:
            box.waiting.remove(found)
        elif held is not None:
            box.line.remove(held)
            found = held[0]
        else:
            assert answer is None
            wait.n = n
            box.waits.append(wait)
            return
        found.attempts += 1
        box.hand.append(found)
        assert answer[0] == ""
        assert (answer[1]["message"], answer[1]["attempt"]) == (found.number, found.attempts)

    @precondition(lambda self: any(box.hand for box in self.model))
    @rule(who=WHO, at=st.integers(0, 9), rejects=st.booleans())
    def finish(self, who: int, at: int, rejects: bool) -> None:
        box = self.model[who]
        if not box.hand:
            return
        letter = box.hand.pop(at % len(box.hand))
        _, answer = self.call(who, "message_done", letter.number, None, None, "no" if rejects else "")
        assert answer[0] == ""
        if rejects:
            box.dead.append(letter)
        else:
            self.done.add(letter.number)
        box.fill()

    @precondition(lambda self: any(box.waits or box.line for box in self.model))
    @rule(at=st.integers(0, 9))
    def cancel(self, at: int) -> None:
        """A receive, or a send that waits for room."""
        calls = [(who, wait.n) for who, box in enumerate(self.model) for wait in box.waits]
        calls += [(self.pids.index(x.sender), n) for box in self.model for x, n in box.line]
        who, n = calls[at % len(calls)]
        self.call(who, "call_cancel", n)
        assert self.puppet(who).answers[n][0] == "ECANCELED"
        self.forget_calls(who, n)

    def forget_calls(self, who: int, n: int = 0) -> None:
        """One call of a process has ended, or all."""
        self.model[who].waits = [wait for wait in self.model[who].waits if n not in (0, wait.n)]
        for box in self.model:
            box.line = [(x, at) for x, at in box.line if x.sender != self.pids[who] or n not in (0, at)]

    @rule(who=WHO, execs=st.booleans())
    def fail(self, who: int, execs: bool) -> None:
        """It begins again, and what it had in hand comes again, or is put aside."""
        box = self.model[who]
        self.call(who, "process_exec", b"\xc0") if execs else self.call(who, "process_exit", 1)
        self.forget_calls(who)
        box.dead += [x for x in box.hand if x.attempts >= ATTEMPTS]
        box.waiting[:0] = [x for x in box.hand if x.attempts < ATTEMPTS]
        box.hand = []
        box.fill()

    @precondition(lambda self: any(box.dead for box in self.model))
    @rule(at=st.integers(0, 9), drops=st.booleans())
    def see_to_a_dead_one(self, at: int, drops: bool) -> None:
        box, letter = [(box, x) for box in self.model for x in box.dead][at % sum(len(b.dead) for b in self.model)]
        taker = next((wait for wait in box.waits if wait.takes(letter)), None)
        try:
            (drop_letters if drops else retry_letters)(self.stage.kernel, letter.number, uid=0)
        except Eagain:
            assert box.full
            assert taker is None
            return
        self.loop.run_until_complete(self.stage.settled())
        box.dead.remove(letter)
        if drops:
            self.done.add(letter.number)
            return
        letter.attempts = 0
        if taker is None:
            box.waiting.append(letter)
        else:
            box.waits.remove(taker)
            letter.attempts = 1
            box.hand.append(letter)

    @invariant()
    def the_kernel_has_what_the_model_has(self) -> None:
        """The kernel has what the model has, in the same order; each message is in one place."""
        post = self.stage.kernel.post
        for pid, box in zip(self.pids, self.model, strict=True):
            there, line = post.box(pid), post.lines.of.get(pid)
            assert [(m.number, m.attempts) for m in there.waiting.values()] == [
                (x.number, x.attempts) for x in box.waiting
            ]
            assert {m.number: m.attempts for m in there.in_hand.values()} == {x.number: x.attempts for x in box.hand}
            assert set(there.dead) == {x.number for x in box.dead}
            assert list(line.held if line is not None else ()) == [x.number for x, _ in box.line]
        places = [x.number for b in self.model for x in (*b.waiting, *b.hand, *b.dead, *(at[0] for at in b.line))]
        assert len(places) == len(set(places))
        assert not self.done.intersection(places)
        assert not post.lines.due

    def teardown(self) -> None:
        state = self.stage.kernel.state
        try:
            assert fold_from_start(self.stage.store.reader()).state.encode() == state.encode()
        finally:
            self.loop.run_until_complete(self.stage.kernel.close())
            self.loop.close()
            limits.MAILBOX_MESSAGES_MAX, limits.SENDERS_MAX, limits.MESSAGE_ATTEMPTS_MAX = self.bounds


TestMailboxes = MailboxMachine.TestCase
TestMailboxes.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
