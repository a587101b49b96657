"""Contestant: llama.cpp through llama-cpp-python, a Llama of as many weights in the same places.

A block of ours has 4 C^2 weights of attention and 8 C^2 of a two-matrix MLP; Llama's gated MLP has three matrices, so
that it gets F = 8/3 C rounded up to 32.
"""

import argparse
import ctypes
from pathlib import Path

import llama_cpp
import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize
from worker import PROMPT, seconds_of, serve

TOKEN = 17


def build(path, depth, width, heads, vocab, kind):
    """Write a GGUF file of random weights, whole or not at all."""
    inner = -(-8 * width // 3 // 32) * 32
    rng = np.random.default_rng(0)
    unfinished = path.with_suffix(".part")
    writer = GGUFWriter(unfinished, "llama")
    writer.add_block_count(depth)
    writer.add_context_length(4096)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(width // heads)
    writer.add_vocab_size(vocab)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([b"<unk>", b"<s>", b"</s>", *(f"t{i}".encode() for i in range(3, vocab))])
    writer.add_token_scores([0.0] * vocab)
    writer.add_token_types([2, 3, 3] + [1] * (vocab - 3))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)

    def matrix(name, rows, columns):
        values = rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(0.02)
        if kind == GGMLQuantizationType.F32:
            writer.add_tensor(name, values)
        else:
            writer.add_tensor(name, quantize(values, kind), raw_dtype=kind)

    matrix("token_embd.weight", vocab, width)
    matrix("output.weight", vocab, width)
    writer.add_tensor("output_norm.weight", np.ones(width, np.float32))
    for layer in range(depth):
        block = f"blk.{layer}."
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"{block}{norm}.weight", np.ones(width, np.float32))
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"{block}{name}.weight", width, width)
        matrix(f"{block}ffn_gate.weight", inner, width)
        matrix(f"{block}ffn_up.weight", inner, width)
        matrix(f"{block}ffn_down.weight", width, inner)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    unfinished.rename(path)


class Llama:
    """One context for a single sequence, as its users have it, and one for a batch."""

    def __init__(self, path, options):
        threads = {"n_threads": options.threads, "n_threads_batch": options.threads}
        self.llm = llama_cpp.Llama(str(path), n_ctx=2048, n_batch=512, n_ubatch=512, verbose=False, **threads)
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = options.batch * (PROMPT + options.steps + 32)
        params.n_batch = params.n_ubatch = 512
        params.n_seq_max = options.batch
        params.n_threads = params.n_threads_batch = options.threads
        self.context = llama_cpp.llama_init_from_model(self.llm.model, params)
        if not self.context:
            raise RuntimeError("llama.cpp gives no context for a batch")
        self.space = llama_cpp.llama_batch_init(512, 0, 1)
        self.vocab = self.llm.n_vocab()
        self.facts = {"version": llama_cpp.__version__, "file": path.name, "bytes": path.stat().st_size,
                      "system": llama_cpp.llama_print_system_info().decode()}

    def prefill(self, tokens):
        """One prompt in one batch, of which the last row gets logits."""
        prompt = np.random.default_rng(1).integers(10, self.vocab, tokens).tolist()
        self.llm.reset()
        return seconds_of(lambda _: self._eval(prompt), 1)

    def decode(self, tokens):
        """A token at a time."""
        self.llm.reset()
        self._eval([TOKEN] * PROMPT)
        return seconds_of(lambda _: self._eval([TOKEN]), tokens)

    def batch(self, rows, tokens):
        """A token of each sequence at a time."""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)
        for row in range(rows):
            self._run([(TOKEN, position, row, position == PROMPT - 1) for position in range(PROMPT)])
        return seconds_of(lambda i: self._run([(TOKEN, PROMPT + i, row, True) for row in range(rows)]), tokens)

    def _eval(self, tokens):
        self.llm.eval(tokens)
        llama_cpp.llama_get_logits(self.llm.ctx)[0]  # waits for them

    def _run(self, rows):
        self.space.n_tokens = len(rows)
        for i, (token, position, sequence, wanted) in enumerate(rows):
            self.space.token[i] = token
            self.space.pos[i] = position
            self.space.n_seq_id[i] = 1
            self.space.seq_id[i][0] = sequence
            self.space.logits[i] = wanted
        if llama_cpp.llama_decode(self.context, self.space):
            raise RuntimeError("llama.cpp did not decode the batch")
        ctypes.cast(llama_cpp.llama_get_logits(self.context), ctypes.POINTER(ctypes.c_float))[0]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", required=True, help="name,layers,width,heads,vocabulary")
    parser.add_argument("--type", required=True, choices=("Q8_0", "Q4_0", "F32", "BF16"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=32)
    options = parser.parse_args()

    def start():
        name, *sizes = options.shape.split(",")
        path = options.work / f"{name}-{options.type}.gguf"
        if not path.exists():
            build(path, *map(int, sizes), GGMLQuantizationType[options.type])
        return Llama(path, options)

    serve(start)


if __name__ == "__main__":
    main()
