"""langchain-openai: a chat model and a language model, invoked, streamed, batched, bound to a schema and to a tool.

Usage: langchain_client.py URL MODEL
"""

import asyncio
import json
import sys

import pydantic
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI

url, model = sys.argv[1:]
where = {"base_url": f"{url}/v1", "api_key": "none", "model": model, "max_retries": 0, "timeout": 60}
said: dict[str, object] = {}


class Pet(pydantic.BaseModel):
    """A pet."""

    name: str = pydantic.Field(max_length=12)
    age: int = pydantic.Field(ge=0, le=99)


@tool
def python(code: str) -> str:
    """Evaluate an expression."""
    left, right = code.split("*")
    return str(int(left) * int(right))


greedy = ChatOpenAI(temperature=0, max_tokens=60, **where)
seeded = ChatOpenAI(temperature=0.8, top_p=0.95, seed=7, max_tokens=40, extra_body={"top_k": 30}, **where)
answer = seeded.invoke([HumanMessage("Tell me a story.")])
said["text"] = answer.content
said["usage"] = answer.usage_metadata
said["metadata"] = {key: answer.response_metadata.get(key) for key in ("finish_reason", "model_name")}
pieces = list(seeded.stream([HumanMessage("Tell me a story.")], stream_usage=True))
said["stream"] = {"text": "".join(piece.content for piece in pieces), "pieces": len(pieces),
                  "usage": next(piece.usage_metadata for piece in pieces if piece.usage_metadata)}
said["conversation"] = greedy.invoke([
    SystemMessage("Be brief."), HumanMessage("Hello"), AIMessage("Hello! How can I help you today?"),
    HumanMessage("Who are you?")]).content
said["batch"] = [one.content for one in greedy.batch(["Who are you?", "Hello", "Who are you?"])]
said["async"] = asyncio.run(greedy.ainvoke("Who are you?")).content
said["stop"] = greedy.invoke("Who are you?", stop=["trained"]).content
probable = greedy.bind(logprobs=True, top_logprobs=2, max_tokens=4).invoke("Who are you?")
said["logprobs"] = probable.response_metadata["logprobs"]["content"]
said["structured"] = ChatOpenAI(temperature=0, max_tokens=120, **where).with_structured_output(
    Pet, method="json_schema").invoke("Tell me about a pet.").model_dump()
said["from_schema"] = ChatOpenAI(temperature=0, max_tokens=200, **where).with_structured_output(
    {"title": "pet", "type": "object", "properties": {
        "name": {"type": "string", "maxLength": 12}}, "required": ["name"], "additionalProperties": False},
    method="json_schema").invoke("Tell me about a pet.")

# a tool that the client runs
sum_ = HumanMessage("What is 123 times 45?")
calculating = greedy.bind_tools([python])
asked = calculating.invoke([sum_])
said["calls"] = asked.tool_calls
results = [ToolMessage(python.invoke(call["args"]), tool_call_id=call["id"]) for call in asked.tool_calls]
said["told"] = calculating.invoke([sum_, asked, *results]).content

said["responses_api"] = ChatOpenAI(temperature=0, max_tokens=60, use_responses_api=True, **where).invoke(
    "Who are you?").text
said["completion"] = OpenAI(temperature=0, max_tokens=20, **where).invoke("Once upon a time")

said["errors"] = {}
for name, asked, chosen in (("model", "Hello", "gpt-none"), ("long", "Once upon a time. " * 1000, model)):
    try:
        ChatOpenAI(**{**where, "model": chosen}).invoke(asked)
    except Exception as error:  # which one it is is the question
        said["errors"][name] = [kind.__name__ for kind in type(error).__mro__]
json.dump(said, sys.stdout)
