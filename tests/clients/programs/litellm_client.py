"""litellm: completions, streams, asynchronous calls, text completions, forms and mapped errors.

Usage: litellm_client.py URL MODEL
"""

import asyncio
import json
import sys

import litellm
import pydantic

url, model = sys.argv[1:]
litellm.suppress_debug_info = True  # which it would print to stdout
where = {"api_base": f"{url}/v1", "api_key": "none", "num_retries": 0, "timeout": 60}
said: dict[str, object] = {}
story = [{"role": "user", "content": "Tell me a story."}]
seeded = {"model": f"openai/{model}", "messages": story, "max_tokens": 40, "temperature": 0.8, "top_p": 0.95, "seed": 7,
          "extra_body": {"top_k": 30}, **where}


class Pet(pydantic.BaseModel):
    name: str = pydantic.Field(max_length=12)
    age: int = pydantic.Field(ge=0, le=99)


answer = litellm.completion(**seeded)
said["text"] = answer.choices[0].message.content
said["usage"] = answer.usage.model_dump()
said["hosted_vllm"] = litellm.completion(**{**seeded, "model": f"hosted_vllm/{model}"}).choices[0].message.content
chunks = list(litellm.completion(stream=True, stream_options={"include_usage": True}, **seeded))
built = litellm.stream_chunk_builder(chunks, messages=story)
said["stream"] = {"text": built.choices[0].message.content, "finish_reason": built.choices[0].finish_reason,
                  "usage": built.usage.model_dump()}
said["samples"] = [one.message.content for one in litellm.completion(**{**seeded, "n": 3}).choices]
probable = litellm.completion(logprobs=True, top_logprobs=2, **{**seeded, "max_tokens": 4}).choices[0].logprobs
said["logprobs"] = [entry.logprob if hasattr(entry, "logprob") else entry["logprob"]
                    for entry in (probable["content"] if isinstance(probable, dict) else probable.content)]
pet = litellm.completion(
    model=f"openai/{model}", messages=[{"role": "user", "content": "Tell me about a pet."}], response_format=Pet,
    max_tokens=120, temperature=0, **where)
said["pet"] = json.loads(pet.choices[0].message.content)
sum_ = litellm.completion(
    model=f"openai/{model}", messages=[{"role": "user", "content": "What is 123 times 45?"}], max_tokens=60,
    temperature=0, **where)
said["calls"] = [call.function.arguments for call in sum_.choices[0].message.tool_calls]
said["sum"] = sum_.choices[0].message.content


async def together() -> list[str]:
    """Four at once."""
    answers = await asyncio.gather(*(litellm.acompletion(**{**seeded, "seed": seed}) for seed in (7, 8, 9, 7)))
    return [one.choices[0].message.content for one in answers]


said["together"] = asyncio.run(together())
continued = litellm.text_completion(
    model=f"text-completion-openai/{model}", prompt="Once upon a time", max_tokens=20, temperature=0, **where)
said["continued"] = continued.choices[0].text

said["errors"] = {}
for name, fields in {
        "model": {"model": "openai/gpt-none"}, "temperature": {"temperature": -1},
        "long": {"messages": [{"role": "user", "content": "Once upon a time. " * 1000}]}}.items():
    try:
        litellm.completion(**{**seeded, **fields})
    except Exception as error:  # which one it is is the question
        said["errors"][name] = {"class": type(error).__name__, "status": getattr(error, "status_code", None)}
json.dump(said, sys.stdout)
