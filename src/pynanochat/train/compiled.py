"""Compiling a network's step with torch.compile, where that works; where not, why, and the run goes on without.

What is compiled: all blocks as one graph, and a chunk of the loss. Torch keeps the result on disk (its
TORCHINDUCTOR_CACHE_DIR) under locks, so that processes may share it and a second start takes seconds.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import warnings

import torch

from pynanochat.errors import TrainingError
from pynanochat.train import loss, network

WANTED = ("auto", "on", "off")


def speed_up(gpt: network.GPT, wanted: str, rows: int, row_tokens: int) -> str:
    """Compile `gpt` for micro-batches of (rows, row_tokens), tried at once; one line says what came of it.

    Batches of other shapes run as they did. Raises `TrainingError` where "on" is not possible.
    """
    if wanted not in WANTED:
        raise TrainingError(f"compile is {wanted!r}; expected {', '.join(WANTED)}")
    if wanted == "off":
        return "not compiled, as asked"
    device = gpt.get_parameter("transformer.wte.weight").device
    obstacle = _obstacle(device)
    if not obstacle:
        gpt.compiled = network.Compiled(
            (rows, row_tokens), torch.compile(network.blocks, dynamic=False, fullgraph=True),
            torch.compile(loss.chunk_loss, dynamic=False, fullgraph=True),
            own_attention=device.type == "cpu" and gpt.activations == torch.bfloat16)
        obstacle = _try(gpt, rows, row_tokens)
    if not obstacle:
        return f"compiled for {device.type}"
    gpt.compiled = None
    if wanted == "on":
        raise TrainingError(f"this network cannot be compiled here: {obstacle}; give compile auto or off")
    return f"not compiled, which is slower: {obstacle}"


def _obstacle(device: torch.device) -> str:
    """What is known to be in the way."""
    if device.type == "cuda":
        return "" if importlib.util.find_spec("triton") else "Triton is not installed"
    if device.type != "cpu":
        return f"torch.compile is not used on {device.type}"
    if not any(shutil.which(name) for name in (os.environ.get("CXX", ""), "g++", "clang++", "c++", "cl") if name):
        return "no C++ compiler is found; install g++ or clang++"
    return ""


def _try(gpt: network.GPT, rows: int, row_tokens: int) -> str:
    """Compile by running a micro-batch of zeros; what went wrong, if anything."""
    training = gpt.training
    before = {name: parameter.grad for name, parameter in gpt.named_parameters()}
    zeros = torch.zeros(rows, row_tokens, dtype=torch.long, device=next(gpt.parameters()).device)
    random = torch.random.get_rng_state()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of what its own tracing does
            gpt.loss(zeros, zeros).backward()  # type: ignore[no-untyped-call]
            with torch.no_grad():  # another program, that of evaluation
                gpt.eval().loss(zeros, zeros, "none")
    except Exception as error:  # a compiler fails in more ways than torch has types for
        return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no word'}"
    finally:
        gpt.train(training)
        torch.random.set_rng_state(random)
        for name, parameter in gpt.named_parameters():
            parameter.grad = before[name]
    return ""
