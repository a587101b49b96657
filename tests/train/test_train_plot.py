"""nanochat train plot: curves, marks and pictures of runs that nobody trained."""

import json

import numpy as np
import pytest
from training_runs import make_run, records

from pynanochat.cli import terminal, train_plot
from pynanochat.errors import DataError, RequestError
from pynanochat.train.chart import Line, columns_chart, lines_chart, y_range
from pynanochat.train.history import History
from pynanochat.train.metrics import MetricsFile
from pynanochat.train.quantity import count, duration, level, mark, marks, short_mark


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Three runs, the last with the name of the first."""
    folder = tmp_path_factory.mktemp("runs")
    made = []
    for name, steps, floor in (("tiny", 300, 2.0), ("wide", 200, 2.4), ("again/tiny", 50, 1.5)):
        run = make_run(folder / name)
        file = MetricsFile(run / "metrics.jsonl")
        for record in records(steps, floor=floor):
            file.write(record)
        file.close()
        made.append(run)
    return made


def line(x, y, name="line"):
    return Line(name, np.array(x, float), np.array(y, float))


def text(rows):
    return "\n".join("".join(piece for piece, _ in row) for row in rows)


def test_a_history(runs):
    history = History.of(runs[0])
    assert history.name == "tiny"
    plain = history.loss(smooth=1)
    assert (len(plain.x), plain.x[0], plain.x[-1]) == (300, 1, 300)
    assert plain.y[0] == records(300)[1]["loss"]
    smooth = history.loss(smooth=20)
    assert smooth.y[0] == plain.y[0]
    assert smooth.y[150] == pytest.approx(plain.y[140:161].mean())
    assert smooth.y[-1] == pytest.approx(plain.y[-11:].mean())
    assert history.loss("tokens", 1).x[-1] == 300_000
    assert history.loss("time", 1).x[-1] == 150
    assert history.bits("tokens").x.tolist() == [10_000 * n for n in range(1, 31)]
    summary = history.summary()
    assert summary | {"loss": 0, "bpb": 0, "best_bpb": 0} == {
        "name": "tiny", "step": 300, "seconds": 150.0, "loss": 0, "tokens": 300_000, "tokens_per_second": 2000.0,
        "mfu": 0.25, "bpb": 0, "best_bpb": 0, "best_step": 300}


def test_values_that_are_none_are_left_out():
    made = History("odd", [
        {"kind": "step", "step": 1, "time": 1.0, "loss": None, "bad": True}, {"kind": "step", "step": 2, "time": 2.0},
        {"kind": "step", "step": 3, "time": 3.0, "loss": 2.0}, {"kind": "eval", "step": 3, "time": 3.0, "bpb": "1"}])
    assert made.loss().x.tolist() == [3]
    assert made.loss("tokens") is None
    assert made.bits() is None
    assert made.summary()["best_bpb"] is None


def test_a_line_in_dots_and_in_signs():
    falling = line([0, 1, 2, 3], [4, 3, 2, 1])
    assert text(lines_chart([falling], 3.0, 24, 5)).split("\n") == [
        " 4┤⠉⠒⠤⣀⡀                ",
        "  │    ⠈⠑⠢⢄⡀            ",
        "  │        ⠈⠑⠢⢄⡀        ",
        " 2┤            ⠈⠑⠢⢄⡀    ",
        "  │                ⠈⠉⠒⠤⣀",
        "  └─────────────────────",
        "   0            2"]
    assert text(lines_chart([falling], 3.0, 24, 5, signs=True)).split("\n")[1] == "  │    •••••            "


@pytest.mark.parametrize("width", [20, 80, 200])
@pytest.mark.parametrize("signs", [False, True])
def test_charts_fit(width, signs):
    dice = np.random.default_rng(1)
    lines = [line(np.arange(1, 5001), 2 + np.exp(-np.arange(5000) / 500) + 0.1 * dice.standard_normal(5000)),
             line([7], [2.5]), line([1, 5000], [3, 3])]
    rows = lines_chart(lines, 5000.0, width, 8, signs=signs)
    assert len(rows) == 10
    assert all(len("".join(piece for piece, _ in row)) <= width for row in rows)
    owners = {owner for row in rows for _, owner in row}
    assert {None, 0, 2} <= owners
    assert ("•" in text(rows)) == signs


def test_a_chart_shows_the_settled_part():
    x = np.arange(1, 1001)
    low, high = y_range([line(x, np.where(x < 10, 50.0, 2.0 + x / 1000))])
    assert low < 2.1
    assert high < 3.1
    assert y_range([line([1, 2], [9, 3])]) == (3, 9)  # of a few points none is left out
    low, high = y_range([line([1, 2], [3, 3])])
    assert low < 3 < high
    assert y_range([line([5], [0])]) == (-1, 1)


def test_columns():
    assert columns_chart(np.array([8.0, 4.0, 0.0]), 3, 1) == ["█▅▁"]
    assert columns_chart(np.array([3.0, 3.0]), 4, 2) == ["    ", "▁▁▁▁"]
    rows = columns_chart(np.linspace(9, 1, 1000), 40, 4)
    assert {len(row) for row in rows} == {40}
    assert rows[0].rstrip() < rows[3].rstrip()


def test_quantities():
    assert [count(n) for n in (0, 999, 9999, 12_345, 999_600, 4.13e6, 2.5e9)] == [
        "0", "999", "9,999", "12.3 k", "1.00 M", "4.13 M", "2.50 G"]
    assert [duration(s) for s in (-1, 0.4, 59.6, 200, 3600, 4000, 100_000)] == [
        "0 s", "0 s", "1 min", "3 min 20 s", "1 h", "1 h 6 min", "1 d 3 h"]
    assert [level(x) for x in (0, 2.3456, 0.0001, 12345.0)] == ["0.000", "2.346", "1.00e-04", "1.23e+04"]
    assert marks(0, 10, 5) == [0, 5, 10]
    assert [mark(x, marks(0.71, 0.99, 4)) for x in marks(0.71, 0.99, 4)] == ["0.8", "0.9"]
    assert marks(3, 3, 5) == [3]
    assert [short_mark(x, marks(0, 3.2e7, 4)) for x in marks(0, 3.2e7, 4)] == ["0", "10 M", "20 M", "30 M"]


@pytest.mark.parametrize("low", [0.0, -3.7, 1e-9, 123456.7])
@pytest.mark.parametrize("span", [1e-6, 0.3, 7.0, 9.99e8])
@pytest.mark.parametrize("most", [1, 3, 10])
def test_marks_are_round_and_within(low, span, most):
    made = marks(low, low + span, most)
    assert 1 <= len(made) <= most
    assert all(low - 1e-6 * span <= one <= low + span * (1 + 1e-6) for one in made)


def test_in_the_terminal(runs, capsys, monkeypatch):
    assert train_plot.plot([runs[0]]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "training loss, nats per token" in out
    assert "validation, bits per byte" in out
    assert any(0x2801 <= ord(one) <= 0x28FF for one in out)
    assert "\x1b" not in out
    train_plot.plot(runs, x="tokens")
    out = capsys.readouterr().out
    assert f"• {runs[0]}" in out.replace("\n", "")  # of two runs with the same name the paths are shown
    assert "× wide" in out
    monkeypatch.setattr(terminal, "styled", lambda stream: True)
    monkeypatch.setattr(train_plot, "styled", lambda stream: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    train_plot.plot(runs[:2], x="time")
    out = capsys.readouterr().out
    assert "\x1b[36m━━\x1b[0m tiny" in out
    assert "seconds" in out


def test_as_json(runs, capsys):
    assert train_plot.plot(runs[:2], json=True, smooth=1) == 0
    document = json.loads(capsys.readouterr().out)
    assert [run["name"] for run in document["runs"]] == ["tiny", "wide"]
    loss, bits = document["curves"]
    assert [len(one["x"]) for one in loss["lines"]] == [300, 200]
    assert [one["run"] for one in bits["lines"]] == [0, 1]


def test_what_cannot_be_plotted(runs, tmp_path):
    with pytest.raises(RequestError, match="--smooth"):
        train_plot.plot([runs[0]], smooth=0)
    with pytest.raises(RequestError, match="expected the folder"):
        train_plot.plot([])
    with pytest.raises(DataError, match=r"holds no metrics\.jsonl"):
        train_plot.plot([tmp_path])
    empty = make_run(tmp_path / "new")
    (empty / "metrics.jsonl").touch()
    with pytest.raises(DataError, match="nothing to plot yet: new"):
        train_plot.plot([empty])
    with pytest.raises(DataError, match=r"ends in \.png"):
        train_plot.plot([runs[0]], out=tmp_path / "plot.bmp")


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_picture(runs, tmp_path, capsys, suffix):
    pytest.importorskip("matplotlib")
    file = tmp_path / f"plot.{suffix}"
    assert train_plot.plot(runs, out=file) == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "of 3 runs" in said.err
    data = file.read_bytes()
    if suffix == "png":
        from matplotlib.image import imread

        pixels = imread(file)
        assert pixels.shape[:2] == (1240, 1440)
        assert pixels[0, 0, :3] == pytest.approx([251 / 255, 252 / 255, 251 / 255], abs=0.01)
        assert pixels[..., :3].min() < 0.3
    else:
        assert b"training loss, nats per token" in data
    with pytest.raises(DataError, match="cannot be written"):
        train_plot.plot(runs, out=tmp_path / "no" / "plot.png")


def test_without_matplotlib(runs, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(DataError, match=r"pip install 'pynanochat\[plot\]'"):
        train_plot.plot([runs[0]], out=tmp_path / "plot.png")
