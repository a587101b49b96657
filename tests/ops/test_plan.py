"""Plans: what is recorded, that nothing in memory is overwritten while it is needed, and that a plan is plain data."""

from __future__ import annotations

import json

import pytest

from pynanochat.config import GPTConfig
from pynanochat.generation import RUST_PORT
from pynanochat.ops.allocate import numbers
from pynanochat.ops.plan import Plan, Value, describe
from pynanochat.ops.record import plan_of
from pynanochat.quantize.quantizer import matrices

SMALL = {"n_layer": 4, "n_head": 4, "n_kv_head": 2, "n_embd": 128, "vocab_size": 256, "sequence_len": 256}
CONFIGS = {
    "newest": GPTConfig(**SMALL),
    "oldest": GPTConfig(**SMALL, window_pattern=None, lambdas=False, value_embeds=False, smear=False, backout=False,
                        qk_scale=1.0),
    "bigram": GPTConfig(**SMALL, bigram=True),
    "port": GPTConfig(**SMALL, **RUST_PORT),
}
each = pytest.mark.parametrize("name", CONFIGS)


def plan(name: str, quantised: bool) -> Plan:
    cfg = CONFIGS[name]
    return plan_of(cfg, matrices(cfg) if quantised else ())


@each
@pytest.mark.parametrize("quantised", [False, True])
def test_a_plan_is_json(name: str, quantised: bool) -> None:
    made = plan(name, quantised)
    assert Plan.from_dict(json.loads(json.dumps(made.to_dict()))) == made
    text = "\n".join(describe(made))
    assert text.count("linear(") == 6 * 4 + 1
    assert ("round(" in text) == quantised


@each
@pytest.mark.parametrize("quantised", [False, True])
def test_every_value_is_there_when_it_is_read(name: str, quantised: bool) -> None:
    """Replayed over a map of the arena that remembers who wrote each number last."""
    made = plan(name, quantised)
    memory = {rows: [None] * width for rows, width in made.widths.items()}

    def cells(buffer: int) -> tuple[list[int | None], range]:
        kept = made.buffers[buffer]
        return memory[kept.rows], range(made.places[buffer], made.places[buffer] + numbers(kept))

    for wave in made.waves:
        calls = made.calls[wave.first : wave.end]
        assert {made.buffers[call.out.buffer].rows for call in calls if call.out} <= {wave.rows}
        filled: set[int] = set()
        for call in calls:
            if call.out is not None and call.out.buffer != made.logits:
                arena, places = cells(call.out.buffer)
                for place in places:
                    assert arena[place] not in filled, "two values of a wave share memory"
                    arena[place] = call.out.buffer
                filled.add(call.out.buffer)
        for call in calls:  # at the wave's end all that its calls read is still whole
            for buffer in call.reads():
                arena, places = cells(buffer)
                assert all(arena[place] == buffer for place in places), describe(made)
            if wave.cut != "rows":
                assert not filled & set(call.reads()), "what threads share out needs a wave of its own"
    assert any(call.out == Value(made.logits) for call in made.calls)


@each
def test_linears_take_over_what_follows(name: str) -> None:
    made = plan(name, False)
    linears = [call for call in made.calls if call.op == "linear"]
    names = [str(call.args["w"].tensor) for call in linears]
    by_name = dict(zip(names, linears, strict=True))
    for layer in range(4):
        block = f"transformer.h.{layer}."
        assert by_name[f"{block}mlp.c_fc.weight"].args["relu2"] == 1
        assert isinstance(by_name[f"{block}mlp.c_proj.weight"].args["add"], Value)
        assert isinstance(by_name[f"{block}attn.c_proj.weight"].args["add"], Value)
    assert by_name["lm_head.weight"].args["cap"] == CONFIGS[name].softcap
    assert by_name["lm_head.weight"].args.get("clip") == CONFIGS[name].logit_clip
    assert by_name["lm_head.weight"].args["w"].rows == 256
    assert not any(call.op in ("relu2", "softcap", "clip") for call in made.calls)
    for matrix in ("c_q", "c_k", "c_v"):
        assert by_name[f"transformer.h.0.attn.{matrix}.weight"].args.get("clip") == CONFIGS[name].qkv_clip
    assert made.widths["N"] < sum(numbers(b) for b in made.buffers) / 3, "memory is used again"
