"""ResponseItems: one sample of /v1/responses as the items of its output, and the events that tell of them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from pynanochat.serve import schema_response_events as events
from pynanochat.serve.blocks import Blocks
from pynanochat.serve.schema_responses import (
    CodeInterpreterCall,
    FunctionCall,
    Logs,
    OutputItem,
    OutputMessage,
    OutputText,
    ResponseLogprob,
    ResponseTopLogprob,
    Status,
)

if TYPE_CHECKING:
    from pynanochat.output import Kind, Piece
    from pynanochat.serve.schema import TokenLogprob, TopLogprob
    from pynanochat.serve.token_logprobs import TokenWriter


class ResponseItems(Blocks):
    """The items so far, and in `told` the events that nobody has sent yet.

    Text is a message, a tool block a call of the code interpreter, or of a function where the client runs it.
    """

    def __init__(
        self, after: Mapping[int, Kind], *, inside: Kind = "text", client_runs: bool = False,
        writer: TokenWriter | None = None,
    ) -> None:
        super().__init__(after, inside)
        self.index = 0
        self.finish_reason: str | None = None
        self.items: list[OutputItem] = []
        self.told: list[Any] = []
        self.number = 2  # of the next event: the first two tell that there will be an answer
        self._client_runs = client_runs
        self._writer = writer
        self._logprobs: list[ResponseLogprob] = []  # of tokens since the last delta
        self._message: OutputMessage | None = None  # that goes on
        self._call: CodeInterpreterCall | FunctionCall | None = None  # that goes on
        self._output: list[str] = []
        if inside == "python":
            self.opened()

    def tell(self, kind: type[Any], **fields: Any) -> None:
        """One more event."""
        self.told.append(kind(sequence_number=self.number, **fields))
        self.number += 1

    # what comes

    def opened(self) -> None:
        """A block begins: a call ends what came before it."""
        if self.kind != "python":
            return
        self._end_message("completed")
        self._end_call("completed")
        if self._client_runs:
            self._call = FunctionCall(id=f"fc_{secrets.token_hex(12)}", status="in_progress", arguments="",
                                      call_id=f"call_{secrets.token_hex(12)}")
        else:
            self._call = CodeInterpreterCall(id=f"ci_{secrets.token_hex(12)}", status="in_progress", code="",
                                             outputs=None)
        self._begin(self._call)
        if self._client_runs:
            self._add_arguments('{"code": "')
        else:
            self.tell(events.CallInProgress, **self._at(self._call))

    def said(self, text: str) -> None:
        """More of a message, a call or its output."""
        if self.kind == "text":
            self._end_call("completed")
            self._say(text)
        elif self.kind == "python_output":
            self._output.append(text)
        else:
            self._ask(text)

    def closed(self) -> None:
        """A call is whole when its block ends, and has been answered when its output ends."""
        call = self._call
        if self.kind == "python" and isinstance(call, FunctionCall):
            self._add_arguments('"}')
            self.tell(events.ArgumentsDone, name=call.name, arguments=call.arguments, **self._at(call))
        elif self.kind == "python" and isinstance(call, CodeInterpreterCall):
            self.tell(events.CodeDone, code=call.code, **self._at(call))
            call.status = "interpreting"
            self.tell(events.CallInterpreting, **self._at(call))
        elif self.kind == "python_output":
            if isinstance(call, CodeInterpreterCall):
                call.outputs = [Logs(logs="".join(self._output))]
            self._output = []
            self._end_call("completed")

    def token(self, token: int, piece: Piece, *, border: bool) -> None:
        """Tokens of messages have an item each, told with the next text."""
        if self._writer is not None and piece.logprobs is not None and self.kind == "text" and not border:
            self._logprobs.append(_logprob(self._writer.item(token, piece.logprobs, 0)))

    def finish(self, reason: str) -> None:
        """Nothing more comes; what goes on is ended, and there is a message in any case."""
        status: Status = "incomplete" if reason == "length" else "completed"
        self.closed()
        self.kind = "text"
        self.finish_reason = reason
        self._end_call(status)
        if self._logprobs or not self.items:
            self._say("")
        self._end_message(status)

    # items

    def _ask(self, text: str) -> None:
        call = self._call
        if isinstance(call, FunctionCall):
            self._add_arguments(msgspec.json.encode(text)[1:-1].decode())
        elif isinstance(call, CodeInterpreterCall):
            call.code += text
            self.tell(events.CodeDelta, delta=text, **self._at(call))

    def _begin(self, item: OutputItem) -> None:
        self.items.append(item)
        self.tell(events.ItemAdded, output_index=len(self.items) - 1, item=_copy(item))

    def _say(self, text: str) -> None:
        message = self._message
        if message is None:
            message = self._message = OutputMessage(id=f"msg_{secrets.token_hex(12)}", status="in_progress", content=[])
            self._begin(message)
            message.content.append(OutputText(text="", logprobs=[]))
            self.tell(events.PartAdded, content_index=0, part=_copy(message.content[0]), **self._at(message))
        part, logprobs = message.content[0], self._logprobs
        self._logprobs = []
        part.text += text
        part.logprobs += logprobs
        if text or logprobs:
            self.tell(events.TextDelta, content_index=0, delta=text, logprobs=logprobs, **self._at(message))

    def _end_message(self, status: Status) -> None:
        message = self._message
        if message is None:
            return
        if self._logprobs:
            self._say("")
        self._message = None
        part, at = message.content[0], self._at(message)
        message.status = status
        self.tell(events.TextDone, content_index=0, text=part.text, logprobs=part.logprobs, **at)
        self.tell(events.PartDone, content_index=0, part=part, **at)
        self.tell(events.ItemDone, output_index=at["output_index"], item=message)

    def _end_call(self, status: Status) -> None:
        if self._call is None:
            return
        call, self._call = self._call, None
        call.status = status
        if isinstance(call, CodeInterpreterCall) and status == "completed":
            self.tell(events.CallCompleted, **self._at(call))
        self.tell(events.ItemDone, output_index=self._at(call)["output_index"], item=call)

    def _add_arguments(self, text: str) -> None:
        if not isinstance(self._call, FunctionCall):
            raise RuntimeError("no function call is open that arguments could belong to")
        self._call.arguments += text
        self.tell(events.ArgumentsDelta, delta=text, **self._at(self._call))

    def _at(self, item: OutputItem) -> dict[str, Any]:
        """Where an event belongs: only the last item goes on."""
        return {"item_id": item.id, "output_index": len(self.items) - 1}


def _copy(value: Any) -> Any:
    """As it is now: what was told must not change before it is sent."""
    return msgspec.convert(msgspec.to_builtins(value), type(value))


def _logprob(item: TokenLogprob) -> ResponseLogprob:
    return ResponseLogprob(token=item.token, logprob=item.logprob, bytes=item.bytes or [],
                           top_logprobs=[_top(other) for other in item.top_logprobs])


def _top(item: TopLogprob) -> ResponseTopLogprob:
    return ResponseTopLogprob(token=item.token, logprob=item.logprob, bytes=item.bytes or [])
