"""Progress: a run as it goes, a view that stays in place on a terminal and plain lines anywhere else."""

from __future__ import annotations

import atexit
import os
import sys
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from pynanochat.train.chart import columns_chart
from pynanochat.train.metrics import Record
from pynanochat.train.quantity import count, duration, level
from pynanochat.train.sinks import Sink
from pynanochat.train.standing import Standing

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.text import Text

_DRAW_SECONDS = 0.1  # between two drawings, so that fast steps lose no time
_LINE_SECONDS = 10.0  # of training between two lines, at least
_CURVE_ROWS, _SAMPLE_ROWS = 4, 3
_ROOM = 18  # lines of a terminal below which there is neither curve nor sample


class Progress:
    """A sink that shows the records of a run of `steps` steps on a stream (None: stderr).

    Leave it by `close`, or use it in a `with` block: the cursor is hidden meanwhile. What other code prints appears
    above the view.
    """

    def __init__(
        self, title: str, steps: int | None = None, stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        stream = sys.stderr if stream is None else stream
        self._standing = Standing(steps)
        animated = stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")
        self._shown: Sink = (_View(title, self._standing, stream, clock) if animated
                             else _Lines(self._standing, stream))

    def recall(self, records: Iterable[Record]) -> None:
        """Take what earlier sessions of the run recorded: the curve and the best evaluation go on from there."""
        for record in records:
            self._standing.take(record, earlier=True)

    def write(self, record: Record) -> None:
        """Show what a record adds."""
        self._standing.take(record)
        self._shown.write(record)

    def close(self) -> None:
        """Leave the last state on the screen, and the terminal as it was."""
        self._shown.close()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class _Lines:
    """A line now and then, and one for everything that is no step."""

    def __init__(self, standing: Standing, stream: TextIO) -> None:
        self._standing, self._stream = standing, stream
        self._said: float | None = None  # when the last line of a step came, in seconds of training

    def write(self, record: Record) -> None:
        now = self._standing
        if record["kind"] != "step":
            print(_news(record, now), file=self._stream, flush=True)
        elif self._due():
            self._said = now.seconds
            loss, _, speed, left, rate, _, peak, *_ = _facts(now)
            parts = filter(None, (_place(now), loss, speed, peak, rate, left))
            print("  ".join(parts), file=self._stream, flush=True)

    def close(self) -> None:
        pass

    def _due(self) -> bool:
        now = self._standing
        apart = max(_LINE_SECONDS, now.seconds / 100)  # hours make no thousands of lines
        return self._said is None or now.seconds - self._said >= apart or now.step == now.steps


class _View:
    """A few lines that stay where they are, drawn by whoever writes: there is no thread to leave behind."""

    def __init__(self, title: str, standing: Standing, stream: TextIO, clock: Callable[[], float]) -> None:
        from rich.console import Console
        from rich.live import Live

        self._title, self._standing, self._clock = _printable(title), standing, clock
        self._console: Console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._live = Live(console=self._console, auto_refresh=False, redirect_stdout=sys.stdout.isatty(),
                          redirect_stderr=sys.stderr.isatty())
        self._drawn: float | None = None
        self._closed = False

    def write(self, record: Record) -> None:
        if self._closed:
            return
        if not self._live.is_started:
            atexit.register(self.close)
            self._live.start()
        if record["kind"] == "eval" or (record["kind"] == "event" and record.get("event") != "save"):
            self._console.print(_news(record, self._standing), style="dim")
        now = self._clock()
        if self._drawn is None or record["kind"] != "step" or now - self._drawn >= _DRAW_SECONDS:
            self._drawn = now
            self._live.update(self._picture(), refresh=True)

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self.close)
        if self._live.is_started:
            try:
                self._live.update(self._picture(), refresh=True)
            finally:
                self._live.stop()

    def _picture(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        now, width = self._standing, self._console.width
        rows = [self._head(width), self._bar(width)]
        facts = list(_facts(now))
        across = 4 if width >= 72 else 2
        room = width // across
        for start in range(0, len(facts), across):
            texts = "".join(f"{text[:room - 1]:<{room}}" for text in facts[start : start + across])
            rows.append(Text(texts, style="" if start == 0 else "dim"))
        rows = [row for row in rows if row.plain.strip()]
        if self._console.height >= _ROOM:
            rows += self._curve(width) + self._sample(width)
        for row in rows:
            row.no_wrap, row.overflow = True, "ellipsis"
        return Group(*rows)

    def _head(self, width: int) -> Text:
        from rich.text import Text

        place = _place(self._standing)
        title = Text(self._title, style="bold", no_wrap=True)
        title.truncate(max(width - len(place) - 2, 8), overflow="ellipsis")
        return Text.assemble(title, " " * max(width - title.cell_len - len(place), 1), place)

    def _bar(self, width: int) -> Text:
        from rich.text import Text

        now = self._standing
        done = round(width * min(now.step / now.steps, 1.0)) if now.steps else 0
        return Text.assemble(("━" * done, "cyan"), ("─" * (width - done), "dim"))

    def _curve(self, width: int) -> list[Text]:
        from rich.text import Text

        values = self._standing.curve
        if len(values) < 2:
            return []
        rows = columns_chart(values, width, _CURVE_ROWS)
        return [Text("loss so far", style="dim"), *(Text(row, style="cyan") for row in rows)]

    def _sample(self, width: int) -> list[Text]:
        from rich.text import Text

        if self._standing.sample is None:
            return []
        prompt, said, step = self._standing.sample
        text = Text(_printable(prompt + said))
        text.stylize("bold", 0, len(_printable(prompt)))
        lines = text.wrap(self._console, width)
        shown = list(lines[:_SAMPLE_ROWS])
        if len(lines) > _SAMPLE_ROWS:
            shown[-1].truncate(width - 2)
            shown[-1].append(" …", style="dim")
        return [Text(f"sample at step {step:,}", style="dim"), *shown]


def _place(now: Standing) -> str:
    if not now.steps:
        return f"step {now.step:,}"
    return f"step {now.step:,} of {now.steps:,}  {100 * now.step / now.steps:.0f} %"


def _facts(now: Standing) -> Iterable[str]:
    """Twelve short texts, four in a row, empty where nothing is known."""
    left = now.seconds_left
    yield f"loss {level(now.loss)}" if now.loss is not None else ""
    yield f"val {now.bits[0]:.3f} bits/byte" if now.bits is not None else ""
    yield f"{now.speed:,.0f} tokens/s" if now.speed is not None else ""
    yield f"{duration(left)} left" if left is not None and now.step != now.steps else ""
    yield f"rate ×{level(now.rate)}" if now.rate is not None else ""
    yield f"best {now.best[0]:.3f} at {now.best[1]:,}" if now.best is not None else ""
    yield f"{now.peak_share:.0%} of peak" if now.peak_share is not None else ""
    yield f"{duration(now.seconds)} so far"
    yield f"gradient {level(now.gradient)}" if now.gradient is not None else ""
    yield f"saved at {now.saved:,}" if now.saved is not None else ""
    yield f"{count(now.tokens)} tokens" if now.tokens is not None else ""
    yield f"{now.bad} skipped" if now.bad else f"epoch {now.epoch:.2f}" if now.epoch is not None else ""


def _news(record: Record, now: Standing) -> str:
    """A line about a record that is no step."""
    step, kind = f"step {record['step']:,}", record["kind"]
    if kind == "eval" and now.bits is not None and now.bits[1] == record["step"]:
        best = ", the best so far" if now.best == now.bits else ""
        return f"{step}  val {now.bits[0]:.3f} bits/byte{best}"
    if kind == "sample":
        return f"{step}  sample: {_printable(str(record.get('prompt', '')) + str(record.get('text', '')))}"
    return f"{step}  {_printable(str(record.get('text') or record.get('event') or kind))}"


def _printable(text: str) -> str:
    """The text in one line, with a sign for whatever would command a terminal."""
    return "".join(one if one.isprintable() else "�" for one in " ".join(text.split()))
