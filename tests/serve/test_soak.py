"""A server under load for long: no error, nothing left behind, no byte lost. The short versions are ordinary tests."""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from typing import Any

import own_loop
import pytest

pytest.importorskip("uvicorn", reason="the serve extra is not installed")
from fixture_files import STORY5M
from load import Served, http, posted, serving, status_of, streamed, text_of

import pynanochat as nc

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="counts memory and descriptors in /proc")
MESSAGES = ("Tell me a story about a dog.", "What is 12 times 34?", "Spell banana.", "Who are you?")


def soak(number: int, short: int) -> pytest.MarkDecorator:
    """A short run with the other tests, a long one in `make soak`."""
    return pytest.mark.parametrize("count", [short, pytest.param(number, marks=pytest.mark.soak)])


def body(seed: int, **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": MESSAGES[seed % len(MESSAGES)]}], "seed": seed % 64,
            "temperature": 0.8, "top_k": 0, "max_tokens": 8 + seed % 40, **fields}


def expected() -> dict[int, str]:
    """What each of 64 requests is answered with, by the library."""
    llm = nc.load(STORY5M)
    answers = {}
    for seed in range(64):
        asked = body(seed)
        chat = llm.chat(max_tokens=asked["max_tokens"], temperature=0.8, seed=seed)
        answers[seed] = chat.send(asked["messages"][0]["content"]).text
    return answers


def nothing_left(server: Served) -> bool:
    return all(server.metric(name) == 0 for name in (
        "vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:kv_cache_usage_perc"))


def wait_for(condition: Any, seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.02)


@soak(600, short=4)
def test_32_streaming_clients_for_so_many_seconds(count: int) -> None:
    wanted = expected()

    async def client(server: Served, first: int, until: float) -> int:
        answered = 0
        while time.monotonic() < until:
            seed = (first + 32 * answered) % 64
            assert text_of(await streamed(server, body(seed))) == wanted[seed]
            answered += 1
        return answered

    async def load(server: Served) -> int:
        until = time.monotonic() + count
        return sum(await asyncio.gather(*(client(server, first, until) for first in range(32))))

    with serving(str(STORY5M)) as server:
        answered = own_loop.run(load(server))
        assert answered >= 32
        wait_for(lambda: nothing_left(server))


async def leave(server: Served, seed: int) -> None:
    """Ask, and go away at some moment: in the middle of the request, the queue, the prefill or the answer."""
    random_moment = random.Random(seed)
    path = random_moment.choice(["/v1/chat/completions", "/v1/completions", "/v1/responses"])
    asked = {"/v1/chat/completions": body(seed, max_tokens=400),
             "/v1/completions": {"prompt": "Once upon a time", "max_tokens": 400},
             "/v1/responses": {"input": "Tell me a story.", "max_output_tokens": 400}}[path]
    asked["stream"] = random_moment.random() < 0.7
    kind = random_moment.randrange(4)
    if kind == 0:  # half a request
        _, writer = await asyncio.open_connection(server.host, server.port)
        whole = http(path, asked)
        writer.write(whole[: random_moment.randrange(len(whole))])
        await writer.drain()
        writer.close()
        return
    async with posted(server, path, asked) as reader:
        if kind == 1:
            return
        if kind == 2:
            await asyncio.sleep(random_moment.random() * 0.1)
            return
        if asked["stream"]:
            await status_of(reader)
            for _ in range(random_moment.randrange(12)):
                await reader.readline()


@soak(5000, short=150)
def test_so_many_clients_that_leave_keep_nothing(count: int) -> None:
    async def crowd(server: Served) -> None:
        for first in range(0, count, 25):
            await asyncio.gather(*(leave(server, seed) for seed in range(first, min(first + 25, count))))

    with serving(str(STORY5M)) as server:
        own_loop.run(streamed_once(server))
        before = server.descriptors()
        own_loop.run(crowd(server))
        wait_for(lambda: nothing_left(server) and server.descriptors() <= before)
        own_loop.run(streamed_once(server))


async def streamed_once(server: Served) -> None:
    assert text_of(await streamed(server, body(0)))


@soak(10_000, short=400)
def test_memory_stays_over_so_many_requests(count: int) -> None:
    """One in five is cancelled, one in ten is invalid; a tenth of the requests is warm-up."""

    async def one(server: Served, seed: int) -> None:
        if seed % 5 == 0:
            await leave(server, seed)
        elif seed % 10 == 1:
            async with posted(server, "/v1/chat/completions", body(seed, temperature="hot")) as reader:
                assert await status_of(reader) == 400
        else:
            await streamed(server, body(seed, max_tokens=4, messages=[
                {"role": "user", "content": f"{MESSAGES[seed % 4]} {seed}"}]))

    async def requests(server: Served, first: int, last: int) -> None:
        for start in range(first, last, 16):
            await asyncio.gather(*(one(server, seed) for seed in range(start, min(start + 16, last))))

    with serving("--cache-mib", "8") as server:  # which the warm-up fills
        own_loop.run(requests(server, 0, max(count // 10, 200)))
        before = server.resident_bytes()
        own_loop.run(requests(server, max(count // 10, 200), count))
        grown = server.resident_bytes() - before
        assert grown <= 16 << 20, f"{grown / 2**20:.1f} MiB more after {count} requests"


@soak(50, short=2)
def test_so_many_sigterms_cut_no_stream(count: int) -> None:
    async def main(server: Served, delay: float) -> None:
        streams = [asyncio.create_task(streamed(server, body(seed, max_tokens=60))) for seed in range(8)]
        while server_running(server) < 8 and not all(task.done() for task in streams):
            await asyncio.sleep(0.005)
        await asyncio.sleep(delay)
        server.process.send_signal(signal.SIGTERM)
        for events in await asyncio.gather(*streams):
            assert events[-1]["choices"][0]["finish_reason"] in ("stop", "length")

    def server_running(server: Served) -> float:
        return server.metric("vllm:num_requests_running") + server.metric("vllm:request_success_total")

    for attempt in range(count):
        with serving(str(STORY5M)) as server:
            own_loop.run(main(server, 0.1 * random.Random(attempt).random()))
            assert server.process.wait(10) == 0
