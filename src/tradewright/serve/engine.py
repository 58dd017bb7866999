"""One model, one request at a time: the others wait in a queue of limited length, and beyond it they are refused.

The model works in a thread of its own, so that the server stays able to answer. A stream whose client has gone stops at
its next token.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from tradewright.examples.example import Messages
from tradewright.generate.decoding import Decoding
from tradewright.generate.labels import LabelScorer
from tradewright.generate.structured import JsonCompiler
from tradewright.generate.writer import NewConstraint, Writer
from tradewright.generate.written import Written
from tradewright.model.loaded_model import LoadedModel
from tradewright.serve.failure import ServeError

T = TypeVar("T")
Event = tuple[str, Any]


class Engine:
    """Runs requests on one model.

    Args:
        loaded: Model and tokenizer.
        max_waiting: Most requests that wait while another is answered, >= 0.
        label_temperature: Of the calibration of decisions, > 0; 1 leaves the model's own probabilities.

    Raises:
        ValueError: An argument is out of range.
    """

    def __init__(self, loaded: LoadedModel, *, max_waiting: int = 16, label_temperature: float = 1.0) -> None:
        if max_waiting < 0:
            raise ValueError(f"max_waiting must be >= 0, was {max_waiting}")
        if not label_temperature > 0:
            raise ValueError(f"label_temperature must be > 0, was {label_temperature}")
        self.loaded = loaded
        self.max_waiting = max_waiting
        self.label_temperature = label_temperature
        self.num_running = 0
        self._compiler: JsonCompiler | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")

    async def write(self, messages: Messages, decoding: Decoding, schema: dict[str, Any] | None = None) -> Written:
        """Return the answer, with a schema as JSON of it.

        Raises:
            ServeError: Too many requests wait.
            TradewrightError: The request cannot be answered.
        """

        def work() -> Written:
            constraint = self._constraint(schema) if schema is not None else None
            return Writer(self.loaded, decoding).write([messages], constraint=constraint)[0]

        return await self._run(work)

    async def probabilities(self, messages: Messages, labels: Sequence[str]) -> list[float]:
        """Return the probability of every label, see :meth:`write`."""

        def work() -> list[float]:
            scorer = LabelScorer(self.loaded, labels, temperature=self.label_temperature)
            found: list[float] = scorer.probabilities([messages])[0].tolist()
            return found

        return await self._run(work)

    async def stream(
        self, messages: Messages, decoding: Decoding, schema: dict[str, Any] | None = None
    ) -> AsyncGenerator[Event, None]:
        """Start an answer and return its events: ``("piece", text)`` and at last ``("written", Written)``.

        Raises:
            ServeError: Too many requests wait.
            TradewrightError: The request cannot be answered; after the start, the last event is ``("error", error)``.
        """
        events: asyncio.Queue[Event] = asyncio.Queue()
        loop, has_gone = asyncio.get_running_loop(), threading.Event()

        def tell(kind: str, value: Any) -> None:
            loop.call_soon_threadsafe(events.put_nowait, (kind, value))

        def work() -> None:
            try:
                if has_gone.is_set():
                    return
                constraint = self._constraint(schema) if schema is not None else None
                stream = Writer(self.loaded, decoding).stream(messages, constraint=constraint)
                tell("ready", None)
                for piece in stream:
                    tell("piece", piece)
                    if has_gone.is_set():
                        stream.close()
                        return
                tell("written", stream.written)
            except Exception as error:  # noqa: BLE001 - told to the one who waits for the events
                tell("error", error)

        self._start(work)
        kind, value = await _first(events, has_gone)
        if kind == "error":
            raise value
        return _events(events, has_gone)

    def close(self) -> None:
        """Finish what runs and let the thread go."""
        self._thread.shutdown(wait=True)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.shield(self._start(work))

    def _start(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        if self.num_running > self.max_waiting:
            raise ServeError(
                429, f"{self.max_waiting} requests are waiting already; try again later", code="too_many_requests"
            )
        self.num_running += 1
        future = asyncio.get_running_loop().run_in_executor(self._thread, work)
        future.add_done_callback(self._done)
        return future

    def _done(self, future: "asyncio.Future[Any]") -> None:
        self.num_running -= 1
        if not future.cancelled():
            future.exception()  # a client that has gone does not ask for it

    def _constraint(self, schema: dict[str, Any]) -> NewConstraint:
        if self._compiler is None:
            self._compiler = JsonCompiler(self.loaded)
        return self._compiler.compile(schema).constraint


async def _first(events: "asyncio.Queue[Event]", has_gone: threading.Event) -> Event:
    try:
        return await events.get()
    except asyncio.CancelledError:
        has_gone.set()
        raise


async def _events(events: "asyncio.Queue[Event]", has_gone: threading.Event) -> AsyncGenerator[Event, None]:
    try:
        while True:
            event = await events.get()
            yield event
            if event[0] != "piece":
                return
    finally:
        has_gone.set()
