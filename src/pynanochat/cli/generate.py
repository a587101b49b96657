"""nanochat generate: a text goes on, or a question is answered, once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from pynanochat.cli.options import (
    CheckpointOptions,
    Json,
    ModelName,
    RunningOptions,
    SamplingOptions,
    described,
    load_model,
)
from pynanochat.cli.terminal import console, emit, paint, say, table
from pynanochat.errors import RequestError

if TYPE_CHECKING:
    from pynanochat.llm import LLM
    from pynanochat.output import Output
    from pynanochat.stream import Stream


def generate(
    prompt: str | None = None,
    /,
    *,
    model: ModelName = None,
    chat: Annotated[bool, Parameter(help="The prompt is a user's message; answer it.")] = False,
    system: Annotated[str | None, Parameter(help="System prompt, with --chat.")] = None,
    tokens: Annotated[str | None, Parameter(help='The prompt as token ids, as in "1,2,3".')] = None,
    samples: Annotated[int, Parameter(name=["--samples", "-n"], help="How many answers.")] = 1,
    logprobs: Annotated[int | None, Parameter(help="Log-probability of each token, and of this many others.")] = None,
    json: Json = False,
    sampling: SamplingOptions = SamplingOptions(),  # noqa: B008 - frozen
    files: CheckpointOptions = CheckpointOptions(),  # noqa: B008
    running: RunningOptions = RunningOptions(),  # noqa: B008
) -> int:
    """Continue a text, or answer once.

    The text goes to stdout as it is made; several samples are set apart by a line of ---.

    Parameters
    ----------
    prompt
        The text; - or nothing reads it from stdin, less one line end.
    """
    ids = _ids(tokens)
    if system is not None and not chat:
        raise RequestError("--system needs --chat; a raw text has no system prompt")
    if ids is not None and (prompt is not None or chat):
        raise RequestError("--tokens is the whole prompt; leave PROMPT and --chat out")
    text = _text(prompt) if ids is None else ""
    policy = sampling.policy(n=samples, logprobs=logprobs)
    llm = load_model(model, files, running)
    if ids is None:
        ids = _asked(llm, text, system, sampling.max_tokens) if chat else llm.encode(text)
    request = llm.request(ids, sampling.max_tokens, policy, tools=not sampling.no_tools)
    if llm.tokenizer is None and not json:
        say("note: there is no tokenizer with this model; the answer is token ids", "dim")
    with llm.run([request]) as stream:
        if json:
            outputs = stream.drain()[0].samples
            _emit(llm, ids, outputs, policy.seed)
        else:
            outputs = _show(llm, stream, "" if chat else text, samples)
    if logprobs is not None and not json:
        _show_logprobs(llm, outputs)
    return 0


def _text(prompt: str | None) -> str:
    if prompt not in (None, "-"):
        assert prompt is not None
        return prompt
    if prompt is None and sys.stdin.isatty():
        raise RequestError('there is no prompt; give one, as in nanochat generate "Once upon a time", or pipe it in')
    text = read_stdin().removesuffix("\n")
    if not text:
        raise RequestError('stdin is empty, so there is nothing to answer; nanochat generate "" starts from nothing')
    return text


def read_stdin() -> str:
    """All of stdin; `RequestError` where it is no UTF-8."""
    source = getattr(sys.stdin, "buffer", None)
    try:
        return str(sys.stdin.read() if source is None else source.read().decode("utf-8"))
    except UnicodeDecodeError as error:
        raise RequestError(f"stdin is no UTF-8 text (byte {error.start}); convert it first") from None


def _ids(tokens: str | None) -> list[int] | None:
    if tokens is None:
        return None
    try:
        return [int(token) for token in tokens.replace(",", " ").split()]
    except ValueError:
        raise RequestError(f'--tokens is {tokens[:60]!r}; expected token ids, as in "1,2,3"') from None


def _asked(llm: LLM, text: str, system: str | None, max_tokens: int) -> list[int]:
    return llm.chat(system=system, max_tokens=max_tokens).prompt(text)


def _emit(llm: LLM, ids: list[int], outputs: list[Output], seed: int | None) -> None:
    from pynanochat.cli.answer import as_json, timing

    document: dict[str, Any] = described(llm) | {"prompt_tokens": ids, "samples": [as_json(one) for one in outputs]}
    emit(document | timing(outputs) | {"seed": seed})


def _show(llm: LLM, stream: Stream, prompt: str, samples: int) -> list[Output]:
    from pynanochat.cli.answer import AnswerWriter

    if llm.tokenizer is None:
        outputs = stream.drain()[0].samples
        for output in outputs:
            print(",".join(map(str, output.tokens)))
        return outputs
    pieces = iter(stream) if samples == 1 else iter(sorted(stream, key=lambda piece: piece.sample))
    if sys.stdout.isatty() and prompt:
        sys.stdout.write(paint(prompt, "dim", sys.stdout))
        sys.stdout.flush()
    writer, sample = AnswerWriter(), 0
    for piece in pieces:
        if piece.sample != sample:
            writer.end()
            print("---")
            sample = piece.sample
        writer.push(piece)
    writer.end()
    return stream.outputs[0].samples


def _show_logprobs(llm: LLM, outputs: list[Output]) -> None:
    def text(token: int) -> str:
        return repr(llm.tokenizer.decode([token])) if llm.tokenizer else str(token)

    for output in outputs:
        rows = []
        for token, one in zip(output.tokens, output.logprobs or (), strict=False):
            others = "" if one is None else "  ".join(f"{text(other)} {logprob:.2f}" for other, logprob in one.top)
            rows.append((str(token), text(token), "forced" if one is None else f"{one.logprob:.3f}", others))
        console().print(table(("id", "token", "logprob", "most probable"), rows, right=(0, 2)))
