"""Prefix cache and preemption: what they save, that nobody sees others' prompts, that no result changes."""

from __future__ import annotations

import numpy as np
import pytest
from fake_runner import CONFIG, next_logits
from test_engine import all_free, expected, make, run, texts

from pynanochat.engine.request import Request
from pynanochat.sampling import SamplingPolicy

GREEDY = SamplingPolicy.greedy(seed=1)


def ask(prompt: tuple[int, ...], max_tokens: int = 5, **fields: object) -> Request:
    return Request(prompt=prompt, policy=GREEDY, max_tokens=max_tokens, **fields)


def test_a_conversation_runs_only_its_new_tokens() -> None:
    engine, runner = make((40, 40), step_tokens=16)
    tokens: tuple[int, ...] = (5,)
    for turn in range(12):
        new = (turn, turn + 1)
        before, known = runner.rows, len(tokens)
        request = ask((*tokens, *new))
        request_id = engine.submit(request)
        events = run(engine)
        answer = texts(events)[request_id, 0]
        assert answer == expected(request, 0, len(request.prompt) + 5)[0]
        never_ran = 1  # the last token of an answer was not needed by then
        assert runner.rows - before == len(new) + never_ran + len(answer) - 1
        assert events[-1].cached_tokens == known - never_ran
        tokens = (*request.prompt, *answer)
    assert engine.counters.prompt_tokens_cached > 4 * engine.counters.prompt_tokens_computed
    assert all_free(engine)


def test_the_same_prompt_again_runs_one_token() -> None:
    engine, runner = make()
    for length in (16, 17, 32, 47, 48):
        prompt = tuple(range(length))
        engine.submit(ask(prompt, max_tokens=1))
        run(engine)
        before = runner.rows
        again = engine.submit(ask(prompt, max_tokens=1))
        events = run(engine)
        assert texts(events)[again, 0] == [int(next_logits(CONFIG, prompt).argmax())]
        assert runner.rows - before == 1
        assert events[-1].cached_tokens == length - 1


def test_another_salt_finds_nothing() -> None:
    engine, runner = make()
    prompt = tuple(range(40))
    for salt in ("a", "b", ""):
        before = runner.rows
        engine.submit(ask(prompt, max_tokens=1, salt=salt))
        assert run(engine)[-1].cached_tokens == 0
        assert runner.rows - before == len(prompt)
    engine.submit(ask(prompt, max_tokens=1, salt="b"))
    assert run(engine)[-1].cached_tokens == 39


def test_requests_that_run_together_share_pages() -> None:
    engine, _ = make((12, 12), step_tokens=8)
    prompt = tuple(range(60))
    first = engine.submit(ask((*prompt, 1), max_tokens=8))
    for _ in range(9):  # its prompt has run
        engine.step()
    second = engine.submit(ask((*prompt, 2), max_tokens=8))
    engine.step()
    assert engine.scheduler.pools[0].used < 2 * (61 // 16 + 1)
    tokens = texts(run(engine))
    assert len(tokens[first, 0]) + len(tokens[second, 0]) > 8
    assert engine.counters.prompt_tokens_cached == 48  # three whole pages; the fourth is still written to
    assert all_free(engine)


def test_pages_go_to_whoever_needs_them_and_the_oldest_go_first() -> None:
    engine, _ = make((8, 8))
    for kind in range(4):  # each leaves 3 pages behind; the pool has 8
        engine.submit(ask(tuple(range(kind, kind + 40)), max_tokens=1))
        run(engine)
    found = []
    for kind in (3, 2, 0):
        engine.submit(ask(tuple(range(kind, kind + 40)), max_tokens=1))
        found.append(run(engine)[-1].cached_tokens)
    assert found[0] == 39
    assert found[1] > 16
    assert found[2] == 0
    assert all_free(engine)


@pytest.mark.parametrize("pages", [6, 7, 9, 14])
def test_sequences_that_give_way_say_the_same_later(pages: int) -> None:
    engine, _ = make((pages, pages), step_tokens=24)
    asked = {}
    for seed in range(6):
        policy = SamplingPolicy(seed=seed, n=1 + seed % 3)
        request = Request(prompt=tuple(range(seed, seed + 20)), policy=policy, max_tokens=60)
        asked[engine.submit(request)] = request
    tokens = texts(run(engine))
    for request_id, request in asked.items():
        for sample in range(request.policy.n):
            assert tokens[request_id, sample] == expected(request, sample, 80)[0]
    assert engine.counters.preemptions > 0
    assert all_free(engine)


def test_the_first_that_came_never_gives_way() -> None:
    engine, _ = make((8, 8))
    ids = [engine.submit(ask(tuple(range(i, i + 10)), max_tokens=70)) for i in range(4)]
    ends = [e.request_id for e in run(engine) if e.finish_reason]
    assert ends == ids
    assert engine.counters.preemptions > 0


def test_prompt_logits_are_given_once_although_the_sequence_gave_way() -> None:
    engine, _ = make((6, 6), step_tokens=2)
    chunks: list[tuple[int, np.ndarray]] = []
    engine.submit(ask(tuple(range(10)), max_tokens=80))
    prompt = tuple(range(40))
    late = engine.submit(ask(prompt, max_tokens=30, on_prompt_logits=lambda *chunk: chunks.append(chunk)))
    tokens = texts(run(engine))[late, 0]
    assert np.concatenate([logits for _, logits in chunks]).shape == (40, CONFIG.vocab_size)
    assert [first for first, _ in chunks] == sorted({first for first, _ in chunks})
    assert tokens == expected(ask(prompt), 0, 70)[0]
    assert engine.counters.preemptions > 0
    assert all_free(engine)


def test_samples_that_share_a_prompt_report_it_once() -> None:
    engine, _ = make(step_tokens=7)
    prompt, rows = tuple(range(40)), []
    asked = Request(prompt=prompt, policy=SamplingPolicy(seed=1, n=3), max_tokens=6,
                    on_prompt_logits=lambda first, logits: rows.append((first, logits.copy())))
    request_id = engine.submit(asked)
    tokens = texts(run(engine))
    assert [first for first, _ in rows] == list(range(0, 40, 7))
    logits = np.concatenate([some for _, some in rows])
    assert np.array_equal(logits, [next_logits(CONFIG, prompt[: i + 1]) for i in range(40)])
    for sample in range(3):
        assert tokens[request_id, sample] == expected(asked, sample, 46)[0]
    assert all_free(engine)


def test_forced_tokens_are_no_prompt_whose_logits_are_wanted() -> None:
    for step_tokens in (3, 64):
        engine, _ = make(step_tokens=step_tokens)
        prompt, rows = tuple(range(20)), []
        engine.submit(ask(prompt, max_tokens=6, forced=(7, 8),
                          on_prompt_logits=lambda first, logits, to=rows: to.append((first, logits.copy()))))
        tokens = texts(run(engine))[0, 0]
        logits = np.concatenate([some for _, some in rows])
        assert np.array_equal(logits, [next_logits(CONFIG, prompt[: i + 1]) for i in range(20)])
        assert tokens[:2] == [7, 8]
        assert tokens[2:] == expected(ask((*prompt, 7, 8)), 0, 26)[0]
        assert all_free(engine)


def test_a_failed_step_forgets_what_was_kept() -> None:
    engine, runner = make()
    engine.submit(ask(tuple(range(40)), max_tokens=1))
    run(engine)
    runner.fail_at = runner.steps + 1
    engine.submit(ask((9, 9), max_tokens=1))
    run(engine)
    engine.submit(ask(tuple(range(40)), max_tokens=1))
    assert run(engine)[-1].cached_tokens == 0
