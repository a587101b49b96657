"""The openai package: which exception each mistake becomes, and what it says.

Usage: openai_errors.py URL MODEL [KEY]; with KEY, what happens without it and with a wrong one
"""

import json
import sys

import openai
from openai import OpenAI

url, model, *keys = sys.argv[1:]
client = OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60)
said: dict[str, object] = {}
user = [{"role": "user", "content": "Hello"}]


def mistake(name, ask):
    try:
        ask()
    except openai.APIError as error:
        said[name] = {"class": type(error).__name__, "status": getattr(error, "status_code", None),
                      "type": error.type, "param": error.param, "code": error.code, "message": error.message}
    else:
        said[name] = {"class": None}


def chat(**fields):
    return lambda: client.chat.completions.create(**{"model": model, "messages": user, "max_tokens": 2, **fields})


if keys:
    mistake("wrong_key", lambda: client.models.list())
    mistake("wrong_key_chat", chat())
    right = OpenAI(base_url=f"{url}/v1", api_key=keys[0], max_retries=0, timeout=60)
    said["right_key"] = right.chat.completions.create(model=model, messages=user, max_tokens=2).choices[0].finish_reason
else:
    mistake("model", chat(model="gpt-4o"))
    mistake("no_model", lambda: client.models.retrieve("gpt-4o"))
    mistake("temperature", chat(temperature=-1))
    mistake("kind", chat(max_tokens="many"))
    mistake("n", chat(n=100_000))
    mistake("messages", chat(messages=[]))
    mistake("role", chat(messages=[{"role": "wizard", "content": "Hello"}]))
    mistake("answered", chat(messages=[*user, {"role": "assistant", "content": "Hello!"}]))
    mistake("image", chat(messages=[{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}]))
    mistake("function", chat(tools=[{"type": "function", "function": {"name": "weather", "parameters": {}}}]))
    mistake("bias", chat(logit_bias={"999999": 1}))
    mistake("schema", chat(response_format={"type": "json_schema", "json_schema": {
        "name": "x", "schema": {"type": "no such type"}}}))
    mistake("long", chat(messages=[{"role": "user", "content": "Once upon a time. " * 1000}]))
    mistake("long_stream", lambda: list(chat(
        messages=[{"role": "user", "content": "Once upon a time. " * 1000}], stream=True)()))
    mistake("suffix", lambda: client.completions.create(model=model, prompt="a", suffix="b"))
    mistake("earlier", lambda: client.responses.create(model=model, input="Hello", previous_response_id="resp_1"))
    mistake("embeddings", lambda: client.embeddings.create(model=model, input="Hello"))
    said["still_answers"] = chat()().choices[0].finish_reason
json.dump(said, sys.stdout)
