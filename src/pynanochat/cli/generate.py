"""nanochat generate: a text goes on, or a question is answered, once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from pynanochat.cli.control_characters import visible
from pynanochat.cli.options import (
    CheckpointOptions,
    Colours,
    Json,
    JsonLines,
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
    *prompt: str,
    model: ModelName = None,
    chat: Annotated[bool, Parameter(help="The prompt is a user's message; answer it.")] = False,
    system: Annotated[str | None, Parameter(help="System prompt, with --chat.")] = None,
    tokens: Annotated[str | None, Parameter(help='The prompt as token ids, as in "1,2,3".')] = None,
    samples: Annotated[int, Parameter(name=["--samples", "-n"], help="How many answers.")] = 1,
    logprobs: Annotated[int | None, Parameter(help="Log-probability of each token, and of this many others.")] = None,
    color_by_probability: Colours = False,
    json: Json = False,
    jsonl: JsonLines = False,
    sampling: SamplingOptions = SamplingOptions(),  # noqa: B008 - frozen
    files: CheckpointOptions = CheckpointOptions(),  # noqa: B008
    running: RunningOptions = RunningOptions(),  # noqa: B008
) -> int:
    """Continue a text, or answer once.

    The text goes to stdout as it is made; several samples are set apart by a line of ---.

    Parameters
    ----------
    prompt
        The text; - or nothing reads it from stdin, less one line end; a text and - are joined by a blank line.
    """
    ids = _ids(tokens)
    if json and jsonl:
        raise RequestError("--json gives one document and --jsonl one line per piece; choose one")
    if system is not None and not chat:
        raise RequestError("--system needs --chat; a raw text has no system prompt")
    if ids is not None and (prompt or chat):
        raise RequestError("--tokens is the whole prompt; leave PROMPT and --chat out")
    text = _text(prompt) if ids is None else ""
    shown_logprobs = 0 if logprobs is None and color_by_probability else logprobs
    policy = sampling.policy(n=samples, logprobs=shown_logprobs)
    llm = load_model(model, files, running)
    if ids is None:
        ids = _asked(llm, text, system, sampling.max_tokens) if chat else llm.encode(text)
    request = llm.request(ids, sampling.max_tokens, policy, tools=not sampling.no_tools)
    if llm.tokenizer is None and not (json or jsonl):
        say("note: there is no tokenizer with this model; the answer is token ids", "dim")
    with llm.run([request]) as stream:
        if json:
            emit(_start(llm, ids) | _end(stream.drain()[0].samples) | {"seed": policy.seed})
            return 0
        if jsonl:
            _tell(stream, _start(llm, ids) | {"seed": policy.seed})
            return 0
        outputs = _show(llm, stream, "" if chat else text, samples, color_by_probability)
    if logprobs is not None:
        _show_logprobs(llm, outputs)
    return 0


def _text(prompt: tuple[str, ...]) -> str:
    """The prompt, with stdin in the place of -."""
    texts = [text for text in prompt if text != "-"]
    if len(texts) > 1:
        raise RequestError(f"too many arguments: {texts[1]!r}; put a text of several words in quotes")
    if len(prompt) - len(texts) > 1:
        raise RequestError("- stands for stdin, which can be read once")
    if not prompt and sys.stdin.isatty():
        raise RequestError('there is no prompt; give one, as in nanochat generate "Once upon a time", or pipe it in')
    return "\n\n".join(_stdin() if text == "-" else text for text in prompt or ("-",))


def _stdin() -> str:
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


def _start(llm: LLM, ids: list[int]) -> dict[str, Any]:
    """What JSON says before the first token."""
    return described(llm) | {"prompt_tokens": ids}


def _end(outputs: list[Output]) -> dict[str, Any]:
    """What JSON says after the last token."""
    from pynanochat.cli.answer import as_json, timing

    return {"samples": [as_json(one) for one in outputs]} | timing(outputs)


def _tell(stream: Stream, start: dict[str, Any]) -> None:
    from pynanochat.cli.events import EventWriter

    emit({"event": "start"} | start)
    for piece in stream:
        EventWriter(sample=piece.sample).push(piece)
    emit({"event": "end"} | _end(stream.outputs[0].samples))


def _show(llm: LLM, stream: Stream, prompt: str, samples: int, colours: bool) -> list[Output]:
    from pynanochat.cli.answer import AnswerWriter

    if llm.tokenizer is None:
        outputs = stream.drain()[0].samples
        for output in outputs:
            print(",".join(map(str, output.tokens)))
        return outputs
    pieces = iter(stream) if samples == 1 else iter(sorted(stream, key=lambda piece: piece.sample))
    if sys.stdout.isatty() and prompt:
        sys.stdout.write(paint(visible(prompt), "dim", sys.stdout))
        sys.stdout.flush()
    writer, sample = AnswerWriter(colours=colours), 0
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
