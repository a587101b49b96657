"""An answer on its way to stdout: its text alone, and on a terminal also what the calculator did."""

from __future__ import annotations

import sys
from typing import Any

from pynanochat.cli import probability
from pynanochat.cli.control_characters import Visible
from pynanochat.cli.terminal import paint
from pynanochat.engine.request import TokenLogprobs
from pynanochat.output import Output, Piece


class AnswerWriter:
    """Takes pieces in their order, inside its `with` block or until `end`.

    A terminal gets no control characters of the model's, and dim tool blocks: [12*3 = 36], or [12*x = ?] where the
    calculator had no answer. `colours` gives text there the colour of its probability, where that is known.
    """

    def __init__(self, *, colours: bool = False) -> None:
        self._is_terminal = sys.stdout.isatty()
        self._colours = colours
        self._visible = Visible()
        self._kind = "text"
        self._ends_line = True

    def __enter__(self) -> AnswerWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def push(self, piece: Piece) -> None:
        """Show what a piece adds."""
        if not self._is_terminal:
            self._write(str(piece))
        elif piece.content:
            self._enter(piece.kind)
            style = probability.style_of(piece.logprobs.logprob) if self._colours and piece.logprobs else ""
            self._show(self._visible.push(piece.content), style)

    def end(self) -> None:
        """End the answer and its line."""
        if self._is_terminal:
            self._enter("text", is_end=True)
            self._show(self._visible.end())
        if not self._ends_line:
            self._write("\n")

    def _enter(self, kind: str, *, is_end: bool = False) -> None:
        """Go over to a kind of text, by way of the signs around a tool block."""
        before = self._kind
        if kind == before:
            return
        self._show(self._visible.end())
        if before == "python" and kind != "python_output":
            self._show("]" if is_end else " = ?]")
        elif before == "python_output":
            self._show("]")
        if before == "python" and kind == "python_output":
            self._kind = kind
            self._show(" = ")
            return
        self._kind = kind
        if kind != "text":
            self._begin_block()
            self._show("[" if kind == "python" else "[= ")

    def _begin_block(self) -> None:
        """A tool block follows."""

    def _show(self, text: str, style: str = "") -> None:
        """Show text of the kind that is on."""
        self._write(text, style if self._kind == "text" else "dim")

    def _write(self, text: str, style: str = "") -> None:
        if text:
            sys.stdout.write(paint(text, style, sys.stdout))
            sys.stdout.flush()
            self._ends_line = text.endswith("\n")


def as_json(output: Output) -> dict[str, Any]:
    """One sample as a JSON document says it."""
    return {
        "text": output.text, "tokens": output.tokens, "forced": output.forced, "finish_reason": output.finish_reason,
        "end_token": output.end_token, "stop": output.stop, "parts": output.parts,
        "logprobs": output.logprobs and [one and logprobs_as_json(one) for one in output.logprobs],
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
                  "total_tokens": first.prompt_tokens + completion, "cached_tokens": first.cached_tokens},
        "timing": {"first_token_seconds": start, "seconds": seconds,
                   "tokens_per_second": later / (seconds - start) if later > 0 and seconds > start else None},
    }


def logprobs_as_json(logprobs: TokenLogprobs) -> dict[str, Any]:
    """The log-probability of a token and of the most probable others, as (id, log-probability)."""
    return {"logprob": logprobs.logprob, "top": [list(pair) for pair in logprobs.top]}
