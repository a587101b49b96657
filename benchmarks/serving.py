"""The server beside its engine: throughput of 16 streams, time to the first token under them, a chat of 20 turns.

Run: python benchmarks/serving.py [--depth 12] [--quantize q8] [--rounds 5]. A random network from a native folder, in
a temporary place. The engine alone runs in this process, the server in one of its own, with the clients here: rounds of
the two take turns, the figures are medians. A table, then one JSON line.
"""

import argparse
import asyncio
import itertools
import json
import re
import statistics
import string
import subprocess
import sys
import tempfile
import time
import urllib.request

import numpy as np

import pynanochat as nc
from pynanochat import checkpoint
from pynanochat.bench.model import network_of_depth, random_model
from pynanochat.engine.request import Request
from pynanochat.tokenizer import SPECIAL_TOKENS, Tokenizer

STREAMS = 16
TOKENS = 128  # of each stream
POLICY = {"temperature": 0.6, "top_k": 50}


def tokenizer_of(vocab_size):
    """Every token a short piece of ASCII, so that a random network's answers are text."""
    pieces = [bytes([byte]) for byte in range(256)]
    letters, signs = string.ascii_lowercase, string.printable[:95]
    for size, alphabet in ((2, signs), (3, letters), (4, letters)):
        pieces += ("".join(some).encode() for some in itertools.islice(
            itertools.product(alphabet, repeat=size), max(0, vocab_size - len(SPECIAL_TOKENS) - len(pieces))))
    ranks = {piece: rank for rank, piece in enumerate(pieces)}
    return Tokenizer(ranks, {name: len(ranks) + place for place, name in enumerate(SPECIAL_TOKENS)})


def words(seed, count):
    """A text that nobody has sent before."""
    rng = np.random.default_rng(seed)
    return " ".join("".join(rng.choice(list(string.ascii_lowercase), 4)) for _ in range(count))


def chat(text, seed, max_tokens=TOKENS, history=()):
    return {"messages": [*history, {"role": "user", "content": text}], "seed": seed, "max_tokens": max_tokens,
            "ignore_eos": True, "stream": True, **POLICY}


def engine_alone(llm, first_seed):
    """Seconds for all streams in this process."""
    requests = []
    for seed in range(first_seed, first_seed + STREAMS):
        talk = llm.chat(max_tokens=TOKENS)
        policy = nc.SamplingPolicy(seed=seed, **POLICY)
        requests.append(Request(
            prompt=tuple(talk.prompt(words(seed, 8))), policy=policy, max_tokens=TOKENS))
    start = time.perf_counter()
    for request in requests:
        llm.engine.submit(request)
    tokens = 0
    while not llm.engine.idle:
        tokens += sum(event.token is not None for event in llm.engine.step())
    assert tokens == STREAMS * TOKENS
    return time.perf_counter() - start


async def stream(port, body, first=None):
    """Read a stream to its end; seconds to its first token, and its bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    content = json.dumps(body).encode()
    start = time.perf_counter()
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                 b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(content) + content)
    parts, to_first = [], None
    while part := await reader.read(1 << 16):
        parts.append(part)
        if to_first is None and b"".join(parts).count(b'"content":"') > 1:  # the first one only names the role
            to_first = time.perf_counter() - start
            if first is not None:
                first.set()
    writer.close()
    whole = b"".join(parts)
    assert whole.startswith(b"HTTP/1.1 200"), whole[:300]
    assert b"[DONE]" in whole, whole[-300:]
    return to_first, whole


async def served(port, first_seed):
    """Seconds for all streams from the server."""
    start = time.perf_counter()
    await asyncio.gather(*(
        stream(port, chat(words(seed, 8), seed)) for seed in range(first_seed, first_seed + STREAMS)))
    return time.perf_counter() - start


async def first_tokens(port, seeds, running):
    """Seconds to the first token of short requests, one after the other, while so many long streams run."""
    starts = [asyncio.Event() for _ in range(running)]
    tasks = [asyncio.create_task(stream(port, chat(words(9_000_000 + seeds[0] + place, 8), place, 700), started))
             for place, started in enumerate(starts)]
    await asyncio.gather(*(started.wait() for started in starts))
    found = []
    for seed in seeds:
        found.append((await stream(port, chat(words(seed, 8), seed, 2)))[0])
        await asyncio.sleep(0.013)
    assert not any(task.done() for task in tasks), "the streams ended too early"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return found


def metric(port, name):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        return sum(map(float, re.findall(rf"^{name}{{.*}} (\S+)$", response.read().decode(), re.M)))


async def long_chat(port, turns):
    """For each turn: tokens of the prompt, of which new, and those that were computed."""
    history, rows, known = [], [], 0
    for turn in range(turns):
        before = metric(port, "nanochat_prompt_tokens_computed_total")
        body = chat(words(5_000_000 + turn, 5), turn, 16, history) | {
            "return_token_ids": True, "stream_options": {"include_usage": True}}
        _, whole = await stream(port, body)
        events = [json.loads(line[6:]) for line in whole.decode().splitlines() if line.startswith('data: {')]
        usage = next(event["usage"] for event in events if event.get("usage"))
        choices = [event["choices"][0] for event in events if event["choices"]]
        answer = "".join(choice["delta"].get("content") or "" for choice in choices)
        ids = [token for choice in choices for token in choice.get("token_ids") or ()]
        history += [body["messages"][-1], {"role": "assistant", "content": answer, "token_ids": ids}]
        computed = metric(port, "nanochat_prompt_tokens_computed_total") - before
        rows.append((usage["prompt_tokens"], usage["prompt_tokens"] - known, int(computed)))
        known = usage["prompt_tokens"] + len(ids)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--depth", type=int, default=12)
    parser.add_argument("--quantize", choices=("q8", "q4"), default="q8")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    cfg = network_of_depth(asked.depth)
    model = random_model(f"d{asked.depth}", cfg, "bfloat16", asked.quantize)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/d{asked.depth}"
        checkpoint.save(path, config=cfg, tensors=model.tensors, tokenizer=tokenizer_of(cfg.vocab_size),
                        format="native", meta={})
        llm = nc.load(path, backend="cpu")
        command = [sys.executable, "-m", "pynanochat", "serve", path, "--backend", "cpu", "--port", "0"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            port = int(re.search(r":(\d+)", server.stdout.readline().split("http")[1])[1])
            found = measure(llm, port, asked.rounds)
        finally:
            server.terminate()
            server.wait()
    report(found)
    print(json.dumps({"benchmark": "serving", "depth": asked.depth, "quantize": asked.quantize} | found))


def measure(llm, port, rounds):
    alone, behind = [], []
    for turn in range(-1, rounds):  # the first round warms both up
        seed = 1000 * (turn + 2)
        alone.append(engine_alone(llm, seed))
        behind.append(asyncio.run(served(port, seed)))
    idle, loaded = [], []
    for turn in range(rounds):
        seeds = range(100_000 + 1000 * turn, 100_000 + 1000 * turn + 12)
        idle += asyncio.run(first_tokens(port, seeds, 0))[2:]
        loaded += asyncio.run(first_tokens(port, range(seeds[0] + 500, seeds[0] + 512), STREAMS))
    turns = asyncio.run(long_chat(port, 20))
    tokens = STREAMS * TOKENS
    ratios = [b / a for a, b in zip(alone[1:], behind[1:], strict=True)]
    return {
        "engine_tokens_per_second": round(tokens / statistics.median(alone[1:])),
        "server_tokens_per_second": round(tokens / statistics.median(behind[1:])),
        "server_time_over_engine": round(statistics.median(ratios), 3),
        "first_token_idle_ms": round(1e3 * statistics.median(idle), 2),
        "first_token_under_16_streams_ms": round(1e3 * statistics.median(loaded), 2),
        "first_token_ratio": round(statistics.median(loaded) / statistics.median(idle), 2),
        "chat_prompt_tokens": [prompt for prompt, _, _ in turns],
        "chat_new_tokens": [new for _, new, _ in turns],
        "chat_computed_tokens": [computed for _, _, computed in turns],
    }


def report(found):
    print(f"{STREAMS} streams of {TOKENS} tokens: engine {found['engine_tokens_per_second']} tok/s, server "
          f"{found['server_tokens_per_second']} tok/s, {found['server_time_over_engine']} times the time")
    print(f"first token: {found['first_token_idle_ms']} ms idle, {found['first_token_under_16_streams_ms']} ms under "
          f"{STREAMS} streams, {found['first_token_ratio']} times")
    print(f"{'turn':>5}{'prompt':>8}{'new':>6}{'computed':>10}")
    for turn, row in enumerate(zip(found["chat_prompt_tokens"], found["chat_new_tokens"],
                                   found["chat_computed_tokens"], strict=True)):
        print(f"{turn + 1:>5}{row[0]:>8}{row[1]:>6}{row[2]:>10}")


if __name__ == "__main__":
    main()
