# ruff: noqa: D101, D102
"""Our training step beside plain torch's, side by side in one run; or the memory that the loss takes.

Run: python benchmarks/training.py [--upstream PATH] [--memory] [--dtype auto] [--threads 1] [--rounds 7]

Plain torch is an ordinary nn.Module of the same network (nn.Embedding, linear layers, cross entropy over all logits)
in the same dtype, not compiled, with torch's fused AdamW; PATH is a checkout of karpathy/nanochat, whose own step runs,
too. All start from equal weights and must agree on the loss. Each round asks all of them in a new order, so that a busy
moment of the machine falls on all; rates are medians over CPU seconds, ratios medians of each round's own. --memory
measures the loss and its gradients at a vocabulary of 65,536, each way in a process of its own. A table, one JSON line
last.
"""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from pynanochat.bench.machine import Machine
from pynanochat.bench.memory import Resident
from pynanochat.config import GPTConfig
from pynanochat.distributed.processes import Processes
from pynanochat.train.compiled import speed_up
from pynanochat.train.config import TrainConfig
from pynanochat.train.initialization import initialize
from pynanochat.train.loss import head_loss
from pynanochat.train.network import GPT
from pynanochat.train.optimizer import MuonAdamW, polar_dtype
from pynanochat.train.parameter_groups import parameter_groups
from pynanochat.train.precision import choose
from pynanochat.train.schedule import Schedule

HERE = Path(__file__).parent
CFG = GPTConfig(sequence_len=512, vocab_size=4096, n_layer=6, n_head=4, n_kv_head=2, n_embd=256, window_pattern="L")
AGREE = {torch.float32: 1e-5, torch.bfloat16: 2e-3}  # losses of equal weights, relative
WIDE, LOSS_ROWS = 65_536, 4096  # of --memory


class Linear(nn.Linear):
    """A linear layer in the dtype of what it is given, as upstream's."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs, bias=False)

    def forward(self, x):
        return F.linear(x, self.weight.to(x.dtype))


class Attention(nn.Module):
    def __init__(self, cfg, layer):
        super().__init__()
        self.cfg, kv = cfg, cfg.n_kv_head * cfg.head_dim
        self.c_q, self.c_k, self.c_v = Linear(cfg.n_embd, cfg.n_embd), Linear(cfg.n_embd, kv), Linear(cfg.n_embd, kv)
        self.c_proj = Linear(cfg.n_embd, cfg.n_embd)
        self.ve_gate = Linear(cfg.value_gate_width, cfg.n_kv_head) if cfg.has_value_embed(layer) else None

    def forward(self, x, values, cos, sin):
        cfg, (rows, length, _) = self.cfg, x.shape
        q = self.c_q(x).view(rows, length, cfg.n_head, cfg.head_dim)
        k = self.c_k(x).view(rows, length, cfg.n_kv_head, cfg.head_dim)
        v = self.c_v(x).view(rows, length, cfg.n_kv_head, cfg.head_dim)
        if values is not None:
            gate = cfg.value_gate_gain * torch.sigmoid(self.ve_gate(x[..., : cfg.value_gate_width]))
            v = v + gate[..., None] * values.view_as(v)
        q, k = (norm(turned(t, cos, sin)) * cfg.qk_scale for t in (q, k))
        q, k, v = (t.transpose(1, 2) for t in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return self.c_proj(y.transpose(1, 2).reshape(rows, length, -1))


class MLP(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.c_fc, self.c_proj = Linear(cfg.n_embd, cfg.n_inner), Linear(cfg.n_inner, cfg.n_embd)

    def forward(self, x):
        return self.c_proj(F.relu(self.c_fc(x)).square())


class Block(nn.Module):
    def __init__(self, cfg, layer):
        super().__init__()
        self.attn, self.mlp = Attention(cfg, layer), MLP(cfg)


class PlainGPT(nn.Module):
    """nanochat of July 2026 with windows that see all, as one would write it with torch."""

    def __init__(self, cfg, dtype):
        super().__init__()
        self.cfg, self.dtype = cfg, dtype
        self.transformer = nn.ModuleDict({
            "wte": nn.Embedding(cfg.padded_vocab_size, cfg.n_embd),
            "h": nn.ModuleList(Block(cfg, layer) for layer in range(cfg.n_layer))})
        self.lm_head = Linear(cfg.n_embd, cfg.padded_vocab_size)
        self.value_embeds = nn.ModuleDict({
            str(layer): nn.Embedding(cfg.padded_vocab_size, cfg.n_kv_head * cfg.head_dim)
            for layer in range(cfg.n_layer) if cfg.has_value_embed(layer)})
        self.smear_gate = Linear(cfg.smear_gate_width, 1)
        self.resid_lambdas = nn.Parameter(torch.ones(cfg.n_layer))
        self.x0_lambdas = nn.Parameter(torch.zeros(cfg.n_layer))
        self.smear_lambda, self.backout_lambda = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
        frequencies = cfg.rope_base ** -(torch.arange(0, cfg.head_dim, 2) / cfg.head_dim)
        angles = torch.outer(torch.arange(cfg.sequence_len), frequencies)[None, :, None]
        self.register_buffer("cos", angles.cos().to(dtype), persistent=False)
        self.register_buffer("sin", angles.sin().to(dtype), persistent=False)

    def forward(self, tokens, targets):
        x = norm(self.transformer.wte(tokens).to(self.dtype))
        gate = self.smear_lambda.to(self.dtype) * torch.sigmoid(self.smear_gate(x[:, 1:, : self.cfg.smear_gate_width]))
        x = torch.cat([x[:, :1], x[:, 1:] + gate * x[:, :-1]], 1)
        x0 = x
        for layer, block in enumerate(self.transformer.h):
            x = self.resid_lambdas[layer] * x + self.x0_lambdas[layer] * x0
            values = None
            if str(layer) in self.value_embeds:
                values = self.value_embeds[str(layer)](tokens).to(self.dtype)
            x = x + block.attn(norm(x), values, self.cos, self.sin)
            x = x + block.mlp(norm(x))
            if layer == self.cfg.n_layer // 2:
                middle = x
        x = norm(x - self.backout_lambda.to(x.dtype) * middle)
        logits = self.lm_head(x)[..., : self.cfg.vocab_size].float()
        logits = self.cfg.softcap * torch.tanh(logits / self.cfg.softcap)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)


def norm(x):
    return F.rms_norm(x, (x.size(-1),))


def turned(x, cos, sin):
    x1, x2 = x.chunk(2, -1)
    return torch.cat([x1 * cos + x2 * sin, x2 * cos - x1 * sin], -1)


class Contestant:
    """A network with its optimizer; CPU and wall seconds of its passes and of its whole steps, by round."""

    def __init__(self, name, loss, step, zero):
        self.name, self.loss, self._step, self._zero = name, loss, step, zero
        self.passes, self.steps, self.walls = [], [], []

    def run(self, tokens, targets):
        """One step; its loss."""
        wall, started = time.perf_counter(), time.process_time()
        loss = self.loss(tokens, targets)
        loss.backward()
        passed = time.process_time()
        self._step()
        self._zero(set_to_none=True)
        self.passes.append(passed - started)
        self.steps.append(time.process_time() - started)
        self.walls.append(time.perf_counter() - wall)
        return loss.item()


def ours(dtype, rows, compile_wanted):
    gpt = GPT(CFG, activations=dtype)
    initialize(gpt, 1, "kaiming")  # no matrix at zero, so that the losses say something
    config = TrainConfig(network=CFG, steps=100, batch_tokens=rows * CFG.sequence_len, rows=rows)
    optimizer = MuonAdamW(dict(gpt.named_parameters()), parameter_groups(CFG, config), Processes.alone("cpu"),
                          polar=polar_dtype(dtype), compiled=compile_wanted != "off")
    settings = Schedule(config).at(0)
    print(f"ours: {speed_up(gpt, compile_wanted, rows, CFG.sequence_len)}", file=sys.stderr)
    return gpt, Contestant("ours", lambda x, y: gpt.loss(x, y, "mean"), lambda: optimizer.step(*settings),
                           gpt.zero_grad)


def plain(dtype, weights):
    network = PlainGPT(CFG, dtype)
    network.load_state_dict(weights)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)
    return Contestant("plain torch", network, optimizer.step, network.zero_grad)


def upstream(path, dtype, weights):
    """The step of a checkout, which chooses its dtype by its own variable."""
    os.environ["NANOCHAT_DTYPE"] = str(dtype).removeprefix("torch.")
    sys.path.insert(0, path)
    from nanochat import gpt as theirs

    names = ("sequence_len", "vocab_size", "n_layer", "n_head", "n_kv_head", "n_embd", "window_pattern")
    network = theirs.GPT(theirs.GPTConfig(**{name: getattr(CFG, name) for name in names}))
    network.init_weights()
    network.load_state_dict(weights)
    optimizer = network.setup_optimizer()
    return Contestant("upstream", network, optimizer.step, network.zero_grad)


def race(racing, rows, rounds, dtype):
    """Run all contestants; the losses of the first step, which must agree."""
    numbers = torch.Generator().manual_seed(0)

    def batch():
        ids = torch.randint(0, CFG.vocab_size, (rows, CFG.sequence_len + 1), generator=numbers)
        return ids[:, :-1].contiguous(), ids[:, 1:].contiguous()

    first = batch()
    losses = {one.name: one.run(*first) for one in racing}
    for name, loss in losses.items():
        if abs(loss - losses["ours"]) > AGREE[dtype] * losses["ours"]:
            raise SystemExit(f"{name} starts with a loss of {loss}, ours with {losses['ours']}; weights are equal")
    for one in racing:
        one.run(*batch())
        one.passes, one.steps, one.walls = [], [], []
    for turn in range(rounds):
        tokens = batch()
        for place in range(len(racing)):
            racing[(place + turn) % len(racing)].run(*tokens)
    return losses


def ratio(one, other, measure):
    pairs = zip(getattr(one, measure), getattr(other, measure), strict=True)
    return round(statistics.median(theirs / own for own, theirs in pairs), 3)


def speed(options):
    dtype = choose("cpu", options.dtype).dtype
    gpt, own = ours(dtype, options.rows, options.compile)
    weights = {name: value.clone() for name, value in gpt.state_dict().items()}
    racing = [own, plain(dtype, weights)]
    if options.upstream:
        racing.append(upstream(options.upstream, dtype, weights))
    losses = race(racing, options.rows, options.rounds, dtype)
    tokens, found = options.rows * CFG.sequence_len, {}
    print(f"\n{'':<14}{'loss':>10}{'passes, tok/CPU-s':>20}{'step, tok/CPU-s':>18}{'step, tok/s':>14}")
    for one in racing:
        rates = [tokens / statistics.median(times) for times in (one.passes, one.steps, one.walls)]
        print(f"{one.name:<14}{losses[one.name]:>10.5f}{rates[0]:>20,.0f}{rates[1]:>18,.0f}{rates[2]:>14,.0f}")
        found[one.name] = {"first_loss": losses[one.name], "passes_tokens_per_cpu_second": round(rates[0], 1),
                           "step_tokens_per_cpu_second": round(rates[1], 1), "step_tokens_per_second": round(rates[2])}
    ratios = {one.name: {measure: ratio(own, one, measure) for measure in ("passes", "steps", "walls")}
              for one in racing[1:]}
    for name, values in ratios.items():
        print(f"ours : {name}: passes {values['passes']:.2f}x, step {values['steps']:.2f}x")
    return {"dtype": str(dtype).removeprefix("torch."), "rows": options.rows, "contestants": found, "ratios": ratios}


def loss_memory(way):
    """Bytes above what inputs take, at most, of the loss and its gradients."""
    numbers = torch.Generator().manual_seed(0)
    x = torch.randn(LOSS_ROWS, CFG.n_embd, generator=numbers).bfloat16().requires_grad_()
    w = (torch.randn(WIDE, CFG.n_embd, generator=numbers) / 16).requires_grad_()
    targets = torch.randint(0, WIDE, (LOSS_ROWS,), generator=numbers)
    before = Resident.measure()
    if way == "ours":
        loss = head_loss(x, w, targets, CFG.softcap)
    else:
        loss = F.cross_entropy(CFG.softcap * torch.tanh(F.linear(x, w.to(x.dtype)).float() / CFG.softcap), targets)
    loss.backward()
    print(json.dumps({"loss": loss.item(), "bytes": Resident.measure().peak_bytes - before.now_bytes}))


def memory():
    found = {}
    for way in ("ours", "plain"):
        command = [sys.executable, __file__, "--loss-memory", way]
        found[way] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(f"{way:<8}{found[way]['bytes'] / 1e6:>10,.0f} MB   loss {found[way]['loss']:.6f}")
    if abs(found["ours"]["loss"] / found["plain"]["loss"] - 1) > 1e-6:
        raise SystemExit("the losses differ")
    found["ratio"] = round(found["plain"]["bytes"] / found["ours"]["bytes"], 1)
    print(f"plain : ours {found['ratio']}x")
    return {"vocab_size": WIDE, "loss_rows": LOSS_ROWS, "n_embd": CFG.n_embd, "memory": found}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstream", metavar="PATH", help="a checkout of karpathy/nanochat")
    parser.add_argument("--memory", action="store_true", help="measure the loss's memory, not the speed")
    parser.add_argument("--loss-memory", choices=("ours", "plain"), help=argparse.SUPPRESS)
    parser.add_argument("--dtype", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--compile", choices=("auto", "on", "off"), default="auto", help="of ours")
    parser.add_argument("--rows", type=int, default=16, help=f"of {CFG.sequence_len} tokens, in a step")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--save", action="store_true", help="append the JSON to benchmarks/results")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.loss_memory:
        loss_memory(options.loss_memory)
        return
    found = memory() if options.memory else speed(options)
    line = json.dumps({"benchmark": "training", "date": datetime.date.today().isoformat(),
                       "machine": Machine.here().to_dict(), "torch": torch.__version__, "threads": options.threads,
                       "rounds": options.rounds, **found})
    if options.save:
        with (HERE / "results" / f"{datetime.date.today()}-training.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    print(line)


if __name__ == "__main__":
    main()
