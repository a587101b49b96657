"""The engine's thread and the answers that an event loop reads: neither waits for the other, nothing stays behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import own_loop
import pytest
from fixture_files import STORY5M

import pynanochat as nc
from pynanochat.engine.request import Request
from pynanochat.errors import BackendError, RequestError
from pynanochat.output import Output
from pynanochat.serve.bridge import Answer, EngineThread, QueueFullError

Scenario = Callable[[EngineThread], Awaitable[None]]


@pytest.fixture(scope="module")
def llm() -> nc.LLM:
    return nc.load(STORY5M)


@asynccontextmanager
async def running(llm: nc.LLM, **options: Any) -> AsyncIterator[EngineThread]:
    thread = EngineThread(llm, **options)
    thread.start()
    try:
        yield thread
    finally:
        await thread.stop()


def play(llm: nc.LLM, scenario: Scenario, **options: Any) -> None:
    async def main() -> None:
        async with running(llm, **options) as thread:
            await asyncio.wait_for(scenario(thread), 60)

    own_loop.run(main())
    scheduler = llm.engine.scheduler
    assert not scheduler.running
    assert not scheduler.waiting
    assert all(pool.used == 0 for pool in scheduler.pools)


def asked(llm: nc.LLM, text: str, max_tokens: int | None = 20, **sampling: Any) -> Request:
    return llm.request(llm.encode(text), max_tokens, nc.SamplingPolicy(**sampling))


async def drain(answer: Answer) -> list[Output]:
    async with answer:
        async for _ in answer:
            pass
    return answer.outputs


async def until(condition: Callable[[], bool]) -> None:
    while not condition():
        await asyncio.sleep(0.002)


def free(thread: EngineThread) -> bool:
    now = thread.statistics
    return now.running == now.waiting == now.pages_used == thread.unfinished == 0


def test_answers_are_those_of_the_library(llm: nc.LLM) -> None:
    wanted = llm.generate(["Once upon", "The dog"], max_tokens=20, temperature=0.8, seed=3, n=2, logprobs=2)
    requests = [asked(llm, text, temperature=0.8, seed=3, n=2, logprobs=2) for text in ("Once upon", "The dog")]

    async def scenario(thread: EngineThread) -> None:
        outputs = await drain(thread.ask(requests))
        for output, other in zip(outputs, wanted, strict=True):
            for sample, its in zip(output.samples, other.samples, strict=True):
                assert (sample.text, sample.tokens, sample.logprobs) == (its.text, its.tokens, its.logprobs)

    play(llm, scenario)


def test_forty_answers_at_once_are_each_what_they_are_alone(llm: nc.LLM) -> None:
    wanted = [llm.generate("Once upon", max_tokens=20, temperature=0.8, seed=seed).text for seed in range(40)]

    async def scenario(thread: EngineThread) -> None:
        answers = [thread.ask([asked(llm, "Once upon", temperature=0.8, seed=seed)]) for seed in range(40)]
        outputs = await asyncio.gather(*map(drain, answers))
        assert [output.text for (output,) in outputs] == wanted

    play(llm, scenario)


def test_a_stop_string_ends_a_sample_at_once(llm: nc.LLM) -> None:
    async def scenario(thread: EngineThread) -> None:
        (output,) = await drain(thread.ask([asked(llm, "Once upon a time", None, temperature=0.0, stop=["boy"])]))
        assert output.finish_reason == "stop"
        assert output.stop == "boy"
        assert output.text == ", there was a quiet "
        await until(lambda: free(thread))

    play(llm, scenario)


@pytest.mark.parametrize("after", [0, 1, 5])
def test_leaving_frees_everything_within_half_a_second(llm: nc.LLM, after: int) -> None:
    async def scenario(thread: EngineThread) -> None:
        answers = [thread.ask([asked(llm, "Once", 400, seed=i)])
                   for i in range(8)]
        for answer in answers:
            for _ in range(after):
                await anext(answer)
        left = time.monotonic()
        for answer in answers:
            answer.cancel()
            answer.cancel()
        await until(lambda: free(thread))
        assert time.monotonic() - left < 0.5
        with pytest.raises(StopAsyncIteration):
            await anext(answers[0])

    play(llm, scenario)


def test_a_reader_that_does_not_read_stops_nobody(llm: nc.LLM) -> None:
    async def scenario(thread: EngineThread) -> None:
        asleep = thread.ask([asked(llm, "Once", 100, seed=1)])
        await drain(thread.ask([asked(llm, "Once", 200, seed=2)]))
        assert len(await anext(asleep)) > 50  # all that came meanwhile, in one piece
        asleep.cancel()

    play(llm, scenario)


def test_a_deadline_cancels(llm: nc.LLM) -> None:
    def slowly(logits: np.ndarray, tokens: Any) -> np.ndarray:
        time.sleep(0.02)
        return logits

    async def scenario(thread: EngineThread) -> None:
        answer = thread.ask([asked(llm, "Once", 400, seed=1, processors=[slowly])], deadline_seconds=0.2)
        (output,) = await drain(answer)
        assert answer.expired
        assert output.finish_reason == "cancelled"
        assert 0 < len(output.tokens) < 100

    play(llm, scenario)


def test_a_request_that_fails_fails_alone(llm: nc.LLM) -> None:
    def broken(logits: np.ndarray, tokens: Any) -> np.ndarray:
        raise ZeroDivisionError

    async def scenario(thread: EngineThread) -> None:
        good = thread.ask([asked(llm, "Once", temperature=0.0)])
        with pytest.raises(ZeroDivisionError):
            await drain(thread.ask([asked(llm, "Once", processors=[broken])]))
        with pytest.raises(RequestError, match="not in the vocabulary"):
            thread.ask([Request(prompt=(1 << 20,))])
        assert len((await drain(good))[0].tokens) == 20

    play(llm, scenario)


def test_a_full_queue_refuses_and_says_when_to_come_back(llm: nc.LLM) -> None:
    async def scenario(thread: EngineThread) -> None:
        answers = [thread.ask([asked(llm, "Once", 5, seed=i)]) for i in range(4)]
        with pytest.raises(QueueFullError, match="4 requests are waiting already") as refused:
            thread.ask([asked(llm, "Once", 5)])
        assert refused.value.retry_after_seconds >= 1
        await asyncio.gather(*map(drain, answers))
        await drain(thread.ask([asked(llm, "Once", 5)]))

    play(llm, scenario, most_waiting=4)


def test_stop_waits_for_what_runs_then_cancels_it(llm: nc.LLM) -> None:
    async def main(max_tokens: int, drain_seconds: float) -> str:
        thread = EngineThread(llm)
        thread.start()
        task = asyncio.create_task(drain(thread.ask([asked(llm, "Once upon a time there", max_tokens, seed=4)])))
        await asyncio.sleep(0)
        await thread.stop(drain_seconds)
        with pytest.raises(BackendError, match="shutting down"):
            thread.ask([asked(llm, "Once")])
        return (await task)[0].finish_reason

    assert own_loop.run(main(40, 30.0)) in ("length", "stop")
    assert own_loop.run(main(400, 0.0)) == "cancelled"


def test_an_engine_that_breaks_fails_all_and_says_so(llm: nc.LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(thread: EngineThread) -> None:
        def explode() -> None:
            raise SystemError("no")

        answer = thread.ask([asked(llm, "Once", 400)])
        await anext(answer)
        monkeypatch.setattr(llm.engine, "step", explode)
        with pytest.raises(BackendError, match="restart the server"):
            await drain(answer)
        assert "SystemError" in thread.statistics.failed
        with pytest.raises(BackendError):
            thread.ask([asked(llm, "Once")])
        monkeypatch.undo()
        for _ in range(3):  # what the thread left behind
            for sequence in llm.engine.scheduler.admitted():
                llm.engine.cancel(sequence.request_id)
            llm.engine.step()

    play(llm, scenario)


def test_counters_tell_a_prefix_hit(llm: nc.LLM) -> None:
    async def scenario(thread: EngineThread) -> None:
        text = "Once upon a time there was a counter that nobody had counted on. " * 3
        await drain(thread.ask([asked(llm, text, 5)]))
        before = thread.statistics
        (again,) = await drain(thread.ask([asked(llm, text, 5)]))
        after = thread.statistics
        assert again.usage.cached_tokens == again.usage.prompt_tokens - 1
        assert after.prompt_tokens_cached - before.prompt_tokens_cached == again.usage.cached_tokens
        assert after.prompt_tokens_computed - before.prompt_tokens_computed == 1
        assert after.generated_tokens - before.generated_tokens == len(again.tokens)

    play(llm, scenario)
