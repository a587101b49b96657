"""An answer that is cut after any of its tokens goes on to the same end, calculator and all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from api_client import Api

ASKED = {"temperature": 0, "return_token_ids": True, "max_tokens": 60}


def body(question: str, begun: list[int] | None = None, **fields: Any) -> dict[str, Any]:
    messages: list[dict[str, Any]] = [{"role": "user", "content": question}]
    if begun is None:
        return {"messages": messages, **ASKED, **fields}
    return {"messages": [*messages, {"role": "assistant", "token_ids": begun}], "continue_final_message": True,
            **ASKED, **fields}


@pytest.mark.parametrize("question", ["What is 12 times 3?", "How many r's are in strawberry?"])
def test_every_cut_goes_on_to_the_same_end(api: Api, question: str) -> None:
    whole = api.post("/v1/chat/completions", body(question)).json()
    ids, prompt = whole["choices"][0]["token_ids"], whole["prompt_token_ids"]
    for cut in range(len(ids)):
        rest = api.post("/v1/chat/completions", body(question, ids[:cut])).json()
        choice = rest["choices"][0]
        assert rest["prompt_token_ids"] == prompt + ids[:cut]
        assert choice["token_ids"] == ids[cut:]
        assert choice["finish_reason"] == "stop"
        assert rest["usage"]["prompt_tokens"] == len(prompt) + cut
        assert rest["usage"]["completion_tokens"] == len(ids) - cut


def test_what_the_calculator_still_had_to_say_counts_against_the_limit(api: Api) -> None:
    whole = api.post("/v1/chat/completions", body("What is 12 times 3?")).json()
    ids = whole["choices"][0]["token_ids"]
    end = api.post("/tokenize", {"prompt": "<|python_end|>", "add_special_tokens": False}).json()["tokens"][0]
    cut = ids.index(end) + 1
    for limit in (1, 2, 4):
        rest = api.post("/v1/chat/completions", body("What is 12 times 3?", ids[:cut], max_tokens=limit)).json()
        assert rest["choices"][0]["token_ids"] == ids[cut : cut + limit]
        assert rest["choices"][0]["finish_reason"] == "length"
        assert rest["usage"]["completion_tokens"] == limit


def test_a_stream_without_text_tells_its_prompt_all_the_same(api: Api) -> None:
    asked = {"prompt": "hi", "max_tokens": 0, "return_token_ids": True}
    whole = api.post("/v1/completions", asked).json()
    chunks = api.post("/v1/completions", asked | {"stream": True}).chunks
    assert [chunk["prompt_token_ids"] for chunk in chunks if "prompt_token_ids" in chunk] == [whole["prompt_token_ids"]]
