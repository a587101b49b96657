"""A model without weights: bytes are tokens, and what may follow is settled by a hash of the last three."""

import json
import math
from dataclasses import dataclass, field
from zlib import crc32

LETTERS = b"etaoin shrdlu"
SPECIAL = {256: "<|bos|>", 257: "<|eos|>"}
REST = math.log(0.01 / 256)  # of every token that is no candidate


@dataclass
class Sample:
    tokens: list
    text: str
    finish_reason: str
    logprobs: list = field(default_factory=list)  # per token: its own, and the candidates by token


def encode(text, specials=True):
    for token, name in SPECIAL.items():
        if specials and name in text:
            before, _, after = text.partition(name)
            return [*encode(before), token, *encode(after)]
    return list(text.encode())


def decode(tokens):
    parts = [SPECIAL[token].encode() if token in SPECIAL else bytes([token]) for token in tokens]
    return b"".join(parts).decode("utf-8", "replace")


def candidates(history):
    """Token: logprob, the likeliest first."""
    weights = {}
    for place in range(5):
        mixed = hash((len(history), *history[-3:], place)) & 0xFFFFFF  # of whole numbers, so the same in every process
        weights[LETTERS[mixed % len(LETTERS)]] = 1 + (mixed >> 8) % 1000 + place / 10
    total = sum(weights.values()) / 0.99
    return {token: math.log(weight / total) for token, weight in sorted(weights.items(), key=lambda item: -item[1])}


def scored(tokens):
    """The logprob of each token of a prompt, and the candidates in its place; None for the first."""
    return [(None, None), *((found.get(token, REST), found) for place, token in enumerate(tokens[1:], 1)
                            if (found := candidates(tokens[:place])))]


def generate(prompt, request, index=0):
    """One sample; the fields of the request are OpenAI's."""
    canned = _canned(request)
    if canned is not None:
        return Sample(list(canned.encode()), canned, "stop", [(-0.1, {})] * len(canned))
    stops = [request["stop"]] if isinstance(request.get("stop"), str) else request.get("stop") or []
    limit = request.get("max_completion_tokens", request.get("max_tokens", 16))
    temperature, seed = request.get("temperature", 1.0), request.get("seed", 0)
    bias = {int(token): value for token, value in (request.get("logit_bias") or {}).items()}
    sample = Sample([], "", "length")
    history = list(prompt)
    while len(sample.tokens) < limit:
        found = candidates(history)
        token = max(bias, key=bias.get) if bias else _chosen(found, temperature, (seed, index, len(sample.tokens)))
        sample.logprobs.append((found.get(token, REST), found))
        sample.tokens.append(token)
        history.append(token)
        sample.text = decode(sample.tokens)
        ends = [sample.text.find(stop) for stop in stops if stop in sample.text]
        if ends:
            sample.text, sample.finish_reason = sample.text[: min(ends)], "stop"
            break
    return sample


def _chosen(found, temperature, key):
    if temperature == 0:
        return next(iter(found))
    uniform = crc32(repr(key).encode()) / 2**32
    weights = {token: math.exp(value / temperature) for token, value in found.items()}
    left = uniform * sum(weights.values())
    for token, weight in weights.items():
        left -= weight
        if left < 0:
            return token
    return token


def _canned(request):
    wanted = request.get("response_format") or {}
    if wanted.get("type") == "json_object":
        return '{"name": "Rex"}'
    if wanted.get("type") == "json_schema":
        return json.dumps({"animal": "dog", "friendly": True, "ball": {"color": "red"}})
    return None
