"""The front door: generate, stream, chat, threads, and what happens at the end of the context."""

from __future__ import annotations

import gc
import threading

import numpy as np
import pytest
from fixture_files import STORY5M

import pynanochat as nc


@pytest.fixture(scope="module")
def llm() -> nc.LLM:
    return nc.load(STORY5M, backend="reference")


def pools_are_free(llm: nc.LLM) -> bool:
    scheduler = llm._shared.engine.scheduler
    return not scheduler.running and not scheduler.waiting and all(p.used == 0 for p in scheduler.pools)


def test_generate_is_the_drained_stream(llm: nc.LLM) -> None:
    settings = {"max_tokens": 40, "temperature": 0.9, "seed": 5}
    pieces = list(llm.stream("Once upon a time", **settings))
    output = llm.generate("Once upon a time", **settings)
    assert "".join(map(str, pieces)) == output.text
    assert [token for piece in pieces for token in piece.tokens] == output.tokens
    assert pieces[-1].finish_reason == output.finish_reason == "length"
    assert output.usage.completion_tokens == 40
    assert output.usage.total_tokens == 40 + len(llm.encode("Once upon a time"))


def test_a_seeded_request_is_the_same_in_any_company(llm: nc.LLM) -> None:
    settings = {"max_tokens": 24, "temperature": 1.0, "seed": 11, "logprobs": 2}
    alone = llm.generate("The dog", **settings)
    among = llm.generate(["A", "The dog", "Once there was a very small house by the sea", "The dog"], **settings)
    assert among[1].tokens == among[3].tokens == alone.tokens
    assert among[1].logprobs == alone.logprobs  # to the bit
    samples = llm.generate("The dog", n=3, **settings).samples
    assert samples[0].tokens == alone.tokens
    assert len({tuple(sample.tokens) for sample in samples}) == 3
    assert llm.generate("The dog", **(settings | {"seed": 12})).tokens != alone.tokens


def test_neighbours_that_come_and_are_cancelled_change_no_bit(llm: nc.LLM) -> None:
    settings = {"max_tokens": 40, "temperature": 1.0, "seed": 4, "logprobs": 3}
    alone = llm.generate("Once there was", **settings)
    stream = llm.stream("Once there was", **settings)
    neighbours: list = []
    for step, _ in enumerate(stream):
        if step % 3 == 0:
            prompt = "A long prompt that takes a chunk of its own " * (1 + step % 4)
            neighbours.append(llm.stream(prompt, 60, n=1 + step % 3))
            next(neighbours[-1])
        if step % 5 == 4:
            neighbours.pop(0).close()
    for neighbour in neighbours:
        neighbour.close()
    assert (stream.outputs[0].tokens, stream.outputs[0].logprobs) == (alone.tokens, alone.logprobs)
    assert pools_are_free(llm)


def test_without_a_seed_answers_differ(llm: nc.LLM) -> None:
    assert len({llm.generate("Once", max_tokens=12).text for _ in range(4)}) > 1


def test_logprobs_are_the_models_own(llm: nc.LLM) -> None:
    prompt = llm.encode("Once upon")
    output = llm.generate(prompt, 6, temperature=0.5, top_k=3, seed=2, logprobs=4)
    logits = llm.logits([*prompt, *output.tokens]).astype(np.float64)[len(prompt) - 1 :]
    for row, token, found in zip(logits, output.tokens, output.logprobs, strict=False):
        wanted = row - np.log(np.exp(row - row.max()).sum()) - row.max()
        assert found.logprob == pytest.approx(wanted[token], abs=1e-6)
        assert [i for i, _ in found.top] == np.argsort(-wanted, kind="stable")[:4].tolist()


def test_stop_strings_and_tokens(llm: nc.LLM) -> None:
    whole = llm.generate("Once upon a time", 60, temperature=0)
    word = whole.text.split(" ")[4]
    output = llm.generate("Once upon a time", 60, temperature=0, stop=[word])
    assert output.text == whole.text[: whole.text.index(word)]
    assert (output.finish_reason, output.stop) == ("stop", word)
    token = whole.tokens[7]
    output = llm.generate("Once upon a time", 60, temperature=0, stop_tokens=[token])
    assert output.tokens == whole.tokens[: whole.tokens.index(token)]
    assert (output.finish_reason, output.end_token) == ("stop", token)


def test_a_stop_string_ends_the_work_too(llm: nc.LLM) -> None:
    """Not only the text: nothing runs for a request after its stop string."""
    whole = llm.generate("Once upon a time", 60, temperature=0)
    word = whole.text.split(" ")[3]
    runner = llm._runner
    forward, rows = runner.forward, []

    def counted(batch):
        rows.append(len(batch.tokens))
        return forward(batch)

    runner.forward = counted
    try:
        stream = llm.stream("Once upon a time", 60, temperature=0, stop=[word], n=2)
        pieces = list(stream)
    finally:
        del runner.forward
    assert len(rows) <= len(stream.outputs[0].tokens) + 1
    assert [piece.sample for piece in pieces if piece.finish_reason] == [0, 1]
    assert pools_are_free(llm)
    assert not llm._shared._inbox


def test_a_callback_cannot_use_the_model_that_runs_it(llm: nc.LLM) -> None:
    def ask(logits, tokens):
        llm.generate("a", 1)

    with pytest.raises(nc.RequestError, match="load the model a second time"):
        llm.generate("a", processors=[ask])

    def stop(logits, tokens):
        raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        llm.generate("a", processors=[stop])
    assert pools_are_free(llm)


def test_processors_see_the_tokens_so_far(llm: nc.LLM) -> None:
    seen = []

    def never_twice(logits: np.ndarray, tokens: list[int]) -> np.ndarray:
        seen.append(len(tokens))
        logits[tokens] = -np.inf
        return logits

    output = llm.generate([5, 6], 30, temperature=0, processors=[never_twice], tools=False)
    assert len({5, 6, *output.tokens}) == len(output.tokens) + 2
    draws = len(output.tokens) + (output.end_token is not None)
    assert seen == list(range(2, 2 + draws))


def test_a_failing_processor_is_the_callers_error(llm: nc.LLM) -> None:
    def broken(logits: np.ndarray, tokens: list[int]) -> np.ndarray:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        llm.generate("a", processors=[broken])
    assert pools_are_free(llm)


def test_leaving_a_stream_frees_its_pages(llm: nc.LLM) -> None:
    with llm.stream("Once upon a time", 200) as stream:
        next(stream)
    assert pools_are_free(llm)
    for piece in llm.stream("Once upon a time", 200):
        assert piece is not None
        break
    gc.collect()
    assert pools_are_free(llm)
    stream = llm.stream("Once upon a time", 200)
    next(stream)
    stream.close()
    assert list(stream) == []


def test_streams_left_to_the_garbage_collector_end(llm: nc.LLM) -> None:
    """The collector may run in the middle of a step, in the thread that holds the engine."""
    before = gc.get_threshold()
    gc.set_threshold(1)
    try:
        for _ in range(20):
            stream = llm.stream("Once", 100)
            next(stream)
    finally:
        gc.set_threshold(*before)
    del stream
    assert pools_are_free(llm)


def test_a_turn_that_is_left_early_keeps_what_was_said(llm: nc.LLM) -> None:
    chat = llm.chat(temperature=0, stop=["is"])
    pieces = chat.stream("Tell me a story.")
    for _ in range(5):
        next(pieces)
    pieces.close()
    assert len(chat.turns[0].answer) == 5
    assert chat.output.finish_reason == "cancelled"
    assert chat.messages[-1]["content"] == llm.need_tokenizer().decode(chat.turns[0].answer)
    answer = chat.send("What is 123 times 45?")
    assert answer.parts[-1]["text"].endswith("45 ")  # cut before the stop string, as the text is
    assert chat.llm.chat(max_tokens=None, temperature=0).send("Hi").finish_reason == "stop"


def test_threads_share_the_engine(llm: nc.LLM) -> None:
    prompts = [f"Number {i} is" for i in range(12)]
    wanted = [llm.generate(prompt, 15, temperature=1, seed=i).tokens for i, prompt in enumerate(prompts)]
    found: dict[int, list[int]] = {}

    def work(place: int) -> None:
        stream = llm.stream(prompts[place], 15, temperature=1, seed=place)
        if place % 4 == 3:  # some leave early
            next(stream)
            stream.close()
            return
        found[place] = stream.drain()[0].tokens

    threads = [threading.Thread(target=work, args=(i,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == {i: wanted[i] for i in range(12) if i % 4 != 3}
    llm.generate("a", 1)
    assert pools_are_free(llm)


def test_the_end_of_the_context(llm: nc.LLM) -> None:
    prompt = [7] * (llm.context - 5)
    output = llm.generate(prompt, None, temperature=0, tools=False)
    assert output.finish_reason in ("length", "stop")
    assert len(output.tokens) <= 5
    with pytest.raises(nc.ContextError, match="the context holds 512"):
        llm.generate([7] * 513)
    strict = nc.load(STORY5M, backend="reference", context_policy="error", context=64)
    with pytest.raises(nc.ContextError, match="do not fit the context of 64"):
        strict.generate("a", 64)
    assert strict.generate("a", 8, temperature=0).finish_reason == "length"
    longer = nc.load(STORY5M, backend="reference", context=1024)
    assert longer.logits([7] * 600).shape == (600, 2048)


@pytest.mark.parametrize("policy", ["drop", "stop", "error"])
def test_a_chat_longer_than_the_context(policy: str) -> None:
    llm = nc.load(STORY5M, backend="reference", context=96, context_policy=policy)
    chat = llm.chat(system="Be brief.", temperature=0, max_tokens=24)
    for _ in range(2):
        chat.send("What is 2 plus 2?")
    if policy != "drop":
        with pytest.raises(nc.ContextError, match="start a new one"):
            list(map(chat.send, ["What is 3 plus 3?"] * 6))
        assert len(chat.messages) == 1 + 2 * len(chat.turns)  # the message that did not fit is not kept
        return
    for _ in range(6):
        chat.send("What is 3 plus 3?")
    assert chat.dropped > 0
    assert len(chat.messages) == 1 + 2 * 8
    prompt = llm.need_tokenizer().decode(chat.prompt(chat.turns.pop().user))
    assert prompt.count("Be brief.") == 1
    assert prompt.startswith("<|bos|><|user_start|>Be brief.\n\nWhat is")


def test_a_chat_is_laid_out_as_upstream_does(llm: nc.LLM) -> None:
    """One long prompt of all turns gives what the running chat gave."""
    chat = llm.chat(temperature=0, max_tokens=60)
    first, second = chat.send("What is 12 times 12?"), chat.send("Who are you?")
    special = llm.need_tokenizer().encode_special
    prompt = llm.encode("")
    for question, answer in (("What is 12 times 12?", first), ("Who are you?", None)):
        prompt += [special("<|user_start|>"), *llm.need_tokenizer().encode(question), special("<|user_end|>"),
                   special("<|assistant_start|>")]
        if answer:
            prompt += [*answer.tokens, special("<|assistant_end|>")]
    assert llm.generate(prompt, 60, temperature=0).tokens == second.tokens
    assert first.parts == [{"type": "text", "text": "Let me calculate that: "}, {"type": "python", "text": "12*12"},
                           {"type": "python_output", "text": "144"}, {"type": "text", "text": " 12 times 12 is 144."}]


def test_a_model_without_a_tokenizer_runs_on_ids(llm: nc.LLM, tmp_path) -> None:
    nc.save(llm, tmp_path / "model")
    (tmp_path / "model" / "tokenizer.json").unlink()
    with pytest.raises(nc.CheckpointError):
        nc.load(tmp_path / "model")  # its checksum is still written down


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda llm: llm.generate("a", temperature=-1), nc.PolicyError, "temperature is -1"),
    (lambda llm: llm.generate("a", temprature=1), nc.PolicyError, "unknown setting 'temprature'"),
    (lambda llm: llm.generate("a", policy=nc.SamplingPolicy(), top_k=3), nc.PolicyError, "put it into the policy"),
    (lambda llm: llm.generate([]), nc.RequestError, "an empty list"),
    (lambda llm: llm.generate([1.5]), nc.RequestError, "expected"),
    (lambda llm: llm.generate(b"abc"), nc.RequestError, "expected a text, token ids"),
    (lambda llm: llm.generate(["a", 1]), nc.RequestError, "1 is given; expected token ids"),
    (lambda llm: llm.generate(None), nc.RequestError, "expected a text, token ids"),
    (lambda llm: llm.generate("a", 1.5), nc.RequestError, "max_tokens is 1.5"),
    (lambda llm: llm.generate("a", True), nc.RequestError, "max_tokens is True"),
    (lambda llm: llm.logits("abc"), nc.RequestError, "expected token ids"),
    (lambda llm: nc.load(STORY5M, step=5), nc.NotFoundError, "no training steps"),
    (lambda llm: nc.load("nano8m", source="sft"), nc.CheckpointError, "leave source out"),
    (lambda llm: nc.load(STORY5M, context="10"), nc.ContextError, "expected 1 to 5120"),
    (lambda llm: nc.load(STORY5M, cache_bytes=0), nc.RequestError, "cache_bytes"),
    (lambda llm: llm.generate([1, 2048]), nc.RequestError, "token 2048"),
    (lambda llm: llm.generate([-1]), nc.RequestError, "token -1"),
    (lambda llm: llm.generate("a", -1), nc.RequestError, "max_tokens is -1"),
    (lambda llm: llm.generate("a", logit_bias={9999: 1}), nc.PolicyError, "9999"),
    (lambda llm: llm.chat(n=2), nc.ConversationError, "n is 2"),
    (lambda llm: nc.load(STORY5M, backend="tpu"), nc.BackendError, "expected one of auto, cpu"),
    (lambda llm: nc.load(STORY5M, context=10**6), nc.ContextError, "expected 1 to 5120"),
    (lambda llm: nc.load(STORY5M, dtype="int3"), nc.BackendError, "not in 'int3'"),
    (lambda llm: nc.load(STORY5M, quantize="q5"), nc.UnsupportedError, "quantize is 'q5'; expected one of q8, q4"),
    (lambda llm: nc.load(STORY5M, softcap=-3), nc.ConfigError, "softcap"),
])
def test_wrong_input(llm: nc.LLM, call, error, words) -> None:
    with pytest.raises(error, match=words):
        call(llm)
    assert pools_are_free(llm)
