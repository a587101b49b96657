"""The openai package: streams of chat completions, raw, through its helper, asynchronous and left early.

Usage: openai_chat_streams.py URL MODEL
"""

import asyncio
import json
import sys

import pydantic
from openai import AsyncOpenAI, OpenAI

url, model = sys.argv[1:]
client = OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60)
said: dict[str, object] = {}
story = [{"role": "user", "content": "Tell me a story."}]
seeded = {"model": model, "messages": story, "max_tokens": 40, "temperature": 0.8, "top_p": 0.95, "seed": 7,
          "extra_body": {"top_k": 30}}


class Pet(pydantic.BaseModel):
    name: str = pydantic.Field(max_length=12)
    age: int = pydantic.Field(ge=0, le=99)


# chunk by chunk
chunks = list(client.chat.completions.create(stream=True, stream_options={"include_usage": True}, **seeded))
said["chunks"] = [chunk.model_dump() for chunk in chunks]
without = list(client.chat.completions.create(stream=True, **seeded))
said["chunks_without_usage"] = [chunk.model_dump() for chunk in without]
continuous = list(client.chat.completions.create(
    stream=True, stream_options={"include_usage": True, "continuous_usage_stats": True}, **seeded))
said["usages"] = [chunk.usage and chunk.usage.model_dump() for chunk in continuous]
samples: dict[int, str] = {}
for chunk in client.chat.completions.create(stream=True, **{**seeded, "n": 3}):
    for choice in chunk.choices:
        samples[choice.index] = samples.get(choice.index, "") + (choice.delta.content or "")
said["samples"] = [samples[index] for index in sorted(samples)]

# the helper, which takes an answer that max_tokens cut short for an error
ended = {**seeded, "messages": [{"role": "user", "content": "Who are you?"}], "max_tokens": 80}
kinds: list[str] = []
with client.chat.completions.stream(logprobs=True, top_logprobs=2, **ended) as stream:
    text = ""
    for event in stream:
        if not kinds or kinds[-1] != event.type:
            kinds.append(event.type)
        if event.type == "content.delta":
            text += event.delta
final = stream.get_final_completion()
said["helper"] = {"kinds": kinds, "text": text, "final": final.model_dump()}
with client.chat.completions.stream(
        model=model, messages=[{"role": "user", "content": "Tell me about a pet."}], response_format=Pet,
        max_tokens=120, temperature=0) as stream:
    for _ in stream:
        pass
said["parsed"] = stream.get_final_completion().choices[0].message.parsed.model_dump()
tool_events = []
with client.chat.completions.stream(
        model=model, messages=[{"role": "user", "content": "What is 123 times 45?"}], max_tokens=60,
        temperature=0) as stream:
    for event in stream:
        if event.type.startswith("tool_calls"):
            tool_events.append(event.model_dump(exclude_none=True))
said["tool_events"] = tool_events
said["tool_final"] = stream.get_final_completion().choices[0].model_dump()


async def together() -> None:
    """Twelve streams at once, each with a seed of its own."""
    asked = AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60)

    async def one(seed: int) -> str:
        text = ""
        async with asked.chat.completions.stream(**{**ended, "seed": seed}) as stream:
            async for event in stream:
                if event.type == "content.delta":
                    text += event.delta
        return text

    said["side_by_side"] = await asyncio.gather(*(one(seed) for seed in range(12)))
    await asked.close()


asyncio.run(together())

# leaving in the middle
with client.chat.completions.create(
        model=model, messages=story, stream=True, max_tokens=450, temperature=1,
        extra_body={"ignore_eos": True}) as left:
    for number, _ in enumerate(left):
        if number == 3:
            break
said["left"] = True
json.dump(said, sys.stdout)
