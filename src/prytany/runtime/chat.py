"""The program of a chat agent: an instruction, a model and tools, and no Python of its own.

    asked -> the model -> what it wants done, all at once -> the model -> ... -> an answer

`main` answers one question and ends; `Session` keeps a conversation, one question after the other, until it is ended.
What it may use is looked up when a conversation begins, and kept with it. Both are ordinary programs. What the agent is
stands in the module `agent_spec`, recorded beside this text when its fleet was brought: an agent in flight goes on with
the instruction, and with the loop, that it began with.
"""

from __future__ import annotations

import asyncio
import importlib
import signal
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from prytany import Process, Server
from prytany.abi.errors import Einval, Emodel, KernelError
from prytany.abi.schema import mismatch
from prytany.userland.answers import Answer, ToolCall
from prytany.userland.conversation import Conversation
from prytany.userland.handing import Handed
from prytany.userland.process import ChildFailed

RESULT_CHARS_MAX = 64 << 10
"""Of what a tool gives back to a model: more would drive out what was said before."""
REASON_CHARS_MAX = 1_000
SKILL = "SKILL.md"
ASK = "ask_"
HANDOFF = "handoff_to_"
DOT = "__"
"""Stands for the dot in a tool's name: endpoints allow letters, digits, `_` and `-`."""
INTERRUPTED = "interrupted"
CUT = "[interrupted by the user]"
"""What ends, in the conversation, an answer that was cut off: the model is to know that nobody heard more of it."""


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """What its fleet says of the agent."""

    instruction: str
    turns: int
    answer: dict[str, Any] | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    skills: list[str] = []
    spawns: dict[str, str] = {}
    """The agents that it may ask, by name, with what each is for."""
    handoff: dict[str, str] = {}
    """The agents that it may hand the conversation over to, the same."""


def read_spec() -> Spec:
    """What was recorded of this agent."""
    return msgspec.convert(importlib.import_module("agent_spec").SPEC, Spec)


class Kept(msgspec.Struct):
    """What a session keeps from one message to the next."""

    context: int = 0
    """The number of its conversation; 0 before the first message."""
    tools: list[dict[str, Any]] = []
    """As the model is told of them."""
    skills: dict[str, str] = {}
    """By name, their folders."""
    handed: bool = False
    """It goes on, or is to, with the conversation that was handed over to it."""
    instructed: int | None = None
    """Which message of that is its instruction."""


async def main(proc: Process, prompt: str = "") -> Any:
    """Answer one question, or what is asked in the conversation that was handed over: text, or an object where the
    fleet gives its schema."""
    if not prompt and proc.handed is None:
        raise TypeError("main() missing 1 required positional argument: 'prompt'")
    chat, _ = await Chat.begin(proc, read_spec(), proc.handed)
    return await chat.answer(prompt)


class Session(Server):
    """A conversation with whoever sends `say`. An interruption (USR1) ends the answer in hand, and nothing else."""

    pledge = "ipc"
    version = 1
    state: Kept = Kept()

    @classmethod
    def migrate(cls, state: Any, version: int) -> Any:
        """Version 0 kept the number of its context alone; what it may use is looked up again for a new one."""
        return {} if version == 0 else state

    def init(self, proc: Process) -> Kept:
        """It may go on with what another agent began."""
        return Kept(handed=proc.handed is not None)

    async def on_say(self, text: str) -> dict[str, Any]:
        """The answer, or why there is none; either way the session goes on."""
        asked = asyncio.ensure_future(self._answer(text))
        loop = asyncio.get_running_loop()
        cut = False

        def interrupt() -> None:
            nonlocal cut
            if not cut:  # once: what was said so far is being put down
                cut = True
                asked.cancel(INTERRUPTED)

        loop.add_signal_handler(signal.SIGUSR1, interrupt)
        try:
            return {"answer": await asked}
        except asyncio.CancelledError:
            if not (cut and asked.done()):
                raise
            return {"interrupted": True}
        except KernelError as error:
            cause = {"cause": cause} if isinstance(cause := error.detail.get("cause"), str) else {}
            return {"error": {"errno": error.errno, "message": error.message, **cause}}
        finally:
            loop.remove_signal_handler(signal.SIGUSR1)

    async def on_new(self) -> dict[str, Any]:
        """Forget what was said; what it may use is looked up again."""
        kept, handed = self.state.context, self._handed()
        if talk := self.proc.conversation(number=kept) if kept else handed and handed.conversation:
            await talk.close()
        self.state = Kept()
        return {"answer": "a new conversation"}

    async def on_tools(self) -> dict[str, Any]:
        """What it may use, a line each."""
        await self._begun()
        lines = [f"{tool['name'].replace(DOT, '.')}  {tool['description']}" for tool in self.state.tools]
        return {"answer": "\n".join(lines) or "it has no tools"}

    async def _answer(self, text: str) -> Any:
        chat, handed = await self._begun(), self._handed()
        # What the agent before was asked and handed over comes again, to be answered; it is in the conversation.
        return await chat.answer("" if handed is not None and self.message.number in handed.messages else text)

    def _handed(self) -> Handed | None:
        return self.proc.handed if self.state.handed else None

    async def _begun(self) -> Chat:
        spec, kept = read_spec(), self.state
        if kept.context:
            talk = self.proc.conversation(number=kept.context)
            talk.instructed = kept.instructed
            return Chat(self.proc, spec, talk, kept.tools, kept.skills)
        chat, self.state = await Chat.begin(self.proc, spec, self._handed())
        return chat


class Chat:
    """One agent with one conversation."""

    def __init__(
        self, proc: Process, spec: Spec, talk: Conversation, tools: list[dict[str, Any]], skills: dict[str, str]
    ) -> None:
        """Made by `begin`. `tools` are as the model is told of them, `skills` by name their folders."""
        self.talk = talk
        self._proc = proc
        self._spec = spec
        self._tools = tools
        self._skills = skills

    @classmethod
    async def begin(cls, proc: Process, spec: Spec, handed: Handed | None = None) -> tuple[Chat, Kept]:
        """With a new conversation, or with that which was handed over; and what to keep of it."""
        skills = await _skills(proc, spec.skills)
        granted = await proc.tools.list() if "tools" in proc.pledged else []
        tools = [_offered(tool) for tool in granted]
        tools += [_ask_tool(name, about) for name, about in spec.spawns.items()]
        tools += [_handoff_tool(name, about) for name, about in spec.handoff.items()]
        if skills:
            tools.append(_skill_tool(skills))
        instruction = spec.instruction
        if skills:
            instruction += "\n\nSkills, to be read before they are used:\n"
            instruction += "\n".join(f"- {name}: {about}" for name, (_, about) in skills.items())
        folders = {name: folder for name, (folder, _) in skills.items()}
        talk = handed.conversation if handed is not None else None
        if talk is None:
            talk = proc.conversation(instruction)
            await talk.begin()
        else:
            await talk.instruct(instruction)
        if handed is not None and (note := _given_over(handed)):
            await talk.append("user", note)
        kept = Kept(talk.number, tools, folders, handed is not None, talk.instructed)
        return cls(proc, spec, talk, tools, folders), kept

    async def answer(self, prompt: str) -> Any:
        """Ask, do what the model wants done, and ask again, until it answers, or hands over to another agent.

        Args:
            prompt: what is asked; "" for what stands in the conversation.

        Raises:
            Emodel: it wanted more done than it has turns for, cause `turns`; or its answer never fitted the schema,
                cause `not_json`.
        """
        said: str | list[dict[str, Any]] = prompt or []
        wrong = ""
        for turn in range(self._spec.turns):
            last = turn + 1 == self._spec.turns
            answer = await self._ask(said, () if last else self._tools)
            if answer.tool_calls and last:
                await self._put(call.result("error: not done, no turn is left") for call in answer.tool_calls)
                break  # nobody would hear what came of them
            if answer.tool_calls:
                said = await self._do_all(answer.tool_calls)
                for call in answer.tool_calls:
                    if self._to(call.name) and isinstance(said, list):  # it returns where that was refused
                        said = await self._hand_over(call, said)
                continue
            value, wrong = self._fitting(answer)
            if not wrong:
                return value
            said = f"That cannot be used: {wrong}. Answer again, as JSON of the schema."
        cause, why = ("not_json", wrong) if wrong else ("turns", f"no answer within {self._spec.turns} turns")
        raise Emodel(why, call="model_chat", detail={"cause": cause})

    def _to(self, name: str) -> str:
        """The agent that a tool of that name hands over to; "" for another tool."""
        agent = name.removeprefix(HANDOFF)
        return agent if name.startswith(HANDOFF) and agent in self._spec.handoff else ""

    async def _hand_over(self, call: ToolCall, results: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
        """Go on as another agent, with this conversation, in which every tool has its answer. What to say to the model
        where that is refused."""
        result = next(result for result in results if result["tool_call_id"] == call.id)
        if result["content"].startswith("error:"):
            return results
        result["content"] = f"the conversation is handed over to {self._to(call.name)}"
        await self.talk.extend(results)
        try:
            reason = _reason(call.args) or ""
            await self._proc.handoff(self._to(call.name), conversation=self.talk, reason=reason[:REASON_CHARS_MAX])
        except KernelError as error:
            return f"[{self._to(call.name)} does not go on: {error.message}. Answer yourself.]"

    async def _ask(self, said: str | list[dict[str, Any]], tools: Sequence[dict[str, Any]]) -> Answer:
        spec = self._spec
        stream = await self.talk.stream(
            said, tools=tools, schema=spec.answer, temperature=spec.temperature, max_tokens=spec.max_tokens
        )
        try:
            async with stream:
                async for piece in stream:
                    if self._proc.stdout.piped and spec.answer is None:
                        await self._proc.stdout.write(piece)
        except asyncio.CancelledError:  # what was said so far is a part of the conversation
            await self._put([{"role": "user", "content": said}] if isinstance(said, str) else said)
            await self.talk.append("assistant", f"{stream.text} {CUT}".lstrip())
            raise
        except KernelError:
            if not isinstance(said, str):  # what was done stays done, and no call is left without its result
                await self._put(said)
            raise
        return stream.answer

    async def _do_all(self, calls: Sequence[ToolCall]) -> list[dict[str, Any]]:
        """What each came to. Who is cut off meanwhile leaves a result for each call all the same: a model that sees one
        without refuses to go on."""
        doing = [asyncio.ensure_future(self._do(call)) for call in calls]
        try:
            return list(await asyncio.gather(*doing))
        except asyncio.CancelledError:
            await asyncio.wait(doing)
            done = [one.result() if not one.cancelled() and one.exception() is None else None for one in doing]
            await self._put(came or call.result(f"error: {CUT}") for call, came in zip(calls, done, strict=True))
            await self.talk.append("assistant", CUT)
            raise

    async def _put(self, messages: Iterable[dict[str, Any]]) -> None:
        for message in messages:
            await self.talk.append(**message)

    def _fitting(self, answer: Answer) -> tuple[Any, str]:
        if self._spec.answer is None:
            return answer.text, ""
        try:
            value = answer.json()
        except Emodel as error:
            return None, error.message
        return value, mismatch(self._spec.answer, value)

    async def _do(self, call: ToolCall) -> dict[str, Any]:
        """What a call came to, as a message: a failure too is for the model to read."""
        try:
            return call.result(_text(await self._done(call.name, call.args)))
        except (KernelError, ChildFailed) as error:
            return call.result(f"error: {error}")

    async def _done(self, name: str, args: dict[str, Any]) -> Any:
        if name == "read_skill":
            return await self._read_skill(**_given(args, "name", "file"))
        if agent := self._to(name):
            if _reason(args) is None:
                raise Einval(f'{name} takes {{"reason": TEXT}}, or nothing')
            return f"not handed over to {agent}: the conversation goes elsewhere"
        if name.startswith(ASK) and name[len(ASK) :] in self._spec.spawns:
            prompt = args.get("prompt")
            if set(args) != {"prompt"} or not isinstance(prompt, str) or not prompt.strip():
                raise Einval(f'{name} takes {{"prompt": TEXT}}, a text that is not empty, and nothing else')
            return await self._proc.run(name[len(ASK) :], prompt)
        return await self._proc.tools[name.replace(DOT, ".")](**args)

    async def _read_skill(self, name: str = "", file: str = SKILL) -> str:
        folder = self._skills.get(name)
        if folder is None:
            return f"there is no skill {name!r}; there are {', '.join(self._skills)}"
        return await self._proc.files.read(f"{folder}/{file}")


def _offered(tool: dict[str, Any]) -> dict[str, Any]:
    """A granted tool, as a model is told of it."""
    offered = {key: tool[key] for key in ("name", "description", "parameters")}
    return {**offered, "name": tool["name"].replace(".", DOT)}


def _given(args: dict[str, Any], *names: str) -> dict[str, str]:
    return {name: str(args[name]) for name in names if name in args}


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= RESULT_CHARS_MAX else f"{text[:RESULT_CHARS_MAX]}\n(cut: {len(text)} characters)"


def _ask_tool(name: str, about: str) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"prompt": {"type": "string"}}, "required": ["prompt"]}
    return {"name": f"{ASK}{name}", "description": about or f"Ask the agent {name}.", "parameters": parameters}


def _handoff_tool(name: str, about: str) -> dict[str, Any]:
    reason = {"type": "string", "description": "why, and what the other has to know that was not said yet"}
    return {
        "name": f"{HANDOFF}{name}",
        "description": f"Hand the conversation over to {name}, who goes on in your place. {about}".rstrip(),
        "parameters": {"type": "object", "properties": {"reason": reason}},
    }


def _reason(args: dict[str, Any]) -> str | None:
    """Why a call hands over; None where it has not the form of one."""
    reason = args.get("reason", "")
    return reason if isinstance(reason, str) and set(args) <= {"reason"} else None


def _given_over(handed: Handed) -> str:
    """What the conversation does not say of what was handed over."""
    parts = [handed.reason] if handed.reason and handed.conversation is None else []
    parts += [msgspec.json.encode(handed.variables).decode()] if handed.variables else []
    return f"[handed over by {handed.by}: {' '.join(parts)}]" if parts else ""


def _skill_tool(skills: dict[str, tuple[str, str]]) -> dict[str, Any]:
    properties = {
        "name": {"type": "string", "enum": list(skills)},
        "file": {"type": "string", "description": f"{SKILL} at first; then what that names"},
    }
    parameters = {"type": "object", "properties": properties, "required": ["name"]}
    return {
        "name": "read_skill",
        "description": "Read a skill, or a file that belongs to it.",
        "parameters": parameters,
    }


async def _skills(proc: Process, folders: list[str]) -> dict[str, tuple[str, str]]:
    """By name: the folder, and what its SKILL.md says that it is for."""
    found: dict[str, tuple[str, str]] = {}
    for folder in folders:
        for name in await proc.files.list(folder):
            if name.endswith("/"):
                try:
                    text = await proc.files.read(f"{folder}/{name}{SKILL}")
                except KernelError:
                    continue
                found[name[:-1]] = (f"{folder}/{name[:-1]}", _about(text))
    return found


def _about(text: str) -> str:
    """The `description` of a SKILL.md's front matter, else its first line of prose."""
    lines = text.splitlines()
    for line in lines[:20]:
        if line.startswith("description:"):
            return line.partition(":")[2].strip().strip("\"'")
    return next((line.strip() for line in lines if line.strip() and not line.startswith(("#", "---"))), "")
