"""LLM: the front door. Load a model of any nanochat generation and format, and generate with it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from pynanochat import checkpoint
from pynanochat.backends import choose, open_runner
from pynanochat.checkpoint import Checkpoint
from pynanochat.config import GPTConfig
from pynanochat.engine.engine import Engine
from pynanochat.engine.request import Request
from pynanochat.errors import BackendError, ContextError, PolicyError, RequestError, TokenizerError
from pynanochat.output import Output
from pynanochat.prompt import Prompt, ids_of, prompts_of
from pynanochat.quantize import formats
from pynanochat.runner import Facts, Runner, page_counts
from pynanochat.sampling import SamplingPolicy
from pynanochat.session import Chat
from pynanochat.stream import SharedEngine, Stream
from pynanochat.tokenizer import Tokenizer
from pynanochat.tools import ToolMachine

if TYPE_CHECKING:
    from pynanochat.grammar import Grammar

ContextPolicy: TypeAlias = Literal["drop", "stop", "error"]

DEFAULT_MAX_TOKENS = 256
MOST_DEFAULT_CONTEXT = 1 << 16  # no nanochat comes near; a file that claims more does not get the memory unasked
STEP_TOKENS = 256  # rows of a step: a prompt is prefilled in chunks of this many tokens
CACHE_BYTES = 512 << 20


class LLM:
    """A loaded model; may be used from several threads, whose requests then run together."""

    def __init__(
        self,
        source: Checkpoint,
        runner: Runner,
        tokenizer: Tokenizer | None,
        *,
        context: int,
        context_policy: ContextPolicy = "drop",
    ) -> None:
        self.checkpoint = source
        self.config: GPTConfig = source.config
        self.tokenizer = tokenizer
        self.context = context
        self.context_policy = context_policy
        self._runner = runner
        self._shared = SharedEngine(Engine(runner, source.config, context=context, step_tokens=STEP_TOKENS))

    @property
    def engine(self) -> Engine:
        """The engine, for a caller that steps it itself; then nothing else of this model may run meanwhile."""
        return self._shared.engine

    @property
    def backend(self) -> Facts:
        """Name, device, precision and capacity of the backend that was chosen, and why it was."""
        return self._runner.facts

    def __repr__(self) -> str:
        facts = self.backend
        return (f"LLM({self.checkpoint.path.name}, {self.checkpoint.generation}, {self.config.n_layer} layers, "
                f"{facts.name} in {facts.dtype})")

    def logits(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """float32 (T, V): for each token the logits of the one after it, softcapped as the model defines."""
        rows: list[NDArray[np.float32]] = []
        request = Request(prompt=tuple(ids_of(tokens)), max_tokens=0,
                          on_prompt_logits=lambda first, logits: rows.append(logits.copy()))
        Stream(self._shared, None, [request]).drain()
        return np.concatenate(rows)

    @overload
    def generate(self, prompt: Prompt, max_tokens: int | None = ..., **settings: Any) -> Output: ...
    @overload
    def generate(self, prompt: Sequence[Prompt], max_tokens: int | None = ..., **settings: Any) -> list[Output]: ...
    def generate(
        self, prompt: Prompt | Sequence[Prompt], max_tokens: int | None = DEFAULT_MAX_TOKENS, **settings: Any
    ) -> Output | list[Output]:
        """The answer to a prompt, or answers in order to a list of them; `settings` as in `stream`."""
        outputs = self.stream(prompt, max_tokens, **settings).drain()
        return outputs[0] if prompts_of(prompt)[1] else outputs

    def stream(
        self,
        prompt: Prompt | Sequence[Prompt],
        max_tokens: int | None = DEFAULT_MAX_TOKENS,
        *,
        policy: SamplingPolicy | None = None,
        tools: bool = True,
        grammar: Grammar | None = None,
        **sampling: Any,
    ) -> Stream:
        """The answer in pieces, while it is made.

        A text prompt starts with <|bos|>, ids are taken as they are. `policy` or the fields of `SamplingPolicy` by
        name say how to sample; `tools` lets the model use its calculator; `grammar` says what the answer may be; None
        for `max_tokens` goes on to the end of the context. Raises `ContextError` for a prompt that does not fit,
        `PolicyError` for a wrong setting.
        """
        settled = settle(policy, sampling)
        requests = [self.request(self.encode(one), max_tokens, settled, tools=tools, grammar=grammar)
                    for one in prompts_of(prompt)[0]]
        return Stream(self._shared, self.tokenizer, requests)

    def chat(self, system: str | None = None, max_tokens: int | None = DEFAULT_MAX_TOKENS, **settings: Any) -> Chat:
        """A conversation with the model; `settings` as in `stream`; `context_policy` goes before the model's."""
        tools, context_policy = bool(settings.pop("tools", True)), settings.pop("context_policy", None)
        policy = settle(settings.pop("policy", None), settings)
        return Chat(self, system=system, max_tokens=max_tokens, policy=policy, tools=tools,
                    context_policy=context_policy)

    def encode(self, prompt: Prompt) -> list[int]:
        """The tokens of a prompt: <|bos|> and the text, or ids as they are."""
        return self.need_tokenizer().encode_with_bos(prompt) if isinstance(prompt, str) else ids_of(prompt)

    def request(
        self,
        tokens: Sequence[int],
        max_tokens: int | None,
        policy: SamplingPolicy,
        *,
        tools: bool = True,
        grammar: Grammar | None = None,
        salt: str = "",
    ) -> Request:
        """What the engine runs for these prompt tokens, ended by <|assistant_end|> or <|bos|>.

        `grammar` says what the answer may be; there is no calculator then. Requests of one `salt` share the prefixes
        of their prompts with each other only.
        """
        if self.context_policy == "error" and isinstance(max_tokens, int) and len(tokens) + max_tokens > self.context:
            raise ContextError(f"{len(tokens)} prompt tokens and {max_tokens} more do not fit the context of "
                               f"{self.context}; shorten the prompt, ask for less, or load with a larger context")
        special: Mapping[str, int] = self.tokenizer.special_tokens if self.tokenizer else {}
        ends = [special[name] for name in ("<|assistant_end|>", "<|bos|>") if name in special]
        machine = None
        if tools and grammar is None and self.tokenizer is not None and "<|python_start|>" in special:
            machine = ToolMachine(self.tokenizer)
        elif policy.stop and self.tokenizer is None:
            raise RequestError("stop strings need a tokenizer; name one when loading, or use stop_tokens")
        constraint = None if grammar is None else grammar.constraint([*ends, *policy.stop_tokens])
        request = Request(prompt=tuple(tokens), policy=policy, max_tokens=max_tokens, end_tokens=ends, tool=machine,
                          constraint=constraint, salt=salt)
        self._shared.engine.check(request)
        return request

    def run(self, requests: list[Request]) -> Stream:
        """The answers to ready-made requests."""
        return Stream(self._shared, self.tokenizer, requests)

    def need_tokenizer(self) -> Tokenizer:
        """The tokenizer; `TokenizerError` where the model was loaded without one."""
        if self.tokenizer is None:
            raise TokenizerError(f"{self.checkpoint.path}: there is no tokenizer with this model, so it runs on token "
                                 "ids only; name its folder as tokenizer when loading")
        return self.tokenizer


def load(
    name: str | os.PathLike[str] | None = None,
    *,
    backend: str | None = None,
    dtype: str | None = None,
    quantize: formats.Format | None = None,
    tokenizer: str | os.PathLike[str] | None = None,
    source: str | None = None,
    step: int | None = None,
    softcap: float | None = None,
    rope_table_dtype: Literal["float32", "bfloat16"] | None = None,
    context: int | None = None,
    context_policy: ContextPolicy = "drop",
    cache_bytes: int = CACHE_BYTES,
    cache_dtype: Literal["float32", "bfloat16"] | None = None,
    threads: int | None = None,
) -> LLM:
    """The model of that name: a path, a bundled name, a tag under NANOCHAT_BASE_DIR or a Hugging Face id.

    None is the bundled model. `source` picks base, mid, sft or rl of a tag, `step` one of its checkpoints. `softcap`
    and `rope_table_dtype` settle what tensors do not show. `quantize` turns the matrices into "q8" or "q4" on the way;
    reference and torch then run the floats that these stand for. `context` is in tokens, up to ten times sequence_len;
    `context_policy` says what a long chat does at its end: "drop" the oldest turns, "stop", or "error". On the cpu
    backend `cache_dtype` is the precision of kept keys and values (None: float32, bfloat16 beside q8 and q4), and
    `threads` how many work (None: all cores).
    Raises `CheckpointError`, `TokenizerError`, `ConfigError` or `BackendError`.
    """
    if context_policy not in ("drop", "stop", "error"):
        raise RequestError(f"context_policy is {context_policy!r}; expected 'drop', 'stop' or 'error'")
    opened = checkpoint.open(checkpoint.resolve(name, source=source, step=step), step=step, tokenizer=tokenizer,
                             softcap=softcap, rope_table_dtype=rope_table_dtype)
    cfg = opened.config
    room = cfg.context(context)
    if context is None and room > MOST_DEFAULT_CONTEXT:
        raise ContextError(f"sequence_len is {room:,}, which would take much memory for its cache; say how much "
                           "context you want, in tokens")
    if type(cache_bytes) is not int or cache_bytes < 1:
        raise RequestError(f"cache_bytes is {cache_bytes!r}; expected a whole number of bytes")
    words = None
    if opened.tokenizer_path is not None:
        words = Tokenizer.load(opened.tokenizer_path)
        checkpoint.check_tokenizer(words, cfg, str(opened.tokenizer_path))
    tensors = opened.tensors if quantize is None else checkpoint.quantized(cfg, opened.tensors, quantize)
    choice = choose(backend, dtype)
    if cache_dtype not in (None, "float32", "bfloat16"):
        raise RequestError(f"cache_dtype is {cache_dtype!r}; expected 'float32' or 'bfloat16'")
    if threads is not None and (type(threads) is not int or threads < 1):
        raise RequestError(f"threads is {threads!r}; expected a whole number from 1")
    weights = checkpoint.quantization(tensors) or choice.dtype
    kept = cache_dtype or (formats.cache_dtype(weights) if choice.backend == "cpu" else choice.dtype)
    width = {"float64": 8, "float32": 4, "bfloat16": 2}[kept]
    pages = page_counts(cfg, room, STEP_TOKENS, width, cache_bytes)
    try:
        runner = open_runner(choice, cfg, tensors.__getitem__, context=room, pages=pages,
                             cache_dtype=cache_dtype, threads=threads)
    except MemoryError:
        raise BackendError(f"the model and {room:,} tokens of context do not fit the memory; load it with less "
                           "context") from None
    return LLM(opened, runner, words, context=room, context_policy=context_policy)


def save(llm: LLM, folder: str | os.PathLike[str], format: str = "native") -> None:  # noqa: A002
    """Write the model into `folder`, atomically: "native", "nanochat", "huggingface" or "burn".

    The weights are written as their files hold them, whatever they run in. Raises `UnsupportedError` for a format that
    cannot hold this network exactly.
    """
    source = llm.checkpoint
    checkpoint.save(folder, config=source.config, tensors=source.tensors, tokenizer=llm.tokenizer, format=format,
                    meta=source.meta)


def settle(policy: SamplingPolicy | None, sampling: dict[str, Any]) -> SamplingPolicy:
    """One policy from a policy, or from its fields by name."""
    if policy is not None and sampling:
        raise PolicyError(f"{next(iter(sampling))} is given beside policy; put it into the policy")
    if policy is not None:
        return policy
    unknown = sorted(set(sampling) - set(SamplingPolicy.__dataclass_fields__))
    if unknown:
        raise PolicyError(f"unknown setting {unknown[0]!r}; expected one of "
                          f"{', '.join(SamplingPolicy.__dataclass_fields__)}")
    return SamplingPolicy(**sampling)


