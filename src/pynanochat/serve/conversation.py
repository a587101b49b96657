"""Conversation: a chat request's messages as the tokens of a prompt, in nanochat's layout, by `session.Chat`.

nanochat's turns alternate: user, answer. Leading system messages are one system prompt, later ones are read as the
user's; messages of one side in a row are one, with a blank line between them. An answer may hold tool blocks; a tool's
message is the output of one, after which the same answer goes on.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pynanochat.calculator import calculate
from pynanochat.errors import ContextError
from pynanochat.sampling import SamplingPolicy
from pynanochat.serve.blocks import kind_after
from pynanochat.serve.errors import ApiError
from pynanochat.serve.settings import check_ids, too_long
from pynanochat.session import Chat, Turn
from pynanochat.tools import ToolMachine

if TYPE_CHECKING:
    from pynanochat.llm import LLM, ContextPolicy
    from pynanochat.output import Kind
    from pynanochat.serve.schema_chat import ChatMessage, ToolCall
    from pynanochat.tokenizer import Tokenizer

_GAP = "\n\n"


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """The tokens that ask for the next answer, or for more of the last one."""

    tokens: list[int]
    dropped: int  # oldest turns that the context policy left out
    tool: ToolMachine | None  # the calculator, in its state at the end of the tokens
    inside: Kind  # the block that the begun answer ends in
    forced: tuple[int, ...]  # what the calculator answers to that: the first tokens of what comes back


@dataclass
class _Answer:
    """An answer as it is put together from messages."""

    tokens: list[int] = field(default_factory=list)
    kind: Kind = "text"  # of the block that the tokens end in
    text: str = ""  # after the tokens
    pending: dict[str, str | None] = field(default_factory=dict)  # calls without output: the code, or None in tokens
    outputs: dict[str, str] = field(default_factory=dict)  # what the server's calculator had told
    goes_on: bool = False  # what follows belongs directly to it, without a blank line

    def encode(self, tokenizer: Tokenizer) -> list[int]:
        """Its tokens, those of the text at its end included."""
        if self.text:
            self.tokens += tokenizer.encode(self.text)
            self.text = ""
        return self.tokens


async def prompt_of(
    llm: LLM,
    messages: Sequence[ChatMessage],
    *,
    max_tokens: int | None,
    goes_on: bool = False,
    tools: bool = True,
    context_policy: ContextPolicy | None = None,
    system: str | None = None,
    param: str = "messages",
    long: bool = False,
) -> Prompt:
    """The prompt for an answer to these messages; `goes_on` continues the last one, which is the assistant's.

    `system` comes before what system messages say; `param` is what errors call the messages; a `long` conversation is
    laid out in a thread. Raises `ApiError` 400 for messages that are no conversation or do not fit the context.
    """
    def lay_out() -> Prompt:
        try:
            return _Layout(llm, param, system).prompt(messages, max_tokens, goes_on, tools, context_policy)
        except ContextError as error:
            raise too_long(error, llm.context, param) from None

    return await asyncio.to_thread(lay_out) if long else lay_out()


async def whole_conversation(
    llm: LLM, messages: Sequence[ChatMessage], *, goes_on: bool, answer: bool, long: bool
) -> list[int]:
    """The tokens of a conversation, however long it is; ready for the `answer` where the user has the last word."""
    answered = messages[-1].role == "assistant"
    endless: Any = _Endless(llm)
    tokens = (await prompt_of(endless, messages, max_tokens=None, goes_on=answered, tools=False, long=long)).tokens
    special = llm.need_tokenizer().encode_special
    if answered and not goes_on:
        return [*tokens, special("<|assistant_end|>")]
    return tokens if answered or answer or messages[-1].role == "tool" else tokens[:-1]


class _Endless:
    """What a layout asks of a model, with no end to its context."""

    context = 1 << 62
    context_policy = "stop"

    def __init__(self, llm: LLM) -> None:
        self.config = llm.config
        self.need_tokenizer = llm.need_tokenizer


class _Layout:
    """Turns from messages, one after the other."""

    def __init__(self, llm: LLM, param: str, system: str | None) -> None:
        self.llm = llm
        self.param = param
        self.tokenizer: Tokenizer = llm.need_tokenizer()
        self.system = [system] if system else []
        self.turns: list[Turn] = []
        self.user: list[str] = []
        self.answer: _Answer | None = None

    def prompt(
        self, messages: Sequence[ChatMessage], max_tokens: int | None, goes_on: bool, tools: bool,
        context_policy: ContextPolicy | None,
    ) -> Prompt:
        for place, message in enumerate(messages):
            self._add(message, f"{self.param}[{place}]")
        last = messages[-1].role
        if goes_on and last != "assistant":
            raise ApiError(400, f"continue_final_message goes on with an answer; the last message is of role {last}",
                           param="continue_final_message", code="invalid_value")
        if last == "assistant" and not goes_on:
            hint = "; continue_final_message: true goes on with it" if self.param == "messages" else ""
            raise ApiError(400, f"the last message is the assistant's; expected one that is to be answered{hint}",
                           param=f"{self.param}[{len(messages) - 1}]", code="invalid_value")
        begun = self._closed(self.answer, whole=last == "assistant") if self.answer is not None else []
        machine, forced = self._calculator(begun) if tools else (None, [])
        system, text = _GAP.join(self.system), _GAP.join(self.user)
        if not self.user and not self.turns and self.answer is None:
            system, text = "", system  # a conversation of system messages alone: the model answers them
        if max_tokens is None and (context_policy or self.llm.context_policy) == "error":
            max_tokens = 1  # an answer as long as the context allows fits into any context with room
        chat = Chat(self.llm, system=system or None, max_tokens=max_tokens, policy=SamplingPolicy(),
                    context_policy=context_policy)
        chat.turns = self.turns
        tokens = chat.prompt(text, begun)
        return Prompt(tokens=tokens, dropped=chat.dropped, tool=machine, forced=tuple(forced),
                      inside=kind_after(self.tokenizer, begun))

    def _add(self, message: ChatMessage, where: str) -> None:
        text = _text(message)
        if message.role == "assistant":
            self._add_answer(message, text, where)
        elif message.role == "tool":
            self._add_output(message, text, where)
        elif message.role != "user" and not self.user and not self.turns and self.answer is None:
            self.system += [text] if text else []
        else:
            self._end_turn()
            self.user.append(text)

    def _end_turn(self) -> None:
        """An answer is over when something else is said."""
        if self.answer is not None:
            self.turns.append(Turn(_GAP.join(self.user), self._closed(self.answer, whole=True)))
            self.user, self.answer = [], None

    def _add_answer(self, message: ChatMessage, text: str, where: str) -> None:
        calls = message.tool_calls or []
        answer = self.answer
        if answer is None:
            answer = self.answer = _Answer()
        else:
            self._settle(answer)
            if (answer.tokens or answer.text) and not answer.goes_on and (text or message.token_ids):
                answer.text += _GAP
        answer.goes_on = False
        if message.token_ids is not None:
            check_ids(message.token_ids, self.llm, f"{where}.token_ids")
            answer.encode(self.tokenizer)
            answer.tokens += message.token_ids
            answer.kind = kind_after(self.tokenizer, message.token_ids, answer.kind)
            answer.pending = {call.id: None for call in calls}
        else:
            answer.text += text
            answer.pending = {call.id: _code(call) for call in calls}
            answer.outputs = {told.tool_call_id: told.output for told in message.tool_outputs or ()}

    def _add_output(self, message: ChatMessage, text: str, where: str) -> None:
        answer, call = self.answer, message.tool_call_id
        if call is None:
            raise ApiError(400, f"{where}.tool_call_id is missing: which call does the output answer?",
                           param=f"{where}.tool_call_id", code="missing_required_parameter")
        if answer is None or call not in answer.pending:
            raise ApiError(400, f"{where}: no message before it has a call {call!r:.80} without an output",
                           param=f"{where}.tool_call_id", code="invalid_value")
        self._lay_block(answer, answer.pending.pop(call), text)
        answer.goes_on = True

    def _closed(self, answer: _Answer, *, whole: bool) -> list[int]:
        """The tokens of an answer; where it is `whole`, every call has had its output."""
        if answer.pending and not whole:
            raise ApiError(400, f"the call {next(iter(answer.pending))!r:.80} has no output; send a message of role "
                                "tool for each call", param=self.param, code="invalid_value")
        self._settle(answer)
        return answer.encode(self.tokenizer)

    def _settle(self, answer: _Answer) -> None:
        """Lay out the calls that the server ran: their outputs are the ones it told, or what the calculator says."""
        for call, code in answer.pending.items():
            if code is not None:
                self._lay_block(answer, code, answer.outputs.get(call, calculate(code)))
                answer.goes_on = True
        answer.pending, answer.outputs = {}, {}

    def _lay_block(self, answer: _Answer, code: str | None, output: str | None) -> None:
        special, tokens = self.tokenizer.encode_special, answer.encode(self.tokenizer)
        if code is not None:
            tokens += [special("<|python_start|>"), *self.tokenizer.encode(code), special("<|python_end|>")]
        elif answer.kind == "python":
            tokens.append(special("<|python_end|>"))
        answer.kind = "text"
        if output is not None:
            tokens += [special("<|output_start|>"), *self.tokenizer.encode(output), special("<|output_end|>")]

    def _calculator(self, begun: list[int]) -> tuple[ToolMachine | None, list[int]]:
        """The tool as the begun answer leaves it, and the rest of what it answers where that ends with a call."""
        if "<|python_start|>" not in self.tokenizer.special_tokens or len(begun) > self.llm.context:
            return None, []
        machine = ToolMachine(self.tokenizer)
        forced: list[int] = []
        for token in begun:
            pushed = machine.push(token)
            forced = forced[1:] if forced[:1] == [token] else pushed
        return machine, forced


def _text(message: ChatMessage) -> str:
    if isinstance(message.content, list):
        return "\n".join(part.text for part in message.content)
    return message.content or ""


def _code(call: ToolCall) -> str:
    """What a call asks; arguments that are not {"code": "..."} are the code themselves."""
    try:
        code = json.loads(call.function.arguments)["code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return call.function.arguments
    return code if isinstance(code, str) else call.function.arguments
