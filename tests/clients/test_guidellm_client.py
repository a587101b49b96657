"""guidellm as it is: its benchmark ends without an error, and counts the tokens that were sent."""

from __future__ import annotations

import json

import pytest
from real_clients import run

from pynanochat.chat import apply_chat_template

QUESTIONS = ["Tell me a story.", "Who are you?", "What is 12 plus 30?", "Hello"] * 2  # each is asked once


@pytest.fixture(scope="module")
def benchmarks(clients, served, tmp_path_factory):
    """One request after the other, and four at a time."""
    clients.need("guidellm")
    folder = tmp_path_factory.mktemp("guidellm")
    data, report = folder / "questions.csv", folder / "report.json"
    data.write_text("\n".join(["prompt", *QUESTIONS]) + "\n")
    run([clients.python, "-m", "guidellm", "run",
         "--backend", f"kind=openai_http,target={served.url},model={served.model}",
         "--data", f"kind=csv_file,path={data}", "--profile", "kind=concurrent,streams=1",
         "--override", "profile.streams", "1,4", "--constraint", f"kind=max_requests,count={len(QUESTIONS)}",
         "--output", f"kind=json,path={report}", "--disable-console"], clients.home, folder)
    return json.loads(report.read_text())["benchmarks"]


def test_every_request_ends_well(benchmarks):
    assert len(benchmarks) == 2
    for benchmark in benchmarks:
        totals = benchmark["metrics"]["request_totals"]
        assert totals["successful"] == len(QUESTIONS)
        assert totals["errored"] == 0


def test_tokens_are_counted(benchmarks, llm):
    prompts = {question: len(apply_chat_template(llm.tokenizer, [{"role": "user", "content": question}]))
               for question in QUESTIONS}
    for benchmark in benchmarks:
        for request in benchmark["requests"]["successful"]:
            body = json.loads(request["request_args"])["body"]
            (part,) = body["messages"][0]["content"]
            assert request["input_metrics"]["text_tokens"] == prompts[part["text"]]
            assert request["output"]
            assert 0 < request["output_metrics"]["text_tokens"] < llm.context
            timings = request["info"]["timings"]
            assert timings["request_start"] < timings["first_token_iteration"] <= timings["last_token_iteration"]
