"""/v1/responses: OpenAI's newer way to ask for an answer to a conversation. Nothing is kept between requests."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import msgspec

from pynanochat.output import borders
from pynanochat.serve import schema_response_events as events
from pynanochat.serve.conversation import prompt_of
from pynanochat.serve.errors import ApiError
from pynanochat.serve.response_items import ResponseItems
from pynanochat.serve.run import Run, request_of
from pynanochat.serve.schema import LONG_BYTES, TextFormat, read
from pynanochat.serve.schema_chat import CalledFunction, ChatMessage, ToolCall, ToolOutput
from pynanochat.serve.schema_responses import (
    FunctionTool,
    IncompleteDetails,
    InputItem,
    InputPart,
    InputTokensDetails,
    OutputTokensDetails,
    ReasoningSettings,
    Response,
    ResponseFailure,
    ResponseRequest,
    ResponseUsage,
    TextSettings,
)
from pynanochat.serve.settings import grammar_of, headers_of, policy_of, salt_of
from pynanochat.serve.token_logprobs import TokenWriter

if TYPE_CHECKING:
    from pynanochat.llm import ContextPolicy
    from pynanochat.sampling import SamplingPolicy
    from pynanochat.serve.exchange import Exchange
    from pynanochat.serve.schema import Usage
    from pynanochat.serve.server import Server

_LOGPROBS = "message.output_text.logprobs"
_ALWAYS_TOLD = "code_interpreter_call.outputs"
_POLICIES: dict[str | None, ContextPolicy | None] = {"auto": "drop", "disabled": "stop", None: None}


async def handle(exchange: Exchange, server: Server) -> None:
    """Answer POST /v1/responses."""
    body = await exchange.json()
    asked, ignored = read(body, ResponseRequest)
    if asked.background:
        raise ApiError(400, "background: answers are given at once and kept nowhere; leave it out", param="background",
                       code="unsupported_value")
    model = server.model(asked.model)
    llm = model.llm
    form = asked.text.format if asked.text is not None else None
    grammar = await grammar_of(asked, llm, form, "text.format")
    calls = asked.tool_choice != "none" and grammar is None
    client_runs = calls and any(isinstance(tool, FunctionTool) for tool in asked.tools or ())
    server_runs = calls and not client_runs
    prompt = await prompt_of(
        llm, messages_of(asked.input), system=asked.instructions, max_tokens=asked.max_output_tokens, param="input",
        tools=server_runs, context_policy=_POLICIES[asked.truncation], long=len(body) > LONG_BYTES)
    call_end = llm.need_tokenizer().special_tokens.get("<|python_end|>") if client_runs else None
    include = asked.include or []
    wanted = _LOGPROBS in include or bool(asked.top_logprobs)
    policy = policy_of(asked, llm, logprobs=(asked.top_logprobs or 0) if wanted else None,
                       stop_tokens=() if call_end is None else (call_end,), tools=calls)
    request = request_of(llm, prompt.tokens, asked.max_output_tokens, policy, grammar=grammar, tools=server_runs,
                         tool=prompt.tool, forced=prompt.forced, ignore_eos=bool(asked.ignore_eos), param="input",
                         salt=salt_of(exchange.tenant, asked.cache_salt))
    ignored += [f"include.{name}" for name in include if name not in (_LOGPROBS, _ALWAYS_TOLD)]
    headers = headers_of(asked, ignored, grammar, prompt.dropped)
    items = ResponseItems(borders(llm.tokenizer), inside=prompt.inside, client_runs=client_runs,
                          writer=TokenWriter(llm.tokenizer, ids=False) if wanted else None)
    document = ResponseDocument(asked, model.name, policy, llm.context_policy)

    def finish(items: ResponseItems, reason: str, end_token: int | None) -> str:
        items.finish(reason)
        return "tool_calls" if call_end is not None and end_token == call_end else reason

    async with Run(exchange, server, model, [request], {(0, 0): items}, finish) as run:
        if asked.stream:
            await _stream(exchange, run, items, document, headers)
            return
        while await run.step() is not None:
            items.told.clear()
        await exchange.send_json(document.ended(items, run.usage), headers=headers)


def messages_of(given: str | list[InputItem]) -> list[ChatMessage]:
    """A request's input as chat messages; `ApiError` 400 for items that lack something."""
    if isinstance(given, str):
        return [ChatMessage(role="user", content=given)]
    return [_message(item, f"input[{place}]") for place, item in enumerate(given)]


def _message(item: InputItem, where: str) -> ChatMessage:
    if item.type == "function_call":
        function = CalledFunction(name=_need(item.name, f"{where}.name"),
                                  arguments=_need(item.arguments, f"{where}.arguments"))
        return ChatMessage(role="assistant", tool_calls=[
            ToolCall(id=_need(item.call_id, f"{where}.call_id"), function=function)])
    if item.type == "function_call_output":
        return ChatMessage(role="tool", tool_call_id=_need(item.call_id, f"{where}.call_id"),
                           content=_text(_need(item.output, f"{where}.output")))
    if item.type == "code_interpreter_call":
        call = _need(item.id, f"{where}.id")
        code = msgspec.json.encode({"code": item.code or ""}).decode()
        logs = "".join(output.logs for output in item.outputs) if item.outputs is not None else None
        return ChatMessage(
            role="assistant", tool_calls=[ToolCall(id=call, function=CalledFunction(name="python", arguments=code))],
            tool_outputs=None if logs is None else [ToolOutput(tool_call_id=call, output=logs)])
    return ChatMessage(role=_need(item.role, f"{where}.role"), content=_text(_need(item.content, f"{where}.content")))


def _need(value: Any, param: str) -> Any:
    if value is None:
        raise ApiError(400, f"{param} is missing", param=param, code="missing_required_parameter")
    return value


def _text(content: str | list[InputPart]) -> str:
    return content if isinstance(content, str) else "\n".join(part.text for part in content)


async def _stream(
    exchange: Exchange, run: Run[ResponseItems], items: ResponseItems, document: ResponseDocument,
    headers: dict[str, str],
) -> None:
    """Tell the answer while it is made; the status is settled when the first token has come."""
    encode = msgspec.json.Encoder().encode
    step = await run.step()
    items.told = [events.Created(sequence_number=0, response=document.begun()),
                  events.InProgress(sequence_number=1, response=document.begun()), *items.told]

    def write() -> bytes:
        lines = [b"event: %b\ndata: %b\n\n" % (type(event).__struct_config__.tag.encode(), encode(event))
                 for event in items.told]
        items.told = []
        return b"".join(lines)

    def failed(error: ApiError) -> bytes:
        items.tell(events.Failed, response=document.failed(items, error))
        return write()

    async with exchange.events(headers, error_event=failed) as stream:
        while step is not None:
            await stream.write(write())
            step = await run.step()
        whole = document.ended(items, run.usage)
        items.tell(events.Completed if whole.status == "completed" else events.Incomplete, response=whole)
        await stream.write(write())


class ResponseDocument:
    """The response at its beginning and at its end."""

    def __init__(
        self, asked: ResponseRequest, model: str, policy: SamplingPolicy, context_policy: ContextPolicy
    ) -> None:
        truncation = asked.truncation or ("auto" if context_policy == "drop" else "disabled")
        form = asked.text.format if asked.text is not None else None
        self._created = int(time.time())
        self._fields: dict[str, Any] = {
            "id": f"resp_{os.urandom(24).hex()}", "created_at": self._created, "instructions": asked.instructions,
            "max_output_tokens": asked.max_output_tokens, "metadata": asked.metadata or {}, "model": model,
            "reasoning": ReasoningSettings(), "temperature": policy.temperature, "top_p": policy.top_p,
            "text": TextSettings(format=form or TextFormat()), "tool_choice": asked.tool_choice or "auto",
            "tools": asked.tools or [], "top_logprobs": asked.top_logprobs or 0, "truncation": truncation}

    def begun(self) -> Response:
        """Before anything has come."""
        return Response(status="in_progress", **self._fields)

    def ended(self, items: ResponseItems, usage: Usage) -> Response:
        """With everything that has come."""
        short = items.finish_reason == "length"
        return Response(
            status="incomplete" if short else "completed", completed_at=None if short else int(time.time()),
            incomplete_details=IncompleteDetails() if short else None, output=items.items, usage=_usage(usage),
            **self._fields)

    def failed(self, items: ResponseItems, error: ApiError) -> Response:
        """With what has come until it failed."""
        code = "server_error" if error.status >= 500 else "invalid_prompt"
        return Response(status="failed", error=ResponseFailure(code=code, message=error.message), output=items.items,
                        **self._fields)


def _usage(usage: Usage) -> ResponseUsage:
    return ResponseUsage(
        input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens, total_tokens=usage.total_tokens,
        input_tokens_details=InputTokensDetails(cached_tokens=usage.prompt_tokens_details.cached_tokens),
        output_tokens_details=OutputTokensDetails())
