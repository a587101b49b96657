"""MarkdownWriter: an answer on a terminal, shown as the Markdown that it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pynanochat.cli.answer import AnswerWriter
from pynanochat.cli.keyboard import SilentKeyboard
from pynanochat.cli.markdown.cells import Line, Run, Size
from pynanochat.cli.markdown.document import Document
from pynanochat.cli.markdown.screen import Screen
from pynanochat.cli.terminal import styled, terminal_size

_LEAST = Size(10, 4)  # cells of a terminal on which Markdown is shown
_BLOCKS = 0x100000  # the first character that stands for a tool block: a plane for private use, which nobody uses


class MarkdownWriter(AnswerWriter):
    """Draws the end of the answer again where Markdown has changed it; keys that are pressed meanwhile do not show."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self._size = size
        self._blocks: dict[str, Run] = {}
        self._document = Document(size, self._blocks)
        self._screen = Screen(size)
        self._keyboard = SilentKeyboard()

    def __enter__(self) -> MarkdownWriter:
        self._keyboard.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.end()
        finally:
            self._keyboard.__exit__()

    def end(self) -> None:
        """End the answer and its line."""
        self._enter("text", is_end=True)
        self._show(self._visible.end())
        self._draw(self._document.end(), [()])

    def _begin_block(self) -> None:
        block = chr(_BLOCKS + len(self._blocks))
        self._blocks[block] = Run("", "2")
        self._push(block)

    def _show(self, text: str, style: str = "") -> None:
        if self._kind == "text":
            self._push("".join("�" if ord(one) >= _BLOCKS else one for one in text))
        else:
            block, before = self._blocks.popitem()
            self._blocks[block] = Run(before.text + " ".join(text.replace("\n", " ⏎ ").split("\t")), before.style)
            self._push("")

    def _push(self, text: str) -> None:
        self._size = Size(*(terminal_size() or self._size))
        if self._document.between_blocks:
            self._document.size = self._size
        settled = self._document.push(text)
        self._draw(settled, self._document.open())

    def _draw(self, settled: Sequence[Line], opened: Sequence[Line]) -> None:
        self._write(self._screen.draw(settled, opened, self._size))


def writer(*, markdown: bool, colours: bool) -> AnswerWriter:
    """Shows an answer as Markdown where that is wanted and the terminal can, else as it is."""
    size = Size(*(terminal_size() or (0, 0))) if markdown and not colours and styled(sys.stdout) else Size(0, 0)
    if size.width >= _LEAST.width and size.height >= _LEAST.height:
        return MarkdownWriter(size)
    return AnswerWriter(colours=colours)
