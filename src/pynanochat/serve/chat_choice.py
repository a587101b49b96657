"""ChatChoice: one sample of a chat, as what has come of it and has not been told yet.

A streamed chunk is what came since the last one; an answer that is not streamed is everything at once. Tool blocks are
told as calls of a function python and their outputs.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET

from pynanochat.serve.blocks import Blocks
from pynanochat.serve.schema import TokenLogprob
from pynanochat.serve.schema_chat import (
    AssistantMessage,
    ChatFinishReason,
    ChatLogprobs,
    Choice,
    ChunkChoice,
    Delta,
    FunctionDelta,
    ShownFunction,
    ShownToolCall,
    ShownToolOutput,
    ToolCallDelta,
    ToolOutputDelta,
)

if TYPE_CHECKING:
    from pynanochat.output import Kind, Piece
    from pynanochat.serve.token_logprobs import TokenWriter


class ChatChoice(Blocks):
    """One of a request's n answers on its way."""

    def __init__(
        self, index: int, after: Mapping[int, Kind], *, inside: Kind = "text", writer: TokenWriter | None = None,
        ids: bool = False, show_tools: bool = True,
    ) -> None:
        super().__init__(after, inside)
        self.index = index
        self.finish_reason: ChatFinishReason | None = None
        self.n_tokens = 0
        self._writer = writer
        self._ids = ids
        self._show_tools = show_tools
        self._content: list[str] = []
        self._calls: list[ToolCallDelta] = []
        self._outputs: list[ToolOutputDelta] = []
        self._items: list[TokenLogprob] = []
        self._token_ids: list[int] = []
        self._n_calls = 0
        self._n_outputs = 0
        self._call_id = f"call_{secrets.token_hex(12)}"  # of the last call
        self._output: list[str] = []  # of the tool output that has not ended
        if inside == "python":
            self.opened()

    # what comes

    def opened(self) -> None:
        """A call begins with the function's name and the beginning of its arguments."""
        if self.kind == "python":
            self._call_id = f"call_{secrets.token_hex(12)}"
            if self._show_tools:
                self._calls.append(ToolCallDelta(index=self._n_calls, id=self._call_id, type="function",
                                                 function=FunctionDelta(name="python", arguments='{"code": "')))
            self._n_calls += 1

    def said(self, text: str) -> None:
        """Text is told as it is, a call's code as a part of a JSON string, a tool's output when it is whole."""
        if self.kind == "text":
            self._content.append(text)
        elif self.kind == "python":
            self._add_arguments(msgspec.json.encode(text)[1:-1].decode())
        else:
            self._output.append(text)

    def closed(self) -> None:
        """A call's arguments are whole JSON at its end, whatever ended it."""
        if self.kind == "python":
            self._add_arguments('"}')
        elif self.kind == "python_output":
            if self._show_tools:
                self._outputs.append(ToolOutputDelta(
                    index=self._n_outputs, tool_call_id=self._call_id, output="".join(self._output)))
            self._n_outputs += 1
            self._output = []

    def token(self, token: int, piece: Piece, *, border: bool) -> None:
        """Tokens of the text have an item each."""
        if self._writer is not None and piece.logprobs is not None and self.kind == "text" and not border:
            self._items.append(self._writer.item(token, piece.logprobs, self.n_tokens))
        if self._ids:
            self._token_ids.append(token)
        self.n_tokens += 1

    def finish(self, reason: ChatFinishReason) -> None:
        """Nothing more comes; an open block is closed, so that what was told of it can be read."""
        self.closed()
        self.kind = "text"
        self.finish_reason = reason

    @property
    def calling(self) -> bool:
        """Whether it is inside a call."""
        return self.kind == "python"

    # what is told

    def opening(self) -> ChunkChoice:
        """The first chunk: whose answer it is."""
        return ChunkChoice(index=self.index, delta=Delta(role="assistant", content=""))

    def plain(self) -> str | None:
        """What has come, where that is text and nothing else; it counts as told."""
        if self._calls or self._outputs or self._items or self._ids or not self._content:
            return None
        text = "".join(self._content)
        self._content = []
        return text

    def more(self, *, also_empty: bool = False) -> ChunkChoice | None:
        """What has come since the last time, None where that is nothing, unless `also_empty`."""
        if not (self._content or self._calls or self._outputs or self._items or self._token_ids or also_empty):
            return None
        told = bool(self._content or self._items or not (self._calls or self._outputs))
        made = ChunkChoice(
            index=self.index, logprobs=ChatLogprobs(content=self._items) if self._items else None,
            delta=Delta(content="".join(self._content) if told else UNSET, tool_calls=self._calls or UNSET,
                        tool_outputs=self._outputs or UNSET),
            token_ids=self._token_ids if self._ids else UNSET)
        self._content, self._calls, self._outputs, self._items, self._token_ids = [], [], [], [], []
        return made

    def ending(self) -> ChunkChoice:
        """The last chunk: why it ended."""
        return ChunkChoice(index=self.index, delta=Delta(), finish_reason=self.finish_reason)

    def whole(self) -> Choice:
        """Everything, of a sample that has ended and of which nothing was told."""
        calls = [ShownToolCall(id=str(call.id), function=ShownFunction(
            name="python", arguments=call.function.arguments)) for call in self._calls]
        outputs = [ShownToolOutput(tool_call_id=told.tool_call_id, output=told.output) for told in self._outputs]
        text = "".join(self._content)
        if self.finish_reason is None:
            raise RuntimeError("the sample has not ended, so it is not whole")
        return Choice(
            index=self.index, finish_reason=self.finish_reason,
            message=AssistantMessage(content=text if text or not calls else None, tool_calls=calls or UNSET,
                                     tool_outputs=outputs or UNSET),
            logprobs=None if self._writer is None else ChatLogprobs(content=self._items),
            token_ids=self._token_ids if self._ids else UNSET)

    def _add_arguments(self, text: str) -> None:
        if not self._show_tools:
            return
        index = self._n_calls - 1
        if self._calls and self._calls[-1].index == index:
            self._calls[-1].function.arguments += text
        else:
            self._calls.append(ToolCallDelta(index=index, function=FunctionDelta(arguments=text)))
