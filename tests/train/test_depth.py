"""The depth dial against a computation written out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import small_training

from pynanochat.cli import main
from pynanochat.config import GPTConfig
from pynanochat.errors import TrainingError
from pynanochat.train import recipes
from pynanochat.train.config import TrainConfig
from pynanochat.train.depth import depth_config, scaling_parameters

# Of a depth L: width C = 64 L, already a multiple of 128 for even L; each block has 4 C C in attention and 8 C C in its
# MLP; every second block a gate of C / 128 heads by 12; the head 32768 rows of C.
WIDTH = {12: 768, 20: 1280}
PARAMETERS = {
    12: 12 * 12 * 768 * 768 + 6 * 6 * 12 + 32768 * 768,  # 110,100,912
    20: 20 * 12 * 1280 * 1280 + 10 * 10 * 12 + 32768 * 1280,  # 435,160,240
}


@pytest.mark.parametrize("depth", [12, 20])
def test_what_is_counted(depth: int) -> None:
    cfg = depth_config(depth).network
    assert (cfg.n_layer, cfg.n_embd, cfg.n_head, cfg.n_kv_head) == (depth, WIDTH[depth], depth // 2, depth // 2)
    assert scaling_parameters(cfg) == PARAMETERS[depth]


def test_rows_of_padding_count() -> None:
    assert scaling_parameters(GPTConfig(vocab_size=600)) == scaling_parameters(GPTConfig(vocab_size=640))


def test_depth_12_is_where_everything_was_tuned() -> None:
    config = depth_config(12)
    assert config.batch_tokens == 524_288
    assert config.steps == 12 * 110_100_912 // 524_288 == 2520
    rates = (config.embedding_lr, config.unembedding_lr, config.matrix_lr, config.scalar_lr, config.weight_decay)
    assert rates == (0.3, 0.008, 0.02, 0.5, 0.28)


def test_depth_20() -> None:
    config = depth_config(20)
    tokens = 12 * 435_160_240
    best = 2**19 * (tokens / (12 * 110_100_912)) ** 0.383  # 887,992
    assert 2**19.5 < best < 2**20.5
    assert config.batch_tokens == 2**20
    assert config.steps == tokens // 2**20 == 4980
    scale = math.sqrt(2)
    assert config.matrix_lr == pytest.approx(0.02 * scale)
    assert config.embedding_lr == pytest.approx(0.3 * scale)
    assert config.unembedding_lr == pytest.approx(0.008 * scale)
    assert config.scalar_lr == pytest.approx(0.5 * scale)
    assert config.weight_decay == pytest.approx(0.28 * scale * 110_100_912 / 435_160_240)


def test_width_is_rounded_up_to_whole_heads() -> None:
    cfg = depth_config(3).network
    assert (cfg.n_embd, cfg.n_head) == (256, 2)


@pytest.mark.parametrize("depth", range(1, 33))
def test_every_depth_makes_a_run(depth: int) -> None:
    config = depth_config(depth, vocab_size=4096, sequence_len=512)
    assert config.batch_tokens.bit_count() == 1
    tokens = 12 * scaling_parameters(config.network)
    assert 0 <= tokens - config.steps * config.batch_tokens < config.batch_tokens


@pytest.mark.parametrize("sizes", [
    {"depth": 0}, {"depth": True}, {"depth": 12, "ratio": 0}, {"depth": 12, "ratio": "1"}, {"depth": 12, "head_dim": 0},
    {"depth": 12, "sequence_len": -5}], ids=str)
def test_sizes_that_are_none(sizes: dict[str, int]) -> None:
    with pytest.raises(TrainingError, match="expected a"):
        depth_config(**sizes)


def test_what_the_dial_can_be_told() -> None:
    config = recipes.depth(6, vocab_size=4096, sequence_len=512, head_dim=64, aspect_ratio=32, window_pattern="SL",
                           ratio=24.0, steps=7)
    cfg = config.network
    assert (cfg.sequence_len, cfg.n_head, cfg.n_embd, cfg.window_pattern) == (512, 3, 192, "SL")
    assert config.steps == 7
    assert recipes.depth(6, ratio=24.0).steps == depth_config(6, ratio=24.0).steps > depth_config(6).steps


def test_the_dial_on_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    stages = pytest.importorskip("pynanochat.train.stages")
    asked: list[TrainConfig] = []

    def pretrain(config: TrainConfig, **_: object) -> None:
        asked.append(config)
        raise TrainingError("enough")

    monkeypatch.setattr(stages, "pretrain", pretrain)
    data = small_training.data(tmp_path / "shards")
    command = ["train", "pretrain", "--data", str(data), "--out", str(tmp_path / "run")]
    dial = ["--max-seq-len", "256", "--target-param-data-ratio", "3", "--num-iterations", "5"]
    assert main([*command, "--depth", "2", *dial]) == 2
    assert "enough" in capsys.readouterr().err
    (config,) = asked
    assert (config.network.sequence_len, config.steps) == (256, 5)
    assert config.matrix_lr == depth_config(2, vocab_size=config.network.vocab_size, ratio=3.0).matrix_lr
    assert main([*command, "--recipe", "tiny", *dial]) == 2
    assert "beside --recipe" in capsys.readouterr().err
