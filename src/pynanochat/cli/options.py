"""Options that several commands share: which model and how to read it, where it runs, how it samples."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from cyclopts import Group, Parameter

from pynanochat.cli.control_characters import visible
from pynanochat.cli.terminal import say
from pynanochat.errors import RequestError

if TYPE_CHECKING:
    from pynanochat.llm import LLM
    from pynanochat.runner import Facts
    from pynanochat.sampling import SamplingPolicy

ModelName: TypeAlias = Annotated[str | None, Parameter(
    alias="-m", help="A path, the bundled nano8m, a tag such as d20 or sft/d20@650, or a Hugging Face id.",
    show_default=False)]
Json: TypeAlias = Annotated[bool, Parameter(help="One JSON document on stdout.")]
JsonLines: TypeAlias = Annotated[bool, Parameter(help="A JSON object on stdout for each piece, while it comes.")]
Colours: TypeAlias = Annotated[bool, Parameter(
    name="--color-by-probability", help="On a terminal: green tokens are likely, red ones are not.")]

_CHECKPOINT = Group("Checkpoint", sort_key=2)
_RUNNING = Group("Running", sort_key=3)
_SAMPLING = Group("Sampling", sort_key=1)


@Parameter(name="*", group=_CHECKPOINT)
@dataclass(frozen=True, kw_only=True)
class CheckpointOptions:
    """Which of several checkpoints, and what its files do not say."""

    tokenizer: Annotated[str | None, Parameter(help="File or folder of the tokenizer.")] = None
    source: Annotated[Literal["base", "mid", "sft", "rl"] | None, Parameter(
        help="Training stage of a tag; if left out, the latest that has it: rl, sft, mid, base.")] = None
    step: Annotated[int | None, Parameter(help="Training step; the last one if left out.")] = None
    softcap: Annotated[float | None, Parameter(help="Softcap of the logits, for models of March 2026.")] = None
    rope_table_dtype: Annotated[Literal["float32", "bfloat16"] | None, Parameter(
        help="Rounding of the rotary tables.")] = None


@Parameter(name="*", group=_RUNNING)
@dataclass(frozen=True, kw_only=True)
class RunningOptions:
    """Where a model runs, and in how much context."""

    backend: Annotated[str | None, Parameter(
        help="auto, cpu (ndarray), cuda, mps, torch or reference; NANOCHAT_BACKEND is the default.")] = None
    dtype: Annotated[Literal["float32", "float64", "bfloat16"] | None, Parameter(
        help="Precision of weights and activations.")] = None
    quantize: Annotated[Literal["q8", "q4"] | None, Parameter(
        help="Quantize the matrices to 8 or 4 bits while loading.")] = None
    cache_dtype: Annotated[Literal["float32", "bfloat16"] | None, Parameter(
        help="Precision of the KV cache on the cpu backend; if left out float32, bfloat16 beside q8 and "
             "q4.")] = None
    cache_mib: Annotated[int, Parameter(
        help="Mebibytes for the KV cache; one context at least is kept, and as many as fit.")] = 512
    threads: Annotated[int | None, Parameter(
        help="Threads of the cpu backend; as many as there are cores if left out.")] = None
    context: Annotated[int | None, Parameter(help="Tokens of context, up to ten times sequence_len.")] = None
    context_policy: Annotated[Literal["drop", "stop", "error"], Parameter(
        help="A chat at its end: drop the oldest turns; stop where it is full; or error as soon as an answer might "
             "not fit.")] = "drop"


@Parameter(name="*", group=_SAMPLING)
@dataclass(frozen=True, kw_only=True)
class SamplingOptions:
    """How tokens are chosen; the defaults are those of upstream's chat, for every command."""

    temperature: Annotated[float, Parameter(alias="-t", help="0 is greedy.")] = 0.6
    top_k: Annotated[int, Parameter(help="Keep this many tokens; 0 is all.")] = 50
    top_p: Annotated[float, Parameter(help="Keep the fewest tokens with this much probability.")] = 1.0
    min_p: Annotated[float, Parameter(help="Keep tokens with this share of the best one's probability.")] = 0.0
    repetition_penalty: Annotated[float, Parameter(help="Above 1: against every token so far.")] = 1.0
    presence_penalty: Annotated[float, Parameter(help="Against tokens in the answer, once.")] = 0.0
    frequency_penalty: Annotated[float, Parameter(help="Against tokens in the answer, each time.")] = 0.0
    seed: Annotated[int | None, Parameter(help="The same seed gives the same text.")] = None
    stop: Annotated[tuple[str, ...], Parameter(help="End where this text appears; may be given again.")] = ()
    greedy: Annotated[bool, Parameter(help="The same as --temperature 0.")] = False
    max_tokens: Annotated[int, Parameter(help="The longest answer.")] = 256
    no_tools: Annotated[bool, Parameter(help="No calculator for the model.")] = False

    def policy(self, *, settled: bool = True, **more: Any) -> SamplingPolicy:
        """The policy, `settled` on one seed so that it can be told; `PolicyError` for a setting out of range."""
        from pynanochat.philox import fresh_seed
        from pynanochat.sampling import SamplingPolicy

        fields = asdict(self)
        for name in ("greedy", "max_tokens", "no_tools"):
            del fields[name]
        if self.greedy:
            fields["temperature"] = 0.0
        if settled and self.seed is None:
            fields["seed"] = fresh_seed()
        return SamplingPolicy(**fields, **more)


def load_model(name: str | None, files: CheckpointOptions, running: RunningOptions) -> LLM:
    """The loaded model; what was assumed about it is told on stderr."""
    from pynanochat.llm import load

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        options = asdict(running)
        if running.cache_mib < 1:
            raise RequestError(f"--cache-mib is {running.cache_mib}; expected 1 or more")
        llm = load(name, **asdict(files), cache_bytes=options.pop("cache_mib") << 20, **options)
    for note in (*llm.checkpoint.notes, *(str(warning.message) for warning in caught)):
        say(f"note: {visible(note)}", "dim")
    return llm


def described(llm: LLM) -> dict[str, Any]:
    """What a JSON document says of the model that ran."""
    return {"model": llm.checkpoint.path.name, "generation": llm.checkpoint.generation,
            "backend": backend_described(llm.backend)}


def backend_described(facts: Facts) -> dict[str, str]:
    """What a JSON document says of the backend."""
    return {"name": facts.name, "device": facts.device, "dtype": facts.dtype, "reason": facts.reason}
