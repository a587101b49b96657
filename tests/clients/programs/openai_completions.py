"""The openai package: plain completions, their log-probabilities and their streams.

Usage: openai_completions.py URL MODEL
"""

import json
import sys

from openai import OpenAI

url, model = sys.argv[1:]
client = OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=60)
said: dict[str, object] = {}
seeded = {"model": model, "max_tokens": 20, "temperature": 0.8, "top_p": 0.95, "seed": 11, "extra_body": {"top_k": 30}}
ids = [2039, 79, 110, 99, 101]

said["text"] = client.completions.create(prompt="Once upon a time", **seeded).model_dump()
said["ids"] = client.completions.create(prompt=ids, **seeded).model_dump()
said["texts"] = client.completions.create(prompt=["Once upon a time", "The dog"], n=2, **seeded).model_dump()
said["lists_of_ids"] = client.completions.create(prompt=[ids, ids[:3]], **seeded).model_dump()
said["stop"] = client.completions.create(
    prompt="Once upon a time", stop="Pete", model=model, max_tokens=40, temperature=0).model_dump()
said["best"] = client.completions.create(prompt="Once upon a time", best_of=3, logprobs=0, **seeded).model_dump()
said["three"] = client.completions.create(prompt="Once upon a time", n=3, logprobs=0, **seeded).model_dump()
said["echo"] = client.completions.create(
    prompt=[ids], echo=True, logprobs=2, max_tokens=1, temperature=0, model=model).model_dump()
said["echo_only"] = client.completions.create(
    prompt="Once upon a time", echo=True, logprobs=0, max_tokens=0, model=model).model_dump()
chunks = list(client.completions.create(
    prompt="Once upon a time", stream=True, stream_options={"include_usage": True}, **seeded))
said["chunks"] = [chunk.model_dump() for chunk in chunks]
json.dump(said, sys.stdout)
