"""The local model: llama.cpp in a confined process of its own, spoken to over loopback HTTP.

The process starts at the first call, and again at the first call after it died; a call that was in flight when it died
fails as `crashed`, which the kernel may retry. It must not load llama.cpp here, and must not hand it a schema or a
grammar that could kill it (`local_schema`).

A call gets the slot that holds most of its prompt (`local_slots`), and can be put aside in the midst of its answer
(`local_turn`), with what was computed in a file (`local_saves`). All of that is kept apart by tenant.

Source: llama.cpp `tools/server`; the process's own side is `local_server`.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from pathlib import Path

import msgspec

from prytany.abi import limits
from prytany.drivers.models.failures import failure
from prytany.drivers.models.forced import read_tool_answer
from prytany.drivers.models.local_endpoint import LlamaEndpoint
from prytany.drivers.models.local_saves import BYTES_MAX, Saves
from prytany.drivers.models.local_schema import prepare
from prytany.drivers.models.local_slots import Slot, Slots, digests_of
from prytany.drivers.models.local_turn import Counts, Generation, LocalAside
from prytany.drivers.models.prices import FREE
from prytany.ports.model import Embedded, ModelAnswer, ModelFailure, ModelFeatures, ModelRequest
from prytany.ports.turns import Aside, Turn

PROGRAM = Path(__file__).with_name("local_server.py")
ENVIRONMENT = {  # without the first two, waiting threads burn the cores: 20 tokens a second become 3.5
    "OMP_WAIT_POLICY": "passive",
    "GOMP_SPINCOUNT": "0",
    "LANG": "C.UTF-8",
}
TIMEOUT_MS = 3 * limits.MODEL_TIMEOUT_MS  # only for a model that hangs: waiting for a slot does not count
REAP_MS = 2_000
PROBE_MS = 5_000
FEATURES = ModelFeatures(
    streaming=True, tools=True, json_schema=True, prices=FREE
)  # not deterministic: slots share batches


class Started(msgspec.Struct):
    """What the process says once, on its stdout."""

    port: int = 0
    error: str = ""


class LocalModel:
    """A GGUF file as a `prytany.ports.model.Model`.

    Args:
        path: the weights.
        slots: calls at once; further ones wait. More than 8 on two cores gain nothing.
        context: tokens of one slot, prompt and answer together.
        saves: where the folder for saved slots is made; None for the system's folder for what is temporary.
        saved_bytes_max: of all saved slots; 0 to save none, so that what is put aside is computed again.

    Attributes:
        counts: what the slots did.
    """

    def __init__(
        self, path: Path, slots: int = 2, context: int = 4096, *, name: str = "local",
        saves: Path | None = None, saved_bytes_max: int = BYTES_MAX,
    ) -> None:  # fmt: skip
        self._path = path.absolute()
        self._count = slots
        self._context = context
        self._name = name
        self._features = msgspec.structs.replace(FEATURES, slots=slots, saves_slots=saved_bytes_max > 0)
        self.counts = Counts()
        self._starting = asyncio.Lock()
        self._slots = Slots(slots)
        self._saves = Saves(saves, saved_bytes_max)
        self._suspect = False  # a call was given up: the process may hang on what it asked for
        self._process: asyncio.subprocess.Process | None = None
        self._endpoint: LlamaEndpoint | None = None

    @property
    def name(self) -> str:
        """As the operator named it."""
        return self._name

    @property
    def features(self) -> ModelFeatures:
        """What it can do: tools by way of a schema, no images, no embeddings."""
        return self._features

    @property
    def pid(self) -> int | None:
        """The process that holds the model, while it lives."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def chat(self, request: ModelRequest) -> ModelAnswer:
        """One whole answer; raises ModelFailure."""
        async with aclosing(self.turn(request, Turn())) as items:
            async for item in items:
                if isinstance(item, ModelAnswer):
                    return item
        raise failure("interrupted", "the answer ended before it was one")

    async def stream(self, request: ModelRequest) -> AsyncGenerator[str | ModelAnswer, None]:
        """Pieces of text as they come, and the whole answer last; with tools, only the answer, since it is JSON."""
        async with aclosing(self.turn(request, Turn())) as items:
            async for item in items:
                if not isinstance(item, Aside):
                    yield item

    async def turn(self, request: ModelRequest, turn: Turn) -> AsyncGenerator[str | ModelAnswer | Aside, None]:
        """As `stream`, until the turn ends: see `ports.turns`."""
        prepared = prepare(request)
        before = self._goes_on_from(turn.aside, request.tenant)
        asked = asyncio.Event()
        turn.tell(asked.set)
        slot = await self._take(request.tenant, digests_of(prepared.messages), before.mark, asked)
        if slot is None:
            yield before
            return
        try:
            async with aclosing(self._generate(prepared, slot, before, turn, asked)) as items:
                async for item in items:
                    if isinstance(item, ModelAnswer):
                        yield read_tool_answer(request, msgspec.structs.replace(item, model=self._name))
                    elif isinstance(item, Aside) or not request.tools:
                        yield item
        except (asyncio.CancelledError, GeneratorExit):
            self._suspect = True
            raise
        finally:
            self._slots.give_back(slot)

    async def embed(self, texts: list[str]) -> Embedded:
        """Refused: a chat model's vectors are worth little, and there is an embedder for that."""
        raise failure("bad_request", "the local model gives no embeddings")

    async def close(self) -> None:
        """End the process and wait until it is gone."""
        async with self._starting:
            await self._end()
            self._saves.close()

    def _goes_on_from(self, aside: Aside | None, tenant: int) -> LocalAside:
        """What a turn begins with; of what another model or tenant put aside, the text alone."""
        if isinstance(aside, LocalAside) and aside.tenant == tenant and aside.owner is self:
            return aside
        began = LocalAside(aside.text, aside.usage) if aside is not None else LocalAside()
        began.tenant, began.owner = tenant, self
        return began

    async def _take(self, tenant: int, prompt: list[bytes], mark: object, asked: asyncio.Event) -> Slot | None:
        """A slot, or None where the turn was to end before there was one."""
        taking = asyncio.ensure_future(self._slots.take(tenant, prompt, mark))
        telling = asyncio.ensure_future(asked.wait())
        try:
            await asyncio.wait({taking, telling}, return_when=asyncio.FIRST_COMPLETED)
            if asked.is_set() and taking.done():
                self._slots.give_back(taking.result())
                return None
            return taking.result() if taking.done() else None
        except asyncio.CancelledError:
            if taking.done() and not taking.cancelled():
                self._slots.give_back(taking.result())
            raise
        finally:
            telling.cancel()
            taking.cancel()

    async def _generate(
        self, request: ModelRequest, slot: Slot, before: LocalAside, turn: Turn, asked: asyncio.Event
    ) -> AsyncGenerator[str | ModelAnswer | Aside, None]:  # fmt: skip
        endpoint = await self._start()
        generation = Generation(endpoint, request, slot, before, self._saves, self.counts)
        try:
            async with aclosing(generation.run(turn, asked)) as items:
                async for item in items:
                    yield item
        except ModelFailure as error:
            raise await self._explain(endpoint, error) from None
        finally:
            self._suspect = self._suspect or generation.doubtful

    async def _start(self) -> LlamaEndpoint:
        """The endpoint of a living process; raises `crashed` where none can be started."""
        async with self._starting:
            if self._endpoint is not None and self._lives() and await self._answers(self._endpoint):
                return self._endpoint
            await self._end()
            self._slots.forget()
            key = secrets.token_urlsafe(32)
            # From the loop's own thread: the parent-death signal is that of the thread which starts the process.
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                str(PROGRAM),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=ENVIRONMENT,
                cwd="/",
                start_new_session=True,  # a terminal's Ctrl-C is for the kernel, which lets end what is under way
            )
            try:
                port = await asyncio.wait_for(self._greet(process, key), limits.WORKER_START_MS / 1_000)
            except BaseException as error:
                await self._end()
                if isinstance(error, TimeoutError):
                    raise failure("crashed", "the local model did not start in time") from None
                raise
            self._endpoint = LlamaEndpoint(
                self._name,
                base_url=f"http://127.0.0.1:{port}",
                key=key,
                prices=FREE,
                timeout_ms=TIMEOUT_MS,
                proxied=False,
                kept_alive=False,  # llama.cpp ends an idle one after 5 s, be it as a call is sent
            )
            return self._endpoint

    def _lives(self) -> bool:
        """Whether the process has not ended, which is known before anybody has waited for it."""
        if (pid := self.pid) is None:
            return False
        try:
            return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
        except ChildProcessError:
            return False

    async def _answers(self, endpoint: LlamaEndpoint) -> bool:
        """Whether the process still answers; it is asked if a call was given up since it last did."""
        if self._suspect and not await endpoint.answers(PROBE_MS):
            return False
        self._suspect = False
        return True

    async def _greet(self, process: asyncio.subprocess.Process, key: str) -> int:
        """Hand over the order on stdin, where no `ps` shows the key, and wait for the port."""
        order: dict[str, object] = {
            "model": str(self._path), "slots": self._count, "context": self._context, "key": key,
        }  # fmt: skip
        if self._saves.bytes_max:
            with suppress(OSError):  # what cannot be saved is computed again
                order |= {"saves": str(self._saves.open()), "saved_bytes_max": self._saves.bytes_max}
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(msgspec.json.encode(order) + b"\n")
            await process.stdin.drain()
            line = await process.stdout.readline()
            started = msgspec.json.decode(line, type=Started)
        except (OSError, ValueError, msgspec.MsgspecError):
            raise failure("crashed", "the local model's process died as it started") from None
        if started.error:
            raise failure("crashed", f"the local model did not start: {started.error}")
        return started.port

    async def _explain(self, endpoint: LlamaEndpoint, error: ModelFailure) -> ModelFailure:
        """`crashed` where the process is gone; a call that ran out of its long time ends the process, as it hangs."""
        process = self._process
        if error.kind == "timeout" and process is not None and endpoint is self._endpoint:
            async with self._starting:
                if endpoint is self._endpoint:
                    await self._end()
            return failure("crashed", "the local model hung, and was ended")
        if error.kind not in ("interrupted", "unreachable"):
            return error
        if process is None or endpoint is not self._endpoint:
            return failure("crashed", "the local model's process died")
        try:
            await asyncio.wait_for(process.wait(), REAP_MS / 1_000)
        except TimeoutError:
            return error
        return failure("crashed", f"the local model's process died ({process.returncode})")

    async def _end(self) -> None:
        self._suspect = False
        endpoint, self._endpoint = self._endpoint, None
        process, self._process = self._process, None
        if endpoint is not None:
            await endpoint.close()
        if process is not None:
            if process.returncode is None:
                process.kill()  # it holds nothing that would have to be saved
            await process.wait()
            if process.stdin is not None:
                process.stdin.close()
