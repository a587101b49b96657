"""The bundled model's way from nothing, in small: it goes on where it was left, and ends in a model that answers."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("rustbpe")

import pynanochat as nc
from pynanochat.config import GPTConfig
from pynanochat.errors import TrainingError
from pynanochat.synthetic import mixture
from pynanochat.train import bundled, recipes

SMALL = {"steps": 3, "batch_tokens": 1024, "rows": 2, "eval_tokens": 1024, "save_every": 0, "eval_every": 0,
         "dtype": "float32", "compile": "off", "sample_prompts": ()}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    network = GPTConfig(sequence_len=512, vocab_size=400, n_layer=2, n_head=2, n_kv_head=1, n_embd=32,
                        window_pattern="L")
    monkeypatch.setattr(bundled, "VOCAB_SIZE", 400)
    monkeypatch.setattr(bundled, "_TOKENIZER_SAMPLES", 150)
    original = recipes.bundled
    monkeypatch.setattr(recipes, "bundled", lambda **changes: original(**({"network": network} | {
        name: value for name, value in changes.items() if name != "vocab_size"})))


@pytest.mark.usefixtures("small")
def test_from_nothing_to_a_model(tmp_path: Path) -> None:
    said: list[str] = []
    outcome = bundled.make(tmp_path, say=said.append, base=SMALL, sft=SMALL)
    assert outcome.finished
    llm = nc.load(tmp_path / "model")
    assert llm.config.vocab_size == 400
    assert llm.chat(max_tokens=5, seed=0).send("Hello!").usage.prompt_tokens > 3
    before = (tmp_path / "model" / "model.safetensors").read_bytes()
    assert bundled.make(tmp_path, say=said.append, base=SMALL, sft=SMALL).finished
    assert (tmp_path / "model" / "model.safetensors").read_bytes() == before
    with pytest.raises(TrainingError, match=r"has [\d,]+ tokens, the run takes"):
        bundled.make(tmp_path, say=said.append, base=SMALL | {"steps": 3000}, sft=SMALL)


def test_samples_are_the_same_from_one_process_and_from_two() -> None:
    alone = list(itertools.islice(bundled.samples(5), 600))
    assert alone == list(mixture.documents(5, 600))
    assert list(itertools.islice(bundled.samples(5, processes=2), 600)) == alone
