"""`Conversation`: a context as a program sees it.

    talk = proc.conversation(system="Answer in one line.")
    first = await talk.llm("Who wrote the Iliad?")
    other = await talk.fork()                 # shares all that was said, and costs a pointer
    print(talk.node)                          # the hash of all that was said

The kernel keeps what was said, and asks the model all of it; the program sends only what is new.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypedDict, Unpack

from prytany.abi import limits
from prytany.abi.errors import Ebusy, Einval
from prytany.userland.answers import Answer, Pieces, TextStream, read_answer
from prytany.userland.calls import Calls
from prytany.userland.selection import pieces, select

PAGE = 1_000
"""Messages that one call reads, at most."""


class Options(TypedDict, total=False):
    """What can be said of one question; as for `Process.chat`."""

    model: str
    schema: Mapping[str, Any] | None
    max_tokens: int | None
    temperature: float | None
    seed: int | None
    stop: Sequence[str] | None
    tools: Sequence[Mapping[str, Any]]
    fresh: bool
    instructed: int | None


class Said(NamedTuple):
    """One message of a conversation."""

    role: str
    content: Any
    """Text, or a list of parts."""
    node: str
    """The hash of the conversation up to this message."""
    source: str
    """Where it came from: `agent:7`, `model:NAME`, `user`, `tool:NAME`."""
    by: int
    """The process on whose word that rests; 0 where the kernel saw it itself."""
    labels: tuple[str, ...]
    message: Mapping[str, Any]
    """All of it, in OpenAI's chat form."""


class Conversation:
    """One context of a process. It is opened by the first call that needs it.

    One call at a time: a second one meanwhile raises Ebusy. A question that got no answer (the model failed, the call
    was cancelled) is not part of it, so asking again asks once.
    """

    def __init__(
        self,
        calls: Calls,
        stream: Callable[[str, tuple[Any, ...]], Pieces],
        system: str = "",
        labels: Sequence[str] = (),
    ) -> None:
        """Made by `Process.conversation`.

        Args:
            calls: the process's.
            stream: makes a call that is answered in pieces.
            system: an instruction that it begins with.
            labels: of all that is said in it.
        """
        self._calls = calls
        self._stream = stream
        self._streamed: Pieces | None = None
        self._system = system
        self._labels = list(labels)
        self._opening = False
        self._known: list[Said] = []
        self.number = 0
        """The kernel's number of it, or 0 while it is not open."""
        self.instructed: int | None = None
        """Which message the model is told by, of those of `instruct`; None for what the conversation began with."""
        self._node = ""
        self._length = 0

    @property
    def node(self) -> str:
        """The hash of all that was said, with who said it, in hexadecimal; empty while it is not open."""
        self._catch_up()
        return self._node

    @property
    def length(self) -> int:
        """Messages in it."""
        self._catch_up()
        return self._length

    async def begin(self) -> None:
        """Open it now, and not at its first question. Raises Ebusy."""
        await self._open()

    async def llm(self, prompt: str | Sequence[Mapping[str, Any]], **options: Unpack[Options]) -> str:
        """Ask the model, in this conversation, and answer its text. Question and answer are appended together.

        Args:
            prompt: a question, or messages in OpenAI's chat form; none at all where the last message is a question.
            options: `model`, `schema`, `max_tokens`, `temperature`, `seed`, `stop`, `tools`, `fresh`, as for
                `Process.chat`.

        Raises:
            Ebusy: another call of this conversation is in flight.
            Edquot: it is full.
            Emodel: the endpoint failed, and trying again did not help.
            Eperm: `model` is not pledged.
        """
        return (await self.chat(prompt, **options)).text

    async def chat(self, prompt: str | Sequence[Mapping[str, Any]], **options: Unpack[Options]) -> Answer:
        """As `llm`, with the whole answer: text, tool calls, why it stopped, and what it took."""
        await self._open()
        answer = await self._calls.model_chat(*_asked(prompt, self._told(options)), self.number)
        self._moved(answer)
        return read_answer(answer)

    async def stream(self, prompt: str | Sequence[Mapping[str, Any]], **options: Unpack[Options]) -> TextStream:
        """As `llm`, in pieces: `async for piece in await talk.stream("...")`. Appended when it has ended whole."""
        await self._open()
        self._catch_up()
        messages, model, given = _asked(prompt, self._told(options))
        self._streamed = self._stream("model_chat", (messages, model, {**given, "stream": True}, self.number))
        return TextStream(self._streamed)

    async def append(
        self,
        role: str,
        content: str | Sequence[Mapping[str, Any]],
        *,
        source: str = "",
        labels: Sequence[str] = (),
        **fields: Any,
    ) -> str:
        """Append a message without asking, and answer the node that it made.

        Args:
            role: `system`, `developer`, `user`, `assistant` or `tool`.
            content: text, or parts such as `image(data)`.
            source: where it came from, on this program's word: `user`, `tool:NAME`, `agent:PID`; the program, if empty.
            labels: of this message; the conversation has them from here on.
            fields: what else the message has, such as a tool's `tool_call_id`.

        Raises:
            Ebusy: a model is being asked in it.
            Edquot: it is full.
            Einval: the message, the source or a label has not its form.
            Eperm: only the kernel says that the operator or a model said something.
        """
        await self._open()
        parts = content if isinstance(content, str) else [dict(part) for part in content]
        message = {"role": role, "content": parts, **fields}
        self._moved(await self._calls.context_append(self.number, [message], source, sorted(labels) or None))
        return self.node

    async def instruct(self, system: str) -> None:
        """From here on the model is told this, in place of what system messages before it say; what was said stays.

        It is a message like any other, at its place in the chain: no hash of before changes, and "which instruction
        made this answer" is in those that come after. In what a model is asked it stands first. Raises as `append`.
        """
        await self.append("system", system)
        self.instructed = self.length - 1

    def _told(self, options: Options) -> Options:
        return options if self.instructed is None else {"instructed": self.instructed, **options}

    async def selected(self, *, last: int | None = None, without_tools: bool = False) -> Conversation:
        """Another conversation, of a part of this one: what is kept is said anew in it, on this program's word.

        Args:
            last: so many messages at the end, and none before; a tool's answer whose question is cut off goes too.
            without_tools: what tools were asked and gave is left out.

        Raises:
            Einval: `last` is below 0.
            Edquot: too many conversations are open.
        """
        if last is not None and last < 0:
            raise Einval(f"the last {last} messages of a conversation are none")
        await self._open()
        if last is None:
            found = await self.messages()
        else:
            length = (await self._calls.context_read(self.number, limits.CONTEXT_MESSAGES_MAX, 1))["length"]
            found = [said async for said in self._read(max(0, length - last))] if last else []
        part = Conversation(self._calls, self._stream, "", self._labels)
        await part.begin()
        for piece in pieces(select([said.message for said in found], without_tools=without_tools)):
            part._moved(await self._calls.context_append(part.number, piece, "", None))
        return part

    async def extend(self, messages: Sequence[Mapping[str, Any]], *, source: str = "") -> str:
        """Append messages at once, all or none, and answer the last node. Raises as `append`."""
        await self._open()
        self._moved(await self._calls.context_append(self.number, [dict(m) for m in messages], source, None))
        return self.node

    async def fork(self, node: str = "") -> Conversation:
        """A second conversation that shares everything up to `node`, or up to here. Raises Enoent for no such node."""
        await self._open()
        forked = Conversation(self._calls, self._stream, self._system, self._labels)
        forked._moved(await self._calls.context_fork(self.number, bytes.fromhex(node)))
        forked._known = self._known[: forked.length]
        if self.instructed is not None and self.instructed < forked.length:
            forked.instructed = self.instructed
        return forked

    async def messages(self) -> list[Said]:
        """All that was said. What was read once is kept here, so that looking again reads only what is new."""
        await self._open()
        if len(self._known) < self.length or not self._node:  # one that was opened by its number: who knows how long
            self._known += [said async for said in self._read(len(self._known))]
        return list(self._known)

    async def _read(self, first: int) -> AsyncIterator[Said]:
        """All messages from that one on."""
        while True:
            page = await self._calls.context_read(self.number, first, PAGE)
            for message in page["messages"]:
                yield _said(message)
            first += len(page["messages"])
            if first >= page["length"]:
                return

    async def close(self) -> None:
        """Let go of it; what was said stays in the journal. The next call opens a new one. Raises Ebusy."""
        if self.number:
            await self._calls.context_close(self.number)
            self.number, self._node, self._length, self._known = 0, "", 0, []

    async def _open(self) -> None:
        if self.number:
            return
        if self._opening:
            raise Ebusy("another call is opening this conversation")
        self._opening = True
        try:
            system = [{"role": "system", "content": self._system}] if self._system else []
            self._moved(await self._calls.context_open(system, self._labels or None))
        finally:
            self._opening = False

    def _moved(self, value: Mapping[str, Any]) -> None:
        self._streamed = None
        self.number = value.get("context", self.number)
        self._node, self._length = value["node"].hex(), value["length"]

    def _catch_up(self) -> None:
        """Take note of a stream that has ended, before or without which nothing else moved."""
        if self._streamed is not None and self._streamed.value is not None:
            value, self._streamed = self._streamed.value, None
            self._moved(value)

    def __repr__(self) -> str:
        if not self.number:
            return "Conversation(not open)"
        return f"Conversation({self.number}, {self.length} messages, node={self.node[:12]})"


def _asked(
    prompt: str | Sequence[Mapping[str, Any]], options: Options
) -> tuple[list[dict[str, Any]], str, dict[str, Any]]:
    """Messages, model and options, as the system call takes them."""
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [dict(m) for m in prompt]
    given: dict[str, Any] = {name: value for name, value in options.items() if value not in (None, ())}
    model = str(given.pop("model", ""))
    if "stop" in given:
        given["stop"] = list(given["stop"])
    if "tools" in given:
        given["tools"] = [dict(tool) for tool in given["tools"]]
    return messages, model, given


def _said(found: Mapping[str, Any]) -> Said:
    message = found["message"]
    kind, name, by = found["source"]
    source = f"{kind}:{name}" if name else kind
    return Said(message["role"], message["content"], found["node"].hex(), source, by, tuple(found["labels"]), message)
