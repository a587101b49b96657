"""lm-eval as it is, on tasks/: its scores are those of the model's own logits and answers."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from real_clients import HERE, run

TASKS = HERE / "tasks"
ITEMS = [json.loads(line) for line in (TASKS / "continuations.jsonl").read_text().splitlines()]
SUMS = [json.loads(line) for line in (TASKS / "sums.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def evaluate(clients, tmp_path_factory):
    """The results of an evaluation and its samples, in the tasks' order, by task."""
    clients.need("lm-eval")

    def evaluation(kind, address, tasks, *more, **settings):
        out = tmp_path_factory.mktemp("results")
        arguments = {"model": "story5m", "base_url": address, "max_length": 512, "max_retries": 1, **settings}
        run([clients.python, "-m", "lm_eval", "run", "--model", kind, "--tasks", *tasks, "--include_path", str(TASKS),
             "--model_args", ",".join(f"{name}={value}" for name, value in arguments.items()),
             "--output_path", str(out), "--log_samples", *more],
            clients.home, TASKS)
        (results,) = out.rglob("results_*.json")
        scores = json.loads(results.read_text())["results"]
        found = {}
        for task in tasks:
            (samples,) = out.rglob(f"samples_{task}_*.jsonl")
            lines = [json.loads(line) for line in samples.read_text().splitlines()]
            found[task] = scores[task], sorted(lines, key=lambda line: line["doc_id"])
        return found

    return evaluation


def log_likelihood(llm, context, continuation, first):
    """Of the continuation's tokens, and whether each is the likeliest, where the model reads the ids `first` first."""
    words = llm.tokenizer
    tokens, begin = words.encode(context + continuation), len(words.encode(context))
    logits = llm.logits([*first, *tokens])[len(first):].astype(np.float64)
    scores = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    places = range(begin - 1, len(tokens) - 1)
    return (sum(scores[place, tokens[place + 1]] for place in places),
            all(scores[place].argmax() == tokens[place + 1] for place in places))


def check_continuations(llm, results, samples, first):
    """All that lm-eval found is what the model's logits say."""
    best, best_per_character = [], []
    for item, sample in zip(ITEMS, samples, strict=True):
        expected = [log_likelihood(llm, item["context"], choice, first) for choice in item["choices"]]
        found = sample["filtered_resps"]
        assert [float(score) for score, _ in found] == pytest.approx([score for score, _ in expected], abs=1e-4)
        assert [str(greedy) for _, greedy in found] == [str(bool(greedy)) for _, greedy in expected]
        scores = np.array([score for score, _ in expected])
        best.append(scores.argmax() == item["label"])
        best_per_character.append((scores / [len(choice) for choice in item["choices"]]).argmax() == item["label"])
    assert results["acc,none"] == pytest.approx(np.mean(best))
    assert results["acc_norm,none"] == pytest.approx(np.mean(best_per_character))
    assert np.mean(best) > 0.7


def check_sums(results, samples, answers):
    """What the model said, and which last numbers are right."""
    assert [sample["resps"][0][0] for sample in samples] == answers
    right = [re.findall(r"\d+", answer)[-1:] == [item["answer"]] for item, answer in zip(SUMS, answers, strict=True)]
    assert results["exact_match,last-number"] == pytest.approx(np.mean(right))
    assert np.mean(right) > 0.7


def test_completions(evaluate, served, llm):
    found = evaluate("local-completions", f"{served.url}/v1/completions", ["nanochat_continuations", "nanochat_sums"])
    check_continuations(llm, *found["nanochat_continuations"], [])
    check_sums(*found["nanochat_sums"], [
        llm.generate(llm.tokenizer.encode(item["question"]), max_tokens=60, temperature=0).text for item in SUMS])


def test_completions_that_begin_with_bos(evaluate, served_with_bos, llm):
    """In batches and several at a time, too: nanochat's own scores are those of texts that begin with <|bos|>."""
    found = evaluate("local-completions", f"{served_with_bos.url}/v1/completions", ["nanochat_continuations"],
                     "--batch_size", "4", num_concurrent=3)
    check_continuations(llm, *found["nanochat_continuations"], [llm.tokenizer.bos])


def test_chat_completions(evaluate, served, says):
    found = evaluate("local-chat-completions", f"{served.url}/v1/chat/completions", ["nanochat_sums"],
                     "--apply_chat_template", eos_string="<|assistant_end|>")
    check_sums(*found["nanochat_sums"], [says(item["question"], max_tokens=60, temperature=0).text for item in SUMS])
