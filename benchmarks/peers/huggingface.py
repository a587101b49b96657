"""Contestant: transformers' own NanoChat, eager torch, with random weights of the shape."""

import argparse

import torch
import transformers
from transformers import NanoChatConfig, NanoChatForCausalLM
from worker import PROMPT, seconds_of, serve


class NanoChat:
    """The model and a cache that grows by a token a step."""

    def __init__(self, options):
        torch.set_num_threads(options.threads)
        torch.manual_seed(0)
        _, depth, width, heads, vocab = options.shape.split(",")
        config = NanoChatConfig(
            vocab_size=int(vocab), hidden_size=int(width), intermediate_size=4 * int(width),
            num_hidden_layers=int(depth), num_attention_heads=int(heads), num_key_value_heads=int(heads))
        self.model = NanoChatForCausalLM(config).to(getattr(torch, options.dtype)).eval()
        self.vocab = int(vocab)
        self.facts = {"transformers": transformers.__version__, "torch": torch.__version__, "dtype": options.dtype,
                      "threads": torch.get_num_threads()}

    @torch.inference_mode()
    def prefill(self, tokens):
        """One prompt, of which the last row gets logits."""
        prompt = torch.randint(0, self.vocab, (1, tokens))
        return seconds_of(lambda _: self._step(prompt, None), 1)

    def decode(self, tokens):
        """A token at a time."""
        return self.batch(1, tokens)

    @torch.inference_mode()
    def batch(self, rows, tokens):
        """A token of each sequence at a time."""
        cache = self._step(torch.randint(0, self.vocab, (rows, PROMPT)), None)
        token = torch.randint(0, self.vocab, (rows, 1))
        return seconds_of(lambda _: self._step(token, cache), tokens)

    def _step(self, ids, cache):
        out = self.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        out.logits.float().numpy()
        return out.past_key_values


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", required=True, help="name,layers,width,heads,vocabulary")
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args()
    serve(lambda: NanoChat(options))


if __name__ == "__main__":
    main()
