"""What the schema cannot say: requests that it allows are made such that this model can answer them.

Everything else stays as it was drawn. Requests that the schema does not allow only get a bound on their tokens.
"""

from __future__ import annotations

from typing import Any

import schemathesis

VOCABULARY = 2048
MOST_TOKENS = 2
LIMITS = {"/v1/chat/completions": "max_completion_tokens", "/v1/completions": "max_tokens",
          "/v1/responses": "max_output_tokens"}


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Change a case before it is sent."""
    body = case.body
    if not isinstance(body, dict):
        return
    limit = LIMITS.get(case.path)
    if limit is not None and type(body.get(limit)) in (int, type(None)):
        body[limit] = min(MOST_TOKENS, MOST_TOKENS if body.get(limit) is None else body[limit])
    if case.meta is not None and case.meta.generation.mode.is_positive:
        mend(body)


def mend(body: dict[str, Any]) -> None:
    """Keep to the model's vocabulary and context, to conversations that end with a question, to good grammars."""
    if body.get("model") is not None:
        body["model"] = "story5m"
    for name in ("stop_token_ids", "tokens"):
        if body.get(name):
            body[name] = in_vocabulary(body[name])
    if body.get("logit_bias"):
        body["logit_bias"] = {str(int(token) % VOCABULARY): value for token, value in body["logit_bias"].items()}
    if isinstance(body.get("prompt"), list):
        body["prompt"] = in_vocabulary(body["prompt"])
    mend_samples(body)
    mend_grammar(body)
    if isinstance(body.get("messages"), list):
        body["messages"] = [mended_message(message) for message in body["messages"][-8:]]
        mend_end(body["messages"])
        if body.get("continue_final_message"):
            body["messages"].append({"role": "assistant", "content": "So"})
    if isinstance(body.get("input"), list):
        body["input"] = [item for item in body["input"][-8:] if item.get("type") != "function_call_output"]
        body["input"].append({"role": "user", "content": "And?"})


def in_vocabulary(tokens: list[Any]) -> list[Any]:
    return [in_vocabulary(token) if isinstance(token, list) else token % VOCABULARY if type(token) in (int, float)
            else token for token in tokens]


def mend_samples(body: dict[str, Any]) -> None:
    prompts = len(body["prompt"]) if isinstance(body.get("prompt"), list) else 1
    if prompts > 8 and ("n" in body or "best_of" in body):
        body["n"] = body["best_of"] = 1
    if body.get("best_of") is not None:
        body["best_of"] = max(body["best_of"], body.get("n") or 1)
        if body.get("stream"):
            body["best_of"] = body.get("n")


def mend_grammar(body: dict[str, Any]) -> None:
    text = body.get("text") if isinstance(body.get("text"), dict) else {}
    found = [name for name in ("grammar", "structured_outputs", "response_format") if body.get(name) is not None]
    for name in found[1:] or (found if text.get("format") else []):
        body[name] = None
    if body.get("grammar") is not None:
        body["grammar"] = 'start: "a" | "b"'
    if body.get("structured_outputs") is not None:
        body["structured_outputs"] = {"choice": ["yes", "no"]}
    for form in (body.get("response_format"), text.get("format")):
        if isinstance(form, dict) and form.get("type") == "json_schema":
            form.get("json_schema", form)["schema"] = {"type": "object"}


def mended_message(message: dict[str, Any]) -> dict[str, Any]:
    message = dict(message)
    if message.get("token_ids"):
        message["token_ids"] = in_vocabulary(message["token_ids"])
    if message["role"] == "tool":
        message["role"] = "user"
    return message


def mend_end(messages: list[dict[str, Any]]) -> None:
    if messages[-1]["role"] == "assistant":
        messages.append({"role": "user", "content": "And?"})
