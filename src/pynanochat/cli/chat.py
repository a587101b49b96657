"""nanochat chat: a conversation in the terminal, or over lines that are piped in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

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
from pynanochat.cli.terminal import amount, emit, say
from pynanochat.errors import RequestError

if TYPE_CHECKING:
    from pynanochat.cli.follow import Follower
    from pynanochat.cli.line_input import LineInput
    from pynanochat.llm import LLM


def chat(
    model: ModelName = None,
    *,
    prompt: Annotated[str | None, Parameter(alias="-p", help="Answer this one message and leave.")] = None,
    system: Annotated[str | None, Parameter(help="System prompt.")] = None,
    load: Annotated[Path | None, Parameter(help="Go on with a conversation that /save or --save has written.")] = None,
    save: Annotated[Path | None, Parameter(help="Write the conversation, after every answer.")] = None,
    plain: Annotated[bool, Parameter(help="On a terminal, show the text as it is, not as Markdown.")] = False,
    follow: Annotated[bool, Parameter(
        help="Of a training run's folder: go on with each new checkpoint, as it is saved.")] = False,
    color_by_probability: Colours = False,
    json: Json = False,
    jsonl: JsonLines = False,
    sampling: SamplingOptions = SamplingOptions(),  # noqa: B008 - frozen
    files: CheckpointOptions = CheckpointOptions(),  # noqa: B008
    running: RunningOptions = RunningOptions(),  # noqa: B008
) -> int:
    """Talk with a model.

    On a terminal, /help lists the commands. Where stdin is piped, each line of it is a message; lines that begin with
    / are commands there too, and // stands for a message that begins with /.
    """
    interactive = prompt is None and sys.stdin.isatty()
    if (json or jsonl) and interactive:
        raise RequestError("--json and --jsonl are for programs; give --prompt, or pipe the messages in")
    if json and jsonl:
        raise RequestError("--json gives one document and --jsonl one line per piece; choose one")
    if save is not None and (save.is_dir() or not save.absolute().parent.is_dir()):
        raise RequestError(f"{save} cannot be written; expected a file in a folder that exists")
    follower = _follower(model, files, running) if follow else None
    policy = sampling.policy(settled=json or jsonl, logprobs=0 if interactive or color_by_probability else None)
    talk = load_model(model, files, running).chat(system=system, max_tokens=sampling.max_tokens, policy=policy,
                                                  tools=not sampling.no_tools)
    talk.llm.need_tokenizer()
    from pynanochat.cli import conversation_file
    from pynanochat.cli.dialogue import Dialogue

    if save is not None:
        conversation_file.check_replaceable(save)
    if load is not None:
        conversation_file.read(load, talk)
        talk.system = talk.system if system is None else system
    dialogue = Dialogue(talk, interactive=interactive, form="document" if json else "events" if jsonl else "text",
                        markdown=not plain, colours=color_by_probability, save=save, follower=follower)
    if interactive:
        _greet(talk.llm)
    if jsonl:
        emit({"event": "start"} | described(talk.llm) | {"seed": policy.seed})
    if prompt is not None:
        dialogue.answer(prompt)
    else:
        dialogue.run(_source(interactive))
    dialogue.save()
    if jsonl:
        emit({"event": "end", "messages": talk.messages, "dropped": talk.dropped})
    if json:
        emit(described(talk.llm) | {"messages": talk.messages, "turns": dialogue.turns, "dropped": talk.dropped,
                               "seed": policy.seed})
    return 0


def _follower(model: str | None, files: CheckpointOptions, running: RunningOptions) -> Follower:
    from pynanochat.cli.follow import Follower, run_of

    return Follower(run_of(model, files.step), lambda folder: load_model(str(folder), files, running))


def _source(interactive: bool) -> LineInput:
    from pynanochat.cli.line_input import LineEditor, PipedLines

    if not interactive:
        return PipedLines()
    from pynanochat.cli.completion import CommandCompleter
    from pynanochat.cli.slash import HELP

    return LineEditor(CommandCompleter(list(HELP)))


def _greet(llm: LLM) -> None:
    from pynanochat.checkpoint.run_folder import title
    from pynanochat.generation import GENERATIONS
    from pynanochat.sizes import parameters

    facts = llm.backend
    say(title(llm.checkpoint.path), "bold")
    since = GENERATIONS[llm.checkpoint.generation].since if llm.checkpoint.generation in GENERATIONS else ""
    network = f"{llm.checkpoint.generation} (nanochat since {since.split()[1]})" if since else llm.checkpoint.generation
    say(f"{network}, {amount(parameters(llm.config)['total'])} parameters, context {llm.context} "
        f"tokens, {facts.name} on {facts.device} in {facts.dtype} ({facts.reason})", "dim")
    say("/help lists the commands, Ctrl-D leaves.", "dim")
    say()
