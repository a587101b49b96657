"""The openai package: chat completions in every form that it has, as one JSON document.

Usage: openai_chat.py URL MODEL
"""

import json
import sys
import typing

import openai
import pydantic
from openai import OpenAI


class Pet(pydantic.BaseModel):
    name: str = pydantic.Field(max_length=12)
    age: int = pydantic.Field(ge=0, le=99)
    kind: typing.Literal["cat", "dog", "snail"]


url, model = sys.argv[1:]
client = OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60)
said: dict[str, object] = {"version": openai.__version__}
story = [{"role": "user", "content": "Tell me a story."}]
seeded = {"model": model, "messages": story, "max_tokens": 40, "temperature": 0.8, "top_p": 0.95, "seed": 7,
          "extra_body": {"top_k": 30}}


def choice(completion):
    first = completion.choices[0]
    return {"content": first.message.content, "finish_reason": first.finish_reason}


# one answer, and again: the second finds the prompt's pages in the cache
said["seeded"] = client.chat.completions.create(**seeded).model_dump()
said["again"] = client.chat.completions.create(**seeded).model_dump()
said["samples"] = [one.message.content for one in client.chat.completions.create(**{**seeded, "n": 3}).choices]

# the forms of a conversation
greedy = {"model": model, "max_tokens": 40, "temperature": 0}
said["parts"] = choice(client.chat.completions.create(
    messages=[{"role": "user", "content": [{"type": "text", "text": "Who are "}, {"type": "text", "text": "you?"}]}],
    **greedy))
said["turns"] = choice(client.chat.completions.create(
    messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"},
              {"role": "assistant", "content": "Hello! How can I help you today?"},
              {"role": "user", "content": "Who are you?"}],
    **greedy))
said["stop"] = choice(client.chat.completions.create(
    messages=[{"role": "user", "content": "Who are you?"}], stop=["trained", "small"], **greedy))
said["length"] = choice(client.chat.completions.create(
    messages=[{"role": "user", "content": "Who are you?"}], **{**greedy, "max_tokens": 3}))

# probabilities
said["logprobs"] = client.chat.completions.create(
    messages=[{"role": "user", "content": "Who are you?"}], logprobs=True, top_logprobs=3,
    **{**greedy, "max_tokens": 8}, extra_body={"return_token_ids": True}).model_dump()
first = said["logprobs"]["choices"][0]["token_ids"][0]
said["without_first"] = client.chat.completions.create(
    messages=[{"role": "user", "content": "Who are you?"}], logit_bias={str(first): -100},
    extra_body={"return_token_ids": True}, **{**greedy, "max_tokens": 8}).choices[0].model_extra["token_ids"]
said["first"] = first

# answers of a given form
said["parsed"] = client.chat.completions.parse(
    messages=[{"role": "user", "content": "Tell me about a pet."}], response_format=Pet, model=model, max_tokens=120,
    temperature=0).choices[0].message.parsed.model_dump()
said["json_object"] = choice(client.chat.completions.create(
    messages=[{"role": "user", "content": "Tell me about a pet."}], response_format={"type": "json_object"},
    **{**greedy, "max_tokens": 200}, extra_body={"min_p": 0.05}))
said["one_of"] = choice(client.chat.completions.create(
    messages=[{"role": "user", "content": "Hello"}], extra_body={"structured_outputs": {"choice": ["red", "green"]}},
    **greedy))
said["regex"] = choice(client.chat.completions.create(
    messages=[{"role": "user", "content": "Hello"}],
    extra_body={"structured_outputs": {"regex": "[a-z]{3}-[0-9]{2}"}}, **greedy))
said["grammar"] = choice(client.chat.completions.create(
    messages=[{"role": "user", "content": "Hello"}], extra_body={"grammar": 'start: "yes" | "no"'}, **greedy))

# the calculator: run by the server, switched off, run by the client
sum_ = [{"role": "user", "content": "What is 123 times 45?"}]
python = {"type": "function", "function": {"name": "python", "description": "Evaluates an expression.", "parameters": {
    "type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]}}}
said["calculated"] = client.chat.completions.create(messages=sum_, **greedy).choices[0].model_dump()
said["no_calculator"] = client.chat.completions.create(
    messages=sum_, tool_choice="none", tools=[python], **greedy).choices[0].model_dump()
asked = client.chat.completions.create(messages=sum_, tools=[python], **greedy).choices[0]
said["asked"] = asked.model_dump()
call = asked.message.tool_calls[0]
said["told"] = client.chat.completions.create(
    messages=[*sum_, asked.message.model_dump(exclude_none=True),
              {"role": "tool", "tool_call_id": call.id, "content": "5535"}],
    tools=[python], **greedy).choices[0].model_dump()

# a conversation that grows: the tokens of its answers stand for them
turns, usages = [], []
for text in ("Tell me a story.", "Tell me another one.", "Who are you?"):
    turns.append({"role": "user", "content": text})
    answer = client.chat.completions.create(
        messages=turns, model=model, max_tokens=90, temperature=0.8, seed=3, extra_body={"return_token_ids": True})
    usages.append(answer.usage.model_dump())
    turns.append({"role": "assistant", "content": answer.choices[0].message.content,
                  "token_ids": answer.choices[0].model_extra["token_ids"]})
said["conversation"] = usages

# what the server says beside the answer
raw = client.chat.completions.with_raw_response.create(
    messages=story, user="someone", extra_body={"mirostat": 2}, **{**greedy, "max_tokens": 2})
said["ignored"] = raw.headers.get("x-nanochat-ignored")
long = [{"role": "user", "content": "Tell me a story."}, {"role": "assistant", "content": "Once upon a time. " * 60}]
raw = client.chat.completions.with_raw_response.create(messages=[*long, *long, *story], **{**greedy, "max_tokens": 8})
said["dropped_turns"] = raw.headers.get("x-nanochat-dropped-turns")
said["after_dropping"] = choice(raw.parse())

said["models"] = [entry.model_dump() for entry in client.models.list()]
said["model"] = client.models.retrieve(model).model_dump()
json.dump(said, sys.stdout)
