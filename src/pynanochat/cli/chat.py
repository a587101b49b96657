"""nanochat chat: a conversation in the terminal, or over lines that are piped in."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

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
from pynanochat.cli.terminal import amount, emit, say
from pynanochat.errors import RequestError

if TYPE_CHECKING:
    from pynanochat.llm import LLM


def chat(
    model: ModelName = None,
    *,
    prompt: Annotated[str | None, Parameter(alias="-p", help="Answer this one message and leave.")] = None,
    system: Annotated[str | None, Parameter(help="System prompt.")] = None,
    json: Json = False,
    sampling: SamplingOptions = SamplingOptions(),  # noqa: B008 - frozen
    files: CheckpointOptions = CheckpointOptions(),  # noqa: B008
    running: RunningOptions = RunningOptions(),  # noqa: B008
) -> int:
    """Talk with a model.

    On a terminal, /help lists the commands. Where stdin is piped, each line of it is a message; lines that begin with
    / are commands there too, and // stands for a message that begins with /.
    """
    interactive = prompt is None and sys.stdin.isatty()
    if json and interactive:
        raise RequestError("--json gives one document at the end; give --prompt, or pipe the messages in")
    policy = sampling.policy(settled=json)
    llm = load_model(model, files, running)
    llm.need_tokenizer()
    from pynanochat.cli.dialogue import Dialogue
    from pynanochat.cli.line_input import LineEditor, PipedLines
    from pynanochat.cli.slash import HELP

    talk = llm.chat(system=system, max_tokens=sampling.max_tokens, policy=policy, tools=not sampling.no_tools)
    dialogue = Dialogue(talk, interactive=interactive, show=not json)
    if interactive:
        _greet(llm)
    if prompt is not None:
        dialogue.answer(prompt)
    else:
        dialogue.run(LineEditor(list(HELP)) if interactive else PipedLines())
    if json:
        emit(described(llm) | {"messages": talk.messages, "turns": dialogue.turns, "dropped": talk.dropped,
                               "seed": policy.seed})
    return 0


def _greet(llm: LLM) -> None:
    from pynanochat.generation import GENERATIONS
    from pynanochat.sizes import parameters

    facts = llm.backend
    say(llm.checkpoint.path.name, "bold")
    since = GENERATIONS[llm.checkpoint.generation].since if llm.checkpoint.generation in GENERATIONS else ""
    network = f"{llm.checkpoint.generation} (nanochat since {since.split()[1]})" if since else llm.checkpoint.generation
    say(f"{network}, {amount(parameters(llm.config)['total'])} parameters, context {llm.context} "
        f"tokens, {facts.name} on {facts.device} in {facts.dtype} ({facts.reason})", "dim")
    say("/help lists the commands, Ctrl-D leaves.", "dim")
    say()
