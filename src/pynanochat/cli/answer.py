"""An answer on its way to stdout: its text alone, and on a terminal also what the calculator did."""

from __future__ import annotations

import sys
from typing import Any

from pynanochat.cli.terminal import paint
from pynanochat.engine.request import TokenLogprobs
from pynanochat.output import Output, Piece


class AnswerWriter:
    """Takes pieces in their order; a terminal shows a tool block dim, as in [12*3 = 36]."""

    def __init__(self) -> None:
        self._shows_tools = sys.stdout.isatty()
        self._kind = "text"
        self._ends_line = True

    def push(self, piece: Piece) -> None:
        """Show what a piece adds."""
        if piece.content and (piece.kind == "text" or self._shows_tools):
            self._enter(piece.kind)
            style = "" if piece.kind == "text" else "dim"
            self._write(paint(piece.content, style, sys.stdout), piece.content)

    def end(self) -> None:
        """End the answer and its line."""
        self._enter("text")
        if not self._ends_line:
            self._write("\n", "\n")

    def _enter(self, kind: str) -> None:
        before, self._kind = self._kind, kind
        if kind == before:
            return
        border = ("]" if before != "text" and kind != "python_output" else "") + ("[" if kind == "python" else "")
        border += (" = " if before == "python" else "[= ") if kind == "python_output" else ""
        self._write(paint(border, "dim", sys.stdout), border)

    def _write(self, shown: str, plain: str) -> None:
        sys.stdout.write(shown)
        sys.stdout.flush()
        self._ends_line = plain.endswith("\n")


def as_json(output: Output) -> dict[str, Any]:
    """One sample as a JSON document says it."""
    return {
        "text": output.text, "tokens": output.tokens, "forced": output.forced, "finish_reason": output.finish_reason,
        "end_token": output.end_token, "stop": output.stop, "parts": output.parts,
        "logprobs": output.logprobs and [one and _logprobs_as_json(one) for one in output.logprobs],
    }


def timing(outputs: list[Output]) -> dict[str, Any]:
    """Counts and times of the samples of one prompt, together."""
    first = outputs[0].usage
    completion = sum(output.usage.completion_tokens for output in outputs)
    seconds = max(output.usage.seconds for output in outputs)
    start = min(output.usage.first_token_seconds for output in outputs)
    later = completion - len(outputs)
    return {
        "usage": {"prompt_tokens": first.prompt_tokens, "completion_tokens": completion,
                  "total_tokens": first.prompt_tokens + completion},
        "timing": {"first_token_seconds": start, "seconds": seconds,
                   "tokens_per_second": later / (seconds - start) if later > 0 and seconds > start else None},
    }


def _logprobs_as_json(logprobs: TokenLogprobs) -> dict[str, Any]:
    return {"logprob": logprobs.logprob, "top": [list(pair) for pair in logprobs.top]}
