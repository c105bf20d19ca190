"""One method a system call. Generated from `abi/syscalls/` by tools/generate.py; do not edit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast


class Calls:
    """The system calls, as they are."""

    def __init__(self, call: Callable[[str, tuple[Any, ...]], Awaitable[Any]]) -> None:
        self._call = call

    async def nop(self, data: bytes) -> None:
        """Do nothing, durably. For measuring.

        Args:
            data: anything.

        Errors: only what every call can.
        """
        await self._call("nop", (data,))

    async def timer_wait(self, deadline_ns: int) -> None:
        """Wait for a time.

        Args:
            deadline_ns: absolute, in the kernel's time; it runs on while the kernel is down.

        Errors: only what every call can.
        """
        await self._call("timer_wait", (deadline_ns,))

    async def call_cancel(self, call: int) -> bool:
        """Cancel a call in flight. The kernel decides the race: False says that the call had its result already.

        Args:
            call: the number of one's own call.

        Errors: only what every call can.
        """
        return cast("bool", await self._call("call_cancel", (call,)))

    async def process_spawn(
        self,
        program: str,
        args: list[Any],
        kwargs: dict[str, Any] | None = None,
        name: str = "",
        pledge: list[str] | None = None,
        restarts: int = 0,
        tools: list[str] | None = None,
        qos: str = "",
        weight: int = 0,
        budget: dict[str, Any] | None = None,
        restart: str = "",
        shutdown_ms: int = -1,
        progress_ms: int = 0,
    ) -> int:
        """Start a child process and answer its pid at once; it runs when there is a place for it.

        Args:
            program: `file.py:function`, or `:function` for one beside the caller's own.
            args: its positional arguments.
            kwargs: its keyword arguments.
            name: shown to people; the function's name by default.
            pledge: its classes; never more than the caller's; None is what the program declares.
            restarts: how many times the kernel restarts it when it fails.
            tools: by name; never more than the caller's; None is what the caller has.
            qos: its class of service; never above the caller's; empty is what it has by itself.
            weight: its share beside others of its class; never above the caller's; 0 is that.
            budget: of it and all below it: tokens, usd, calls, wall_s, processor_s, and per_minute of the first three.
            restart: permanent, transient or temporary: the caller supervises it; empty is by `restarts` alone.
            shutdown_ms: between TERM and KILL when the caller ends it; -1 is the default.
            progress_ms: it fails when it does nothing of its own for so long; 0 is any time.

        Errors: EACCES, EAGAIN, ENOENT, EPERM.
        """
        return cast(
            "int",
            await self._call(
                "process_spawn",
                (
                    program,
                    args,
                    kwargs or {},
                    name,
                    pledge,
                    restarts,
                    tools,
                    qos,
                    weight,
                    budget,
                    restart,
                    shutdown_ms,
                    progress_ms,
                ),
            ),
        )

    async def process_wait(self, pid: int) -> dict[str, Any]:
        """Wait until a child has terminated, answer its status, reason and result, and reap it.

        Args:
            pid: the process.

        Errors: ECHILD.
        """
        return cast("dict[str, Any]", await self._call("process_wait", (pid,)))

    async def process_exit(self, status: int, result: Any = None, error: dict[str, Any] | None = None) -> None:
        """End the calling process. It has no answer.

        Args:
            status: 0 is success, to 255.
            result: handed to whoever waits.
            error: type, message and traceback, where the program failed.

        Errors: only what every call can.
        """
        await self._call(
            "process_exit",
            (
                status,
                result,
                error,
            ),
        )

    async def process_exec(self, state: bytes) -> None:
        """Begin the same program again, with a state and an empty record. Calls in flight end; it has no answer.

        Args:
            state: what the program begins again with.

        Errors: only what every call can.
        """
        await self._call("process_exec", (state,))

    async def process_signal(self, pid: int, signal: int) -> None:
        """Send a signal to a descendant.

        Args:
            pid: the process.
            signal: its POSIX number.

        Errors: EAGAIN, EPERM, ESRCH.
        """
        await self._call(
            "process_signal",
            (
                pid,
                signal,
            ),
        )

    async def message_send(self, pid: int, type: str, body: Any) -> int:
        """Put a message into a mailbox, and answer its number. The messages of one sender keep their order.

        Args:
            pid: the receiver: any process of the same run.
            type: what the receiver chooses its handler by.
            body: plain data.

        Errors: EAGAIN, EPERM, ESRCH.
        """
        return cast(
            "int",
            await self._call(
                "message_send",
                (
                    pid,
                    type,
                    body,
                ),
            ),
        )

    async def message_call(self, pid: int, type: str, body: Any, timeout_ms: int = 0) -> Any:
        """Send a message and wait for the reply to it.

        Args:
            pid: the receiver: any process of the same run.
            type: what the receiver chooses its handler by.
            body: plain data.
            timeout_ms: how long to wait, counted while the kernel is down too; 0 is for ever.

        Errors: EAGAIN, EDEADLK, EINVAL, EPERM, EPIPE, ESRCH, ETIMEDOUT.
        """
        return await self._call(
            "message_call",
            (
                pid,
                type,
                body,
                timeout_ms,
            ),
        )

    async def message_receive(self, timeout_ms: int = 0) -> dict[str, Any]:
        """Take the oldest message in hand, when there is one, until it is done; it comes back after a failure.

        Args:
            timeout_ms: how long to wait, counted while the kernel is down too; 0 is for ever.

        Errors: EBUSY, ETIMEDOUT.
        """
        return cast("dict[str, Any]", await self._call("message_receive", (timeout_ms,)))

    async def message_reply(self, message: int, body: Any) -> bool:
        """Answer a message in hand before it is done. False says that nobody waits for it (any more).

        Args:
            message: the number of a message in hand.
            body: plain data.

        Errors: EINVAL.
        """
        return cast(
            "bool",
            await self._call(
                "message_reply",
                (
                    message,
                    body,
                ),
            ),
        )

    async def message_done(
        self, message: int = 0, state: bytes | None = None, reply: Any = None, reject: str = ""
    ) -> None:
        """Finish with a message, its reply and the state in one: it is never handed out again.

        Args:
            message: the number of a message in hand; 0 for the state alone.
            state: a snapshot: the caller's record begins again from it.
            reply: the answer, where a reply is awaited.
            reject: why it is refused, not answered; where nobody waits it becomes a dead letter.

        Errors: EBUSY, EINVAL.
        """
        await self._call(
            "message_done",
            (
                message,
                state,
                reply,
                reject,
            ),
        )

    async def model_chat(
        self, messages: list[dict[str, Any]], model: str = "", options: dict[str, Any] | None = None, context: int = 0
    ) -> dict[str, Any]:
        """Ask a model. With `stream`, the text comes in pieces first. In a context, answers also `node` and `length`.

        Args:
            messages: role and content, OpenAI's chat form; pictures as `image` parts or `data:` addresses.
            model: the model's name; the default one when empty.
            options: max_tokens, temperature, seed, stop, schema, tools, stream; `fresh`: it is asked anew.
            context: one's own: the model is asked it and `messages`; it keeps both and the answer, if there is one.

        Errors: EBUSY, EDQUOT, EINVAL, EIO, EMODEL, ENOENT, EPERM.
        """
        return cast(
            "dict[str, Any]",
            await self._call(
                "model_chat",
                (
                    messages,
                    model,
                    options or {},
                    context,
                ),
            ),
        )

    async def model_embed(self, texts: list[str], model: str = "") -> list[bytes]:
        """Turn texts into vectors of one length, each as little-endian float32.

        Args:
            texts: none of them empty.
            model: the model's name; the default one when empty.

        Errors: EINVAL, EMODEL, ENOENT.
        """
        return cast(
            "list[bytes]",
            await self._call(
                "model_embed",
                (
                    texts,
                    model,
                ),
            ),
        )

    async def context_open(self, messages: list[dict[str, Any]], labels: list[str] | None = None) -> dict[str, Any]:
        """Open a context, and answer its number as `context`, its head as `node`, and its `length` in messages.

        Args:
            messages: what it begins with, such as a system message; may be empty.
            labels: of the whole context; they are in every node's hash.

        Errors: EDQUOT, EPERM.
        """
        return cast(
            "dict[str, Any]",
            await self._call(
                "context_open",
                (
                    messages,
                    labels,
                ),
            ),
        )

    async def context_append(
        self, context: int, messages: list[dict[str, Any]], source: str = "", labels: list[str] | None = None
    ) -> dict[str, Any]:
        """Append messages, and answer `context`, `node` and `length`.

        Args:
            context: the number of one's own context.
            messages: role and content, OpenAI's chat form.
            source: `user`, `tool:NAME` or `agent:PID`, on the caller's word; the caller, if empty.
            labels: of these messages; the context has them from here on.

        Errors: EBUSY, EDQUOT, ENOENT, EPERM.
        """
        return cast(
            "dict[str, Any]",
            await self._call(
                "context_append",
                (
                    context,
                    messages,
                    source,
                    labels,
                ),
            ),
        )

    async def context_fork(self, context: int, node: bytes = b"") -> dict[str, Any]:
        """Open a second context that shares all up to a node, copying nothing. Answers as `context_open` does.

        Args:
            context: the number of one's own context.
            node: where; the head when empty.

        Errors: EDQUOT, EIO, ENOENT.
        """
        return cast(
            "dict[str, Any]",
            await self._call(
                "context_fork",
                (
                    context,
                    node,
                ),
            ),
        )

    async def context_read(self, context: int, first: int = 0, count: int = 100) -> dict[str, Any]:
        """Read length and messages, as many as fit. They are recorded like any answer: read what is needed, once.

        Args:
            context: the number of one's own context.
            first: the number of the first message, from 0.
            count: how many, from 1 to 1,000.

        Errors: EIO, ENOENT.
        """
        return cast(
            "dict[str, Any]",
            await self._call(
                "context_read",
                (
                    context,
                    first,
                    count,
                ),
            ),
        )

    async def context_close(self, context: int) -> None:
        """Let go of a context. Its nodes stay in the journal, and its forks stay as they are.

        Args:
            context: the number of one's own context.

        Errors: EBUSY, ENOENT.
        """
        await self._call("context_close", (context,))

    async def file_read(self, path: str) -> bytes:
        """Read a whole file.

        Args:
            path: below an unveiled folder, as the program names it.

        Errors: EACCES, EINVAL, EIO, ENOENT.
        """
        return cast("bytes", await self._call("file_read", (path,)))

    async def file_write(self, path: str, data: bytes) -> int:
        """Put a whole file in place at once, and answer its size in bytes. The same content again changes nothing.

        Args:
            path: below a folder unveiled for writing.
            data: the whole content.

        Errors: EACCES, EINDOUBT, EINVAL, EIO, ENOENT, ENOSPC.
        """
        return cast(
            "int",
            await self._call(
                "file_write",
                (
                    path,
                    data,
                ),
            ),
        )

    async def file_list(self, path: str) -> list[str]:
        """The names in a folder, sorted; a folder's ends in `/`.

        Args:
            path: an unveiled folder, or one below it.

        Errors: EACCES, EINVAL, EIO, ENOENT.
        """
        return cast("list[str]", await self._call("file_list", (path,)))

    async def tool_call(self, name: str, arguments: dict[str, Any] | None = None) -> Any:
        """Call a tool and answer its result. What its effect may have done in a crash is settled as its class says.

        Args:
            name: `module.function`, as `tool_list` names it.
            arguments: by name; checked against the tool's schema.

        Errors: EAGAIN, EINDOUBT, EINVAL, EPERM, EPOLICY, ETOOL.
        """
        return await self._call(
            "tool_call",
            (
                name,
                arguments or {},
            ),
        )

    async def tool_list(self) -> list[dict[str, Any]]:
        """The tools that the caller may call: name, description, parameters (a JSON Schema) and effect.

        Args:

        Errors: EPOLICY.
        """
        return cast("list[dict[str, Any]]", await self._call("tool_list", ()))

    async def agent_schedule(
        self, pid: int = 0, qos: str = "", weight: int = 0, deadline_ms: int = -1
    ) -> dict[str, Any]:
        """Change class, weight or deadline of a running agent, also for calls that wait; answers what it has then.

        Args:
            pid: the caller (0), or a descendant of it.
            qos: interactive, initiated, utility or background; empty leaves it as it is.
            weight: its share beside others of its class, from 1; 0 leaves it as it is.
            deadline_ms: within which its model calls are to begin, from now; 0 for none, -1 leaves it as it is.

        Errors: EPERM, ESRCH.
        """
        return cast(
            "dict[str, Any]",
            await self._call(
                "agent_schedule",
                (
                    pid,
                    qos,
                    weight,
                    deadline_ms,
                ),
            ),
        )

    async def budget_read(self) -> list[dict[str, Any]]:
        """What the caller's budgets bound, and what of each is spent and set aside: its own, its trees' and its run's.

        Args:

        Errors: only what every call can.
        """
        return cast("list[dict[str, Any]]", await self._call("budget_read", ()))

    async def process_supervise(self, strategy: str, intensity: int = 5, period_ms: int = 60000) -> None:
        """Say how the caller supervises the children that it spawns with `restart`. The kernel does it.

        Args:
            strategy: one_for_one, one_for_all, rest_for_one, dynamic: who begins again with a child that failed.
            intensity: more restarts within the period than this, and the caller fails.
            period_ms: the period.

        Errors: EINVAL.
        """
        await self._call(
            "process_supervise",
            (
                strategy,
                intensity,
                period_ms,
            ),
        )

    async def process_link(self, pid: int, trap: int = 0) -> None:
        """End with another process, where that ends badly; and it with the caller, if it descends from it.

        Args:
            pid: a process of the same run or fleet.
            trap: 1: the caller gets a message `exit`, whatever the end, and goes on.

        Errors: EAGAIN, EPERM, ESRCH.
        """
        await self._call(
            "process_link",
            (
                pid,
                trap,
            ),
        )

    async def process_unlink(self, pid: int) -> bool:
        """Undo a link. False says that there was none.

        Args:
            pid: a process of the same run or fleet.

        Errors: only what every call can.
        """
        return cast("bool", await self._call("process_unlink", (pid,)))

    async def process_monitor(self, pid: int) -> int:
        """Be told once, by a message `down`, of a process's end or its incarnation's. Answers the monitor's number.

        Args:
            pid: a process of the same run or fleet.

        Errors: EAGAIN, EINVAL, EPERM, ESRCH.
        """
        return cast("int", await self._call("process_monitor", (pid,)))

    async def process_demonitor(self, ref: int) -> bool:
        """Be told no more. False says that the message was sent, or that there is no such monitor.

        Args:
            ref: the monitor's number.

        Errors: only what every call can.
        """
        return cast("bool", await self._call("process_demonitor", (ref,)))
