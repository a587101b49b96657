"""Text that others wrote, for a terminal: signs in place of the characters that would command it."""

from __future__ import annotations

_SIGNS = (
    {number: 0x2400 + number for number in range(0x20)}  # ␀ ␁ ␂ and so on
    | {0x7F: 0x2421} | dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
)
for _kept in "\t\n":
    del _SIGNS[ord(_kept)]


def visible(text: str) -> str:
    """The text with a sign for every control character but tabs and line ends; \\r\\n is a line end."""
    return text.replace("\r\n", "\n").translate(_SIGNS)


class Visible:
    """The same for text that comes in pieces."""

    def __init__(self) -> None:
        self._held = ""  # \r, which may begin a line end

    def push(self, text: str) -> str:
        """What is certain of the text so far, less what was given before."""
        text, self._held = self._held + text, ""
        if text.endswith("\r"):
            text, self._held = text[:-1], "\r"
        return visible(text)

    def end(self) -> str:
        """The rest."""
        rest, self._held = self._held, ""
        return visible(rest)
