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
        ends: dict[str, Any] | None = None,
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
            ends: `stdin` and `stdout`: pipes of which the caller has that end.

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
                    ends,
                ),
            ),
        )

    async def process_wait(self, pid: int) -> dict[str, Any]:
        """Wait until a child has terminated, answer its status, reason and result, and reap it.

        Args:
            pid: the process.

        Errors: ECHILD, EDEADLK.
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

    async def message_send(self, to: int | str, type: str, body: Any, wait_ms: int = 0) -> int:
        """Put a message into a mailbox, and answer its number. The messages of one sender keep their order.

        Args:
            to: the receiver, by pid or name: of the same run, or of the same fleet.
            type: what the receiver chooses its handler by.
            body: plain data.
            wait_ms: how long to wait for room in a full mailbox; -1 is for ever.

        Errors: EAGAIN, EDEADLK, EINVAL, EPERM, ESRCH, ETIMEDOUT.
        """
        return cast(
            "int",
            await self._call(
                "message_send",
                (
                    to,
                    type,
                    body,
                    wait_ms,
                ),
            ),
        )

    async def message_call(self, to: int | str, type: str, body: Any, timeout_ms: int = 0, wait: int = 0) -> Any:
        """Send a message and wait for the reply to it.

        Args:
            to: the receiver, by pid or name: of the same run, or of the same fleet.
            type: what the receiver chooses its handler by.
            body: plain data.
            timeout_ms: how long to wait, counted while the kernel is down too; 0 is for ever.
            wait: 1: wait for room in a full mailbox as well, within that time.

        Errors: EAGAIN, EDEADLK, EINVAL, EPERM, EPIPE, ESRCH, ETIMEDOUT.
        """
        return await self._call(
            "message_call",
            (
                to,
                type,
                body,
                timeout_ms,
                wait,
            ),
        )

    async def message_receive(
        self, timeout_ms: int = 0, types: list[str] | None = None, sender: int = 0, fields: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Take the oldest message that is asked for in hand, until it is done; it comes back after a failure.

        Args:
            timeout_ms: how long to wait, counted while the kernel is down too; 0 is for ever.
            types: take one of these types; none said is any.
            sender: take one of this sender; 0 is any.
            fields: take one whose body has these, with these values.

        Errors: EAGAIN, EBUSY, ETIMEDOUT.
        """
        return cast(
            "dict[str, Any]",
            await self._call(
                "message_receive",
                (
                    timeout_ms,
                    types,
                    sender,
                    fields or {},
                ),
            ),
        )

    async def message_next(
        self,
        message: int,
        reply: Any = None,
        timeout_ms: int = 0,
        types: list[str] | None = None,
        sender: int = 0,
        fields: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Finish with a message and take the next in one: `message_done` and `message_receive` for half the price.

        Args:
            message: the number of a message in hand; 0 for none.
            reply: the answer to it, where a reply is awaited.
            timeout_ms: how long to wait, counted while the kernel is down too; 0 is for ever.
            types: take one of these types; none said is any.
            sender: take one of this sender; 0 is any.
            fields: take one whose body has these, with these values.

        Errors: EAGAIN, EBUSY, EINVAL, ETIMEDOUT.
        """
        return cast(
            "dict[str, Any]",
            await self._call(
                "message_next",
                (
                    message,
                    reply,
                    timeout_ms,
                    types,
                    sender,
                    fields or {},
                ),
            ),
        )

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

        Errors: EAGAIN, EDEADLK, EINDOUBT, EINVAL, EPERM, EPOLICY, ETOOL.
        """
        return await self._call(
            "tool_call",
            (
                name,
                arguments or {},
            ),
        )

    async def tool_hold(self, name: str, arguments: dict[str, Any] | None = None, timeout_ms: int = 0) -> int:
        """Wait until what a call of the tool would need is the caller's, over all its calls, and answer its number.

        Args:
            name: of a tool, as `tool_list` has it.
            arguments: those by which it says what it needs.
            timeout_ms: how long to wait, counted while the kernel is down too; 0 is for ever.

        Errors: EAGAIN, EDEADLK, EINVAL, EPERM, EPOLICY, ETIMEDOUT.
        """
        return cast(
            "int",
            await self._call(
                "tool_hold",
                (
                    name,
                    arguments or {},
                    timeout_ms,
                ),
            ),
        )

    async def tool_release(self, hold: int) -> bool:
        """Let go of it: others have it when nothing of the caller's is under way there. False: it was not held.

        Args:
            hold: what `tool_hold` answered.

        Errors: only what every call can.
        """
        return cast("bool", await self._call("tool_release", (hold,)))

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

    async def lock_acquire(self, names: list[str], shared: list[str], permits: int = 0, timeout_ms: int = 0) -> int:
        """Wait until all of these are the caller's, and answer the number of the grant, which grows with each grant.

        Args:
            names: what the caller wants alone; or with `permits`, one permit of each.
            shared: what it wants while others share it.
            permits: how many each has, where they are semaphores; 0 for locks.
            timeout_ms: how long to wait, counted while the kernel is down too; 0 is for ever.

        Errors: EAGAIN, EDEADLK, EINVAL, ETIMEDOUT.
        """
        return cast(
            "int",
            await self._call(
                "lock_acquire",
                (
                    names,
                    shared,
                    permits,
                    timeout_ms,
                ),
            ),
        )

    async def lock_release(self, fence: int) -> bool:
        """Let go of all of one grant. False says that the caller does not have it (any more).

        Args:
            fence: the number of the grant.

        Errors: only what every call can.
        """
        return cast("bool", await self._call("lock_release", (fence,)))

    async def segment_read(self, name: str) -> list[Any]:
        """What a segment holds, and its version.

        Args:
            name: of the segment, in the caller's scope.

        Errors: EINVAL, ENOENT.
        """
        return cast("list[Any]", await self._call("segment_read", (name,)))

    async def segment_write(self, name: str, value: Any, version: int = -1) -> int:
        """Put a value into a segment, and answer the version that it has now: each write's is above those before.

        Args:
            name: of the segment, in the caller's scope.
            value: plain data.
            version: only if this is the version that is there, 0 for none at all; -1 is whatever is there.

        Errors: EBUSY, EDQUOT, EINVAL.
        """
        return cast(
            "int",
            await self._call(
                "segment_write",
                (
                    name,
                    value,
                    version,
                ),
            ),
        )

    async def segment_wait(self, name: str, after: int = 0, timeout_ms: int = 0) -> list[Any]:
        """Wait until it has another version, and answer as `segment_read`: the newest; nil and 0 where it was removed.

        Args:
            name: of the segment, in the caller's scope.
            after: the version that the caller knows; 0 where it knows of none.
            timeout_ms: how long to wait, counted while the kernel is down too; 0 is for ever.

        Errors: EAGAIN, EINVAL, ETIMEDOUT.
        """
        return cast(
            "list[Any]",
            await self._call(
                "segment_wait",
                (
                    name,
                    after,
                    timeout_ms,
                ),
            ),
        )

    async def segment_delete(self, name: str, version: int = -1) -> None:
        """Remove a segment.

        Args:
            name: of the segment, in the caller's scope.
            version: only if this is the version that is there, 0 for none at all; -1 is whatever is there.

        Errors: EBUSY, EINVAL, ENOENT.
        """
        await self._call(
            "segment_delete",
            (
                name,
                version,
            ),
        )

    async def segment_list(self, prefix: str = "") -> list[dict[str, Any]]:
        """The segments of the caller's scope, by name: name, version and bytes.

        Args:
            prefix: what their names begin with.

        Errors: EINVAL.
        """
        return cast("list[dict[str, Any]]", await self._call("segment_list", (prefix,)))

    async def agent_handoff(
        self,
        agent: str,
        args: list[Any] | None = None,
        context: int = 0,
        variables: dict[str, Any] | None = None,
        reason: str = "",
        heard: bool = False,
    ) -> None:
        """Go on as another agent of the fleet, which gets what is in hand. It has no answer.

        Args:
            agent: which of those that `handoff` of the caller's agent names.
            args: positional arguments of its program.
            context: the number of the caller's context that goes on with it; 0 for none.
            variables: plain data for it.
            reason: why, for it and for people.
            heard: the context holds what the messages in hand say.

        Errors: ECANCELED, EDEADLK, ENOENT, EPERM.
        """
        await self._call(
            "agent_handoff",
            (
                agent,
                args or [],
                context,
                variables or {},
                reason,
                heard,
            ),
        )

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

    async def topic_publish(self, topic: str, body: Any) -> int:
        """Publish an event to all who are subscribed to its topic; its number in the scope. Waits for nobody.

        Args:
            topic: tokens with dots between them, such as `prices.eurusd`.
            body: plain data.

        Errors: only what every call can.
        """
        return cast(
            "int",
            await self._call(
                "topic_publish",
                (
                    topic,
                    body,
                ),
            ),
        )

    async def topic_subscribe(self, pattern: str, since: Any = None) -> dict[str, int]:
        """Have what matches put into the mailbox; `number` of the last before, `first` in the log, how many are `gone`.

        Args:
            pattern: a topic, or one with `*` for any one token, or `>` at its end for all further.
            since: what comes first: a number, `start`, `last` of each topic, `{'time_ns': N}`; None is nothing.

        Errors: EAGAIN.
        """
        return cast(
            "dict[str, int]",
            await self._call(
                "topic_subscribe",
                (
                    pattern,
                    since,
                ),
            ),
        )

    async def topic_unsubscribe(self, pattern: str) -> bool:
        """End a subscription. False says that there was none.

        Args:
            pattern: a topic, or one with `*` for any one token, or `>` at its end for all further.

        Errors: only what every call can.
        """
        return cast("bool", await self._call("topic_unsubscribe", (pattern,)))

    async def pipe_open(self, writer: int = 0, reader: int = 0, outlet: bool = False) -> int:
        """Open a pipe, and answer its number.

        Args:
            writer: who writes: the caller (0), or a child, whose standard output it is then.
            reader: who reads: the caller (0), or a child, whose standard input it is then.
            outlet: nobody reads: what is written is for whoever looks at the run.

        Errors: EAGAIN, EBUSY, ESRCH.
        """
        return cast(
            "int",
            await self._call(
                "pipe_open",
                (
                    writer,
                    reader,
                    outlet,
                ),
            ),
        )

    async def pipe_write(self, data: Any, pipe: int = 0) -> None:
        """Write a chunk; waits while the pipe is full. Where standard output is no pipe, people are shown it.

        Args:
            data: one chunk: plain data, and not None.
            pipe: its number; 0 is the caller's standard output.

        Errors: EDEADLK, ENOENT, EPIPE.
        """
        await self._call(
            "pipe_write",
            (
                data,
                pipe,
            ),
        )

    async def pipe_read(self, pipe: int = 0) -> dict[str, Any]:
        """Read the oldest chunk, as `data`; waits while there is none. Without `data` it is the end: nobody writes it.

        Args:
            pipe: its number; 0 is the caller's standard input.

        Errors: EDEADLK, ENOENT, EPIPE.
        """
        return cast("dict[str, Any]", await self._call("pipe_read", (pipe,)))

    async def pipe_close(self, pipe: int = 0, end: str = "") -> None:
        """Let go of an end. When the last writer has, readers read to the end; without readers, writers hear EPIPE.

        Args:
            pipe: its number; 0 is the caller's standard input or output.
            end: `read` or `write`; every end that the caller has of it, if empty.

        Errors: ENOENT.
        """
        await self._call(
            "pipe_close",
            (
                pipe,
                end,
            ),
        )

    async def pipe_look(self, pipe: int) -> dict[str, Any]:
        """How many chunks were `written` and `read`, and what lies in it: `chunks` of so many `bytes`.

        Args:
            pipe: its number.

        Errors: ENOENT.
        """
        return cast("dict[str, Any]", await self._call("pipe_look", (pipe,)))
