"""nanochat train plot: the loss and the evaluations of one run or of several, in the terminal or as a picture."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from pynanochat.cli.control_characters import visible
from pynanochat.cli.options import Json
from pynanochat.cli.terminal import console, emit, say, styled, table, terminal_size
from pynanochat.errors import RequestError

if TYPE_CHECKING:
    from pynanochat.train.chart import Row
    from pynanochat.train.history import History
    from pynanochat.train.plot import Panel

_COLOURS = ("cyan", "magenta", "green", "red", "blue", "yellow")  # which light and dark terminals both show
_WIDTH, _HEIGHT = 80, 24  # where there is no terminal


def plot(
    runs: Annotated[list[Path], Parameter(help="Folders of training runs.", negative=())],
    /,
    *,
    out: Annotated[Path | None, Parameter(
        help="Write a picture instead, .png, .svg or .pdf; needs matplotlib.")] = None,
    x: Annotated[Literal["step", "tokens", "time"], Parameter(help="What the curves go over.")] = "step",
    smooth: Annotated[int | None, Parameter(
        help="Show the mean of so many steps around each one; 1 is none, a hundredth of them if left out.")] = None,
    json: Json = False,
) -> int:
    """Show how runs went: training loss and evaluations, several runs in one chart."""
    from pynanochat.train.history import History
    from pynanochat.train.plot import draw, panels

    if smooth is not None and smooth < 1:
        raise RequestError(f"--smooth is {smooth}; expected a number of steps, 1 or more")
    if not runs:
        raise RequestError("expected the folder of a training run, or several")
    histories = _named([History.of(run.expanduser()) for run in runs], runs)
    shown = panels(histories, x, smooth)
    if out is not None:
        draw(shown, out.expanduser())
    if json:
        emit({"x": x, "runs": [history.summary() for history in histories],
              "curves": [_described(panel) for panel in shown]} | ({} if out is None else {"picture": str(out)}))
    elif out is not None:
        say(f"{out}: {' and '.join(panel.title for panel in shown)} of {len(histories)} "
            f"run{'s' * (len(histories) > 1)}", "dim")
    else:
        _show(histories, shown)
    return 0


def _named(histories: list[History], runs: list[Path]) -> list[History]:
    """The same with the whole path as name where folders have the same one."""
    from dataclasses import replace

    names = [history.name for history in histories]
    return [replace(history, name=visible(str(run) if names.count(history.name) > 1 else history.name))
            for history, run in zip(histories, runs, strict=True)]


def _described(panel: Panel) -> dict[str, Any]:
    return {"title": panel.title, "lines": [
        {"run": run, "name": line.name, "x": line.x.tolist(), "y": line.y.tolist()}
        for run, line in zip(panel.runs, panel.lines, strict=True)]}


def _show(histories: list[History], shown: list[Panel]) -> None:
    from pynanochat.train.plot import chart

    columns, lines = terminal_size() or (_WIDTH, _HEIGHT)
    height = min(max((lines - 8) // len(shown) - 4, 6), 16)
    signs = len(histories) > 1 and not styled(sys.stdout)
    out = console()
    for panel in shown:
        for place, row in enumerate(chart(panel, min(columns, 120), height, signs=signs)):
            out.print(_painted(row, bold=place == 0), no_wrap=True, overflow="crop")
    if len(histories) > 1:
        out.print(_legend([history.name for history in histories], signs))
    out.print(_table(histories))


def _painted(row: Row, *, bold: bool = False) -> Any:
    from rich.text import Text

    text = Text()
    for piece, run in row:
        text.append(piece, style="bold" if bold else "dim" if run is None else _COLOURS[run % len(_COLOURS)])
    return text


def _legend(names: list[str], signs: bool) -> Any:
    from rich.text import Text

    from pynanochat.train.chart import SIGNS

    text = Text()
    for run, name in enumerate(names):
        text.append(SIGNS[run % len(SIGNS)] if signs else "━━", style=_COLOURS[run % len(_COLOURS)])
        text.append(f" {name}   ")
    return text


def _table(histories: list[History]) -> Any:
    from pynanochat.train.quantity import count, duration

    rows = []
    for history in histories:
        now = history.summary()
        loss, best, tokens, speed = (now[name] for name in ("loss", "best_bpb", "tokens", "tokens_per_second"))
        rows.append([
            now["name"], f"{now['step']:,}", "" if loss is None else f"{loss:.3f}",
            "" if best is None else f"{best:.3f} at {now['best_step']:,}", "" if tokens is None else count(tokens),
            duration(now["seconds"]), "" if speed is None else f"{speed:,.0f}"])
    return table(("run", "step", "loss", "best bits/byte", "tokens", "time", "tokens/s"), rows, right=range(1, 7))
