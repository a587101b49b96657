"""ToolMachine: the part of a running sequence that sees a tool call in the sampled tokens and forces its result."""

from __future__ import annotations

from collections.abc import Callable

from pynanochat.calculator import calculate
from pynanochat.tokenizer import Tokenizer

__all__ = ["ToolMachine", "calculate"]

Tool = Callable[[str], str | None]


class ToolMachine:
    """Follows <|python_start|> text <|python_end|> in one sequence; `copy` it where the sequence is forked.

    Source: karpathy/nanochat, nanochat/engine.py, Engine.generate.
    """

    def __init__(self, tokenizer: Tokenizer, tool: Tool = calculate) -> None:
        self._tokenizer = tokenizer
        self._tool = tool
        self._python_start = tokenizer.encode_special("<|python_start|>")
        self._python_end = tokenizer.encode_special("<|python_end|>")
        self._output_start = tokenizer.encode_special("<|output_start|>")
        self._output_end = tokenizer.encode_special("<|output_end|>")
        self._block: list[int] | None = None

    @property
    def open(self) -> bool:
        """Whether the sequence is inside a tool call."""
        return self._block is not None

    def push(self, token: int) -> list[int]:
        """The tokens that must come next instead of sampled ones, mostly none; takes the sampled tokens in their order.

        Forced tokens may be pushed as well, or not: they never change the state.
        """
        if token == self._python_start:
            self._block = []  # a second start forgets what came after the first
        elif token == self._python_end:
            block, self._block = self._block, None
            if block:
                result = self._tool(self._tokenizer.decode(block))
                if result is not None:
                    return [self._output_start, *self._tokenizer.encode(result), self._output_end]
        elif self._block is not None:
            self._block.append(token)
        return []

    def copy(self) -> ToolMachine:
        """A machine in the same state that goes on independently."""
        other = ToolMachine.__new__(ToolMachine)
        other.__dict__ = self.__dict__ | {"_block": None if self._block is None else list(self._block)}
        return other
