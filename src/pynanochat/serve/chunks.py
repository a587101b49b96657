"""Chunks: how an answer is written, whole or as the events of a stream.

What costs is what happens for every token: a chunk of plain text is a template with the text put in, and all chunks of
a step go out together.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from pynanochat.serve.blocks import Sample

if TYPE_CHECKING:
    from pynanochat.serve.exchange import Exchange
    from pynanochat.serve.run import Run
    from pynanochat.serve.schema import StreamOptions, Usage

_DONE = b"data: [DONE]\n\n"


class Told(Sample, Protocol):
    """A sample that says what has come of it since the last time."""

    finish_reason: Any

    def opening(self) -> Any:
        """The first chunk's choice, before anything has come; None where there is none."""

    def plain(self) -> str | None:
        """What has come, where that is text and nothing else."""

    def more(self, *, also_empty: bool = False) -> Any:
        """The next chunk's choice; None where nothing has come, unless `also_empty`."""

    def ending(self) -> Any:
        """The last chunk's choice: why it ended."""


C = TypeVar("C", bound=Told)


class ChunkWriter(Generic[C]):
    """Writes what is told of choices of one kind; `kind` is the Struct of a chunk, `around` stands around its text."""

    def __init__(
        self, kind: type[Any], prefix: str, around: tuple[bytes, bytes], *, model: str, fingerprint: str
    ) -> None:
        self._facts: dict[str, Any] = {
            "id": f"{prefix}-{os.urandom(12).hex()}", "created": int(time.time()), "model": model,
            "system_fingerprint": fingerprint}
        self._kind = kind
        self._around = around
        self._encode = msgspec.json.Encoder().encode
        self._tell_usage = False

    def document(self, kind: type[Any], choices: list[Any], usage: Usage, prompt: list[int] | None) -> bytes:
        """The document of an answer that is not streamed, a Struct of this kind."""
        return self._encode(kind(**self._facts, choices=choices, usage=usage, prompt_token_ids=_or_unset(prompt)))

    async def stream(
        self, exchange: Exchange, run: Run[C], options: StreamOptions | None, headers: dict[str, str],
        prompt: list[int] | None,
    ) -> None:
        """Tell the answers while they are made; the status is settled when the first token has come."""
        touched = await run.step()
        at_end = options is not None and bool(options.include_usage)
        always = options is not None and bool(options.continuous_usage_stats)
        self._tell_usage = at_end or always
        before, after = self._template()
        async with exchange.events(headers) as events:
            told = [self._chunk([opening], run.usage if always else None, prompt if choice.index == 0 else None)
                    for choice in run.choices.values() if (opening := choice.opening()) is not None]
            if told:
                prompt = None
            while touched is not None:
                usage = run.usage if always else None
                for choice in touched:
                    text = choice.plain() if usage is None and prompt is None else None
                    if text is not None:
                        told.append(before % choice.index + self._encode(text) + after)
                    elif (more := choice.more(also_empty=always and choice.finish_reason is None)) is not None:
                        told.append(self._chunk([more], usage, prompt))
                        prompt = None
                    if choice.finish_reason is not None:
                        told.append(self._chunk([choice.ending()], usage, prompt))
                        prompt = None
                await events.write(b"".join(told))
                told.clear()
                touched = await run.step()
            await events.write((self._chunk([], run.usage) if at_end else b"") + _DONE)

    def _chunk(self, choices: list[Any], usage: Usage | None, prompt: list[int] | None = None) -> bytes:
        told: Usage | UnsetType | None = usage if usage is not None or self._tell_usage else UNSET
        return b"data: %b\n\n" % self._encode(
            self._kind(**self._facts, choices=choices, usage=told, prompt_token_ids=_or_unset(prompt)))

    def _template(self) -> tuple[bytes, bytes]:
        """What stands before a choice's index and text, and after it, in a chunk that has only these."""
        empty = self._encode(self._kind(**self._facts, choices=[], usage=UNSET))
        head = empty[: empty.index(b'"choices":[]')].replace(b"%", b"%%")
        usage = b',"usage":null' if self._tell_usage else b""
        return (b'data: %b"choices":[{"index":%%d%b' % (head, self._around[0]),
                b'%b,"logprobs":null,"finish_reason":null}]%b}\n\n' % (self._around[1], usage))


def _or_unset(tokens: list[int] | None) -> list[int] | UnsetType:
    return UNSET if tokens is None else tokens
