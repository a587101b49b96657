"""The groups are upstream's, in its order, for every network that can be trained."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fixture_files import parity

from pynanochat.config import GPTConfig
from pynanochat.train.config import TrainConfig
from pynanochat.train.parameter_groups import AdamWGroup, Group, MuonGroup, parameter_groups
from pynanochat.weights import tensor_shapes


def groups(cfg: GPTConfig, **settings: Any) -> list[Group]:
    return parameter_groups(cfg, TrainConfig(network=cfg, steps=10, batch_tokens=cfg.sequence_len, **settings))


def test_upstreams_groups_exactly() -> None:
    facts = json.loads((parity("train_g4_head") / "train.json").read_text())
    cfg = GPTConfig(**facts["config"])
    found = groups(cfg, **facts["setup_optimizer_args"])
    assert len(found) == len(facts["param_groups_after_last_step"])
    for group, wanted in zip(found, facts["param_groups_after_last_step"], strict=True):
        assert list(group.names) == wanted["names"]
        assert [list(tensor_shapes(cfg)[name]) for name in group.names] == wanted["shapes"]
        assert group.lr == wanted["initial_lr"]
        if isinstance(group, AdamWGroup):
            assert wanted["kind"] == "adamw"
            assert list(group.betas) == wanted["betas"]
            assert (group.eps, group.weight_decay) == (wanted["eps"], wanted["weight_decay"])
        else:
            assert wanted["kind"] == "muon"
            assert (group.beta2, group.polar_steps) == (wanted["beta2"], wanted["ns_steps"])


@pytest.mark.parametrize("cfg", [
    GPTConfig(n_layer=1),
    GPTConfig(n_layer=3, n_kv_head=2),
    GPTConfig(n_layer=2, smear=False, backout=False, value_embeds=False, lambdas=False),
    GPTConfig(n_layer=2, bigram=True, smear=False, backout=False),
], ids=["one layer", "gqa", "oldest", "bigram"])
def test_every_tensor_is_in_one_group(cfg: GPTConfig) -> None:
    found = groups(cfg)
    names = [name for group in found for name in group.names]
    shapes = tensor_shapes(cfg)
    assert sorted(names) == sorted(shapes)
    assert all(group.names for group in found)
    for group in found:
        if isinstance(group, MuonGroup):
            assert len({shapes[name] for name in group.names}) == 1
            assert len(shapes[group.names[0]]) == 2


def test_rates_go_with_width_and_start() -> None:
    wide, narrow = groups(GPTConfig(n_layer=1, n_embd=768)), groups(GPTConfig(n_layer=1, n_embd=192))
    by_name = [{name: group.lr for group in found for name in group.names} for found in (wide, narrow)]
    assert by_name[0]["lm_head.weight"] == 0.008
    assert by_name[1]["lm_head.weight"] == 0.016
    for name in ("x0_lambdas", "smear_gate.weight", "transformer.h.0.attn.c_q.weight"):
        assert by_name[0][name] == by_name[1][name]
    later = groups(GPTConfig(n_layer=1, n_embd=768), start_lr_frac=0.8)
    assert [group.lr for group in later] == pytest.approx([0.8 * group.lr for group in wide])
