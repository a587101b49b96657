"""Plot: the curves of one run or of several, as characters or as a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pynanochat.errors import DataError
from pynanochat.train.chart import Line, Row, lines_chart, y_range
from pynanochat.train.history import Axis, History
from pynanochat.train.quantity import mark, short_mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICTURES = (".png", ".svg", ".pdf")
_PAPER, _INK, _SOFT, _FAINT = "#fbfcfb", "#17211e", "#4c5955", "#dce4e0"
_COLOURS = ("#0f6b5c", "#9a4a10", "#2b5fa3", "#8a2f6b", "#6a7311", "#5b5f66")
_UNITS = (("seconds", 1.0, 180.0), ("minutes", 60.0, 3 * 3600.0), ("hours", 3600.0, float("inf")))


@dataclass(frozen=True)
class Panel:
    """One chart: what it shows, and its lines, each with the number of its run."""

    title: str
    axis: str  # what x counts
    end: float  # of the x axis, which is that of all panels
    lines: tuple[Line, ...]
    runs: tuple[int, ...]


def panels(histories: Sequence[History], axis: Axis = "step", smooth: int | None = None) -> list[Panel]:
    """The training loss of all runs, and below it the bits per byte of those that were evaluated.

    Raises `DataError` where no run has a step yet.
    """
    unit, size = ("training steps" if axis == "step" else "tokens"), 1.0
    if axis == "time":
        longest = max((history.records[-1]["time"] for history in histories if history.records), default=0.0)
        unit, size = next((name, seconds) for name, seconds, most in _UNITS if longest < most)
    made: list[tuple[str, list[tuple[Line, int]]]] = []
    for title, found in (("training loss, nats per token", [history.loss(axis, smooth) for history in histories]),
                         ("validation, bits per byte", [history.bits(axis) for history in histories])):
        known = [(Line(line.name, line.x / size, line.y), run) for run, line in enumerate(found) if line is not None]
        if known:
            made.append((title, known))
    if not made:
        names = ", ".join(history.name for history in histories)
        raise DataError(f"nothing to plot yet: {names[:300]} recorded no step with a loss"
                        + (" and a number of tokens" if axis == "tokens" else ""))
    end = max(float(line.x[-1]) for _, known in made for line, _ in known) or 1.0
    return [Panel(title, unit, end, tuple(line for line, _ in known), tuple(run for _, run in known))
            for title, known in made]


def chart(panel: Panel, width: int, height: int, *, signs: bool) -> list[Row]:
    """A panel as rows of characters, its title and the name of the x axis among them; pieces name their run."""
    rows = lines_chart(panel.lines, panel.end, width, height, x_text=_x_text(panel.axis), signs=signs)
    coloured: list[Row] = [[(text, None if line is None else panel.runs[line]) for text, line in row] for row in rows]
    return [[(panel.title, None)], *coloured, [(f"{panel.axis:>{width}}", None)]]


def draw(shown: Sequence[Panel], path: Path) -> None:
    """Write the panels into a picture, one below the other, its format that of the name.

    Raises `DataError` for a name of another format, without matplotlib, or where it cannot be written.
    """
    if path.suffix.lower() not in PICTURES:
        raise DataError(f"{path} is no picture that can be written; expected a name that ends in {', '.join(PICTURES)}")
    try:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise DataError("a picture needs matplotlib; run: pip install 'pynanochat[plot]', or leave --out out for a "
                        "chart in the terminal") from None
    settings: Any = {"font.family": [_font()], "font.size": 9.0, "svg.fonttype": "none", "axes.unicode_minus": True}
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(7.2, 3.1 * len(shown)), dpi=200, facecolor=_PAPER, layout="constrained")
        FigureCanvasAgg(figure)
        every = figure.subplots(len(shown), 1, squeeze=False)[:, 0]
        for panel, axes in zip(shown, every, strict=True):
            _draw_panel(panel, axes)
        try:
            figure.savefig(path)
        except OSError as error:
            raise DataError(f"{path} cannot be written: {error.strerror or error}") from None


def _draw_panel(panel: Panel, axes: Axes) -> None:
    axes.set_facecolor(_PAPER)
    for run, line in zip(panel.runs, panel.lines, strict=True):
        few = len(line.x) <= 30
        axes.plot(line.x, line.y, color=_COLOURS[run % len(_COLOURS)], linewidth=1.2, label=line.name,
                  linestyle=("-", "--", ":")[run // len(_COLOURS) % 3], marker="o" if few else None, markersize=2.5,
                  solid_joinstyle="round", clip_on=True)
    low, high = y_range(panel.lines)
    axes.set_ylim(low - 0.06 * (high - low), high + 0.06 * (high - low))
    axes.set_xlim(-0.01 * panel.end, 1.01 * panel.end)
    axes.set_title(panel.title, loc="left", fontsize=10, color=_INK, fontweight="medium")
    axes.set_xlabel(panel.axis, loc="right", color=_SOFT)
    axes.grid(axis="y", color=_FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(_FAINT)
    axes.tick_params(colors=_SOFT, length=0)
    text = _x_text(panel.axis)
    axes.xaxis.set_major_formatter(lambda value, _: text(value, axes.get_xticks().tolist()))
    if len(panel.lines) > 1:
        axes.legend(frameon=False, labelcolor=_INK, loc="upper right", handlelength=1.4)


def _x_text(axis: str) -> Callable[[float, list[float]], str]:
    return short_mark if axis == "tokens" else mark


def _font() -> str:
    """The project's typeface where it is installed."""
    from matplotlib import font_manager

    return "Inter" if "Inter" in font_manager.get_font_names() else "DejaVu Sans"
