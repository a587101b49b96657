"""nanochat bench: one JSON line last, and with --json alone."""

import json

import pytest

from pynanochat.bench.effort import Effort


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    least = Effort(steps=3, sweep_steps=2, repeats=1, prompt=20, start=8, batches=(1, 2), contexts=(16, 32),
                   bandwidth_repeats=1)
    monkeypatch.setattr(Effort, "quick", lambda: least)
    monkeypatch.setattr("pynanochat.bench.measurement.read_bandwidth", lambda *_, **__: 1e10)


def test_for_people(call, tiny):
    code, out, err = call("bench", tiny, "--quick", "--backend", "reference")
    assert code == 0
    *lines, last = out.splitlines()
    assert json.loads(last)["model"] == "tiny"
    for part in ("decode", "prefill", "first token", "memory reads", "10 GB/s", "sequences together", "context"):
        assert any(part in line for line in lines), part
    assert lines[0].startswith("tiny: G4, ")
    assert "Random weights" not in out
    assert "█" in out
    assert max(map(len, lines[3:])) <= 80
    assert "prefill of 16 tokens" in err


def test_for_programs(call):
    code, out, err = call("bench", "--depth", "1", "--quantize", "q4", "--quick", "--json", "--batches", "3",
                          "--backend", "torch")
    document = json.loads(out)
    assert (code, err, out.count("\n")) == (0, "", 1)
    assert (document["model"], document["random_weights"], document["dtype"]) == ("d1", True, "float32")
    assert [point["batch"] for point in document["batch_sweep"]] == [3]


def test_random_weights_are_told(call):
    assert "Random weights" in call("bench", "--depth", "1", "--quick", "--backend", "reference")[1]
