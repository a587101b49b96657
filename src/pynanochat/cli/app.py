"""The commands by name. Each is a function in a module of its own, loaded when it is asked for."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Literal

import cyclopts
from cyclopts.help import DefaultFormatter
from cyclopts.help.specs import PanelSpec
from rich.box import Box
from rich.console import Console

from pynanochat.cli.conversion import converted, plain, shielded

_HELP = """Run, inspect and convert nanochat models.

Without a command: chat with the bundled model, or answer what is piped in."""

_COMMANDS = {  # name: module and function, help
    "chat": ("chat:chat", "Talk with a model."),
    "generate": ("generate:generate", "Continue a text, or answer once."),
    "serve": ("serve:serve", "Serve models over HTTP: OpenAI's API and a page."),
    "inspect": ("inspect:inspect", "Show what a checkpoint holds."),
    "convert": ("convert:convert", "Write a model in another format."),
    "check": ("check:check", "Measure that everything works, feature by feature."),
    "bench": ("bench:bench", "Measure how fast a model runs here."),
    "eval": ("evaluate:evaluate", "Measure what a model knows and can do."),
}
_TRAINING = {
    "texts": ("train_texts:train_texts", "Make up stories, sums and small talk to train on."),
    "tokenizer": ("train_tokenizer:train_tokenizer", "Make a tokenizer from texts."),
    "data": ("train_data:train_data", "Turn texts into shards of tokens."),
    "pretrain": ("train_pretrain:pretrain", "Pretrain a network on texts."),
    "sft": ("train_sft:sft", "Supervised fine-tuning: teach a model to answer."),
    "bundled": ("train_bundled:bundled", "Make the model that comes with the package again."),
    "plot": ("train_plot:plot", "Plot the losses of runs."),
}
_BLANK = Box("    \n" * 8)


def run(arguments: list[str]) -> int:
    """The exit code of a command line; a wrong one costs one line on stderr."""
    if not arguments:
        arguments = ["chat"] if sys.stdin.isatty() else ["generate", "--chat"]
    try:
        result = _app(arguments)(shielded(arguments), exit_on_error=False, print_error=False)
    except cyclopts.UnusedCliTokensError as error:
        more = " ".join(repr(plain(token)) for token in error.unused_tokens or ())
        print(f"nanochat: too many arguments: {more}; put a text of several words in quotes", file=sys.stderr)
        return 2
    except cyclopts.CycloptsError as error:
        print(f"nanochat: {plain(' '.join(str(error).split()))}", file=sys.stderr)
        return 2
    return int(result or 0)


class _HelpConsole(Console):
    def on_broken_pipe(self) -> None:
        """Whoever read the help has left: said as for all other output, where Rich would exit with 1."""
        raise BrokenPipeError


def _app(arguments: Sequence[str] = ()) -> cyclopts.App:
    """The commands; the one that is asked for tells its own help, the others need not be loaded for theirs."""
    app = cyclopts.App(
        console=_HelpConsole(),
        name="nanochat", help=_HELP, help_format="plaintext", version_flags=[], result_action="return_value",
        suppress_keyboard_interrupt=False,
        default_parameter=cyclopts.Parameter(negative=(), show_default=_shown_default, converter=converted),
        help_formatter=DefaultFormatter(panel_spec=PanelSpec(box=_BLANK, padding=(0, 0, 0, 3))))
    _add(app, _COMMANDS, arguments[:1])
    training = cyclopts.App(name="train", help="Train a tokenizer and a model, and fine-tune it.", version_flags=[],
                            sort_key=len(_COMMANDS))
    _add(training, _TRAINING, arguments[1:2])
    app.command(training)
    app.command(_completion, name="--completion", help="Print the completion script of a shell.",
                sort_key=len(_COMMANDS) + 1)
    return app


def _add(app: cyclopts.App, commands: dict[str, tuple[str, str]], asked: Sequence[str]) -> None:
    for place, (name, (home, text)) in enumerate(commands.items()):
        told = _whole_help(home) if name in asked else text
        app.command(f"pynanochat.cli.{home}", name=name, help=told, sort_key=place)


def _whole_help(home: str) -> str:
    """What the docstring of a command says, its paragraphs as one line each."""
    module, _, function = home.partition(":")
    said = inspect.getdoc(getattr(import_module(f"pynanochat.cli.{module}"), function)) or ""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in said.split("\n\n"))


def _completion(shell: Literal["bash", "zsh", "fish", "powershell"], /) -> int:
    """Print what makes a shell complete the command; it goes where the shell looks for such files.

    Parameters
    ----------
    shell
        The shell.
    """
    print(_app().generate_completion(shell=shell))
    return 0


def _shown_default(value: object) -> object:
    return None if value is False or value == () else value
