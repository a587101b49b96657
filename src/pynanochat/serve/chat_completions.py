"""/v1/chat/completions: a conversation in, the next answers out, at once or as a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pynanochat.output import borders
from pynanochat.serve.chat_choice import ChatChoice
from pynanochat.serve.chunks import ChunkWriter
from pynanochat.serve.conversation import Prompt, prompt_of
from pynanochat.serve.models import fingerprint
from pynanochat.serve.run import Run, request_of
from pynanochat.serve.schema import LONG_BYTES, read
from pynanochat.serve.schema_chat import ChatChunk, ChatCompletion, ChatFinishReason, ChatRequest
from pynanochat.serve.settings import grammar_of, headers_of, policy_of, salt_of
from pynanochat.serve.token_logprobs import TokenWriter

if TYPE_CHECKING:
    from pynanochat.engine.request import Request
    from pynanochat.llm import LLM
    from pynanochat.serve.exchange import Exchange
    from pynanochat.serve.server import Server

_AROUND_TEXT = b',"delta":{"content":', b"}"


async def handle(exchange: Exchange, server: Server) -> None:
    """Answer POST /v1/chat/completions."""
    body = await exchange.json()
    asked, ignored = read(body, ChatRequest)
    model = server.model(asked.model)
    llm = model.llm
    grammar = await grammar_of(asked, llm, asked.response_format, "response_format")
    calls = asked.tool_choice != "none" and grammar is None
    client_runs, server_runs = calls and bool(asked.tools), calls and not asked.tools
    max_tokens = asked.max_completion_tokens if asked.max_completion_tokens is not None else asked.max_tokens
    prompt = await prompt_of(llm, asked.messages, max_tokens=max_tokens, goes_on=bool(asked.continue_final_message),
                             tools=server_runs, long=len(body) > LONG_BYTES)
    call_end = llm.need_tokenizer().special_tokens.get("<|python_end|>") if client_runs else None
    wanted = asked.logprobs if asked.logprobs is not None else asked.top_logprobs is not None
    policy = policy_of(asked, llm, n=asked.n or 1, logprobs=(asked.top_logprobs or 0) if wanted else None,
                       stop_tokens=() if call_end is None else (call_end,), tools=calls)
    request = request_of(llm, prompt.tokens, max_tokens, policy, grammar=grammar, tools=server_runs, tool=prompt.tool,
                         forced=prompt.forced, ignore_eos=bool(asked.ignore_eos), param="messages",
                         salt=salt_of(exchange.tenant, asked.cache_salt))
    headers = headers_of(asked, ignored, grammar, prompt.dropped)

    def finish(choice: ChatChoice, reason: str, end_token: int | None) -> ChatFinishReason:
        ended: ChatFinishReason = "length" if reason == "length" else "stop"
        if call_end is not None and end_token == call_end and choice.calling:
            ended = "tool_calls"
        choice.finish(ended)
        return ended

    choices = _choices(asked, llm, request, prompt, logprobs=wanted)
    writer = ChunkWriter[ChatChoice](
        ChatChunk, "chatcmpl", _AROUND_TEXT, model=model.name, fingerprint=fingerprint(llm))
    told = list(request.prompt) if asked.return_token_ids else None
    async with Run(exchange, server, model, [request], choices, finish) as run:
        if asked.stream:
            await writer.stream(exchange, run, asked.stream_options, headers, told)
            return
        while await run.step() is not None:
            pass
        answers = [choice.whole() for choice in choices.values()]
        await exchange.send_json(writer.document(ChatCompletion, answers, run.usage, told), headers=headers)


def _choices(
    asked: ChatRequest, llm: LLM, request: Request, prompt: Prompt, *, logprobs: bool
) -> dict[tuple[int, int], ChatChoice]:
    """The samples, before anything has come."""
    ids = bool(asked.return_token_ids)
    choices = {}
    for index in range(request.policy.n):
        choices[0, index] = ChatChoice(
            index, borders(llm.tokenizer), inside=prompt.inside, ids=ids, show_tools=asked.show_tool_calls is not False,
            writer=TokenWriter(llm.tokenizer, ids=ids) if logprobs else None)
    return choices
