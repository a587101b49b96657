"""The openai package: the Responses API, its stream helper included.

Usage: openai_responses.py URL MODEL
"""

import json
import sys

import pydantic
from openai import OpenAI

url, model = sys.argv[1:]
client = OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60)
said: dict[str, object] = {}
greedy = {"model": model, "temperature": 0, "max_output_tokens": 60}


class Pet(pydantic.BaseModel):
    name: str = pydantic.Field(max_length=12)
    age: int = pydantic.Field(ge=0, le=99)


answer = client.responses.create(input="Who are you?", **greedy)
said["text"] = {"output_text": answer.output_text, "document": answer.model_dump(mode="json")}
said["instructed"] = client.responses.create(input="Who are you?", instructions="Be brief.", **greedy).output_text
said["turns"] = client.responses.create(
    input=[{"role": "user", "content": "Hello"},
           {"role": "assistant", "content": "Hello! How can I help you today?"},
           {"role": "user", "content": [{"type": "input_text", "text": "Who are you?"}]}],
    **greedy).output_text
cut = client.responses.create(input="Who are you?", **{**greedy, "max_output_tokens": 3})
said["cut"] = cut.model_dump(mode="json")
said["calculated"] = client.responses.create(input="What is 123 times 45?", **greedy).model_dump(mode="json")
said["parsed"] = client.responses.parse(
    input="Tell me about a pet.", text_format=Pet, **{**greedy, "max_output_tokens": 120}).output_parsed.model_dump()

events = list(client.responses.create(input="Who are you?", stream=True, **greedy))
said["events"] = [event.model_dump(mode="json") for event in events]
kinds: list[str] = []
text = ""
with client.responses.stream(input="Who are you?", **greedy) as stream:
    for event in stream:
        if not kinds or kinds[-1] != event.type:
            kinds.append(event.type)
        if event.type == "response.output_text.delta":
            text += event.delta
said["helper"] = {"kinds": kinds, "text": text, "final": stream.get_final_response().output_text}
with client.responses.stream(
        input="Tell me about a pet.", text_format=Pet, **{**greedy, "max_output_tokens": 120}) as stream:
    for _ in stream:
        pass
said["stream_parsed"] = stream.get_final_response().output_parsed.model_dump()
json.dump(said, sys.stdout)
