"""The tasks by name: what a name or the name of a group stands for, and how each is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from pynanochat.chat import apply_chat_template
from pynanochat.errors import DataError, RequestError
from pynanochat.eval import core, gsm8k, humaneval, letters, sandbox, suites
from pynanochat.eval.bits_per_byte import bits_per_byte
from pynanochat.eval.data_folder import CORE, GSM8K, HUMANEVAL, MMLU, SOURCES, DataFolder, documents, text_file
from pynanochat.eval.few_shot import Item
from pynanochat.eval.score import Score
from pynanochat.llm import LLM
from pynanochat.synthetic.ready_texts import held_out_texts
from pynanochat.tokenizer import Tokenizer

Progress = Callable[[str, int, int], None]  # task, items done, items in all

CHAT_ARC = {"chat_arc_easy": "arc_easy", "chat_arc_challenge": "arc_challenge"}
TEXTS = {
    "tinystories": "tinystories_slice_cdla.txt.xz", "wikitext2": "wikitext2_test.txt.xz",
    "shakespeare": "tinyshakespeare.txt", "stories": "stories_ccby_en.jsonl.xz",
    "books": "books_children_cc0.jsonl.xz"}
HELD_OUT = ("stories", "books")  # of what the bundled model is trained on, the part that it never sees
GROUPS = ("bundled", "core", "chat", "texts", "all")
NAMES = (*suites.BUNDLED, *core.TASKS, "mmlu", *CHAT_ARC, "gsm8k", "humaneval", *TEXTS)
_LOAD: dict[str, Callable[[DataFolder], list[Any]]] = {
    "mmlu": letters.mmlu, "gsm8k": gsm8k.load, "humaneval": humaneval.load}
_FILES = {"mmlu": MMLU, "gsm8k": GSM8K, "humaneval": HUMANEVAL, **TEXTS}
_TEXT_ENDS = (".txt", ".jsonl", ".txt.xz", ".jsonl.xz", ".txt.gz", ".jsonl.gz")


@dataclass
class Catalogue:
    """Tasks and the folder of their files, which are read once, however many models are measured."""

    data: DataFolder = field(default_factory=DataFolder)
    most: int | None = None  # items of a task; windows of a text; None: all, and 200 of our own suites
    seed: int = suites.SEED  # of our own suites
    _core: dict[str, list[Item]] = field(default_factory=dict, init=False)
    _read: dict[str, list[Any]] = field(default_factory=dict, init=False)  # what the other files hold

    def __post_init__(self) -> None:
        if self.most is not None and (not isinstance(self.most, int) or self.most < 1):
            raise RequestError(f"at most {self.most!r:.60} items of a task; expected 1 or more, or None for all")

    def names(self, asked: Iterable[str]) -> list[str]:
        """The tasks that names, groups and paths of texts stand for, each once, in their order.

        "all" is every task whose file is there, but not humaneval, which runs programs and has to be named. Raises
        `RequestError` for an unknown name, `DataError` where a group's file is missing or damaged.
        """
        found: list[str] = []
        for name in asked:
            found += self._group(name)
        if not found:
            raise RequestError(f"no task is named; name some of {', '.join((*GROUPS, *NAMES))}, or a text file")
        return list(dict.fromkeys(found))

    def prepare(self, names: Iterable[str]) -> None:
        """Read every file that is not read yet, so that none stops what is measured later.

        Raises `DataError` for a missing or damaged file, `RequestError` where programs cannot be isolated and are
        asked for.
        """
        wanted = list(dict.fromkeys(names))
        for name in wanted:
            if name in _FILES:
                self.data.need(_FILES[name])
            elif name not in NAMES:
                text_file(name)
        if "humaneval" in wanted:
            sandbox.require()
        shared = dict.fromkeys(CHAT_ARC.get(name, name) for name in wanted)
        self._core |= core.load(self.data, [name for name in shared if name in core.TASKS and name not in self._core])
        for name in wanted:
            if name in _LOAD and name not in self._read:
                self._read[name] = _LOAD[name](self.data)
            elif name in HELD_OUT and name not in self._read:
                self._read[name] = held_out_texts(self.data.path, name)
            elif (name in TEXTS or name not in NAMES) and name not in self._read:
                self._read[name] = documents(self.data.need(TEXTS[name]) if name in TEXTS else name)

    def check_tokenizer(self, tokenizer: Tokenizer, names: Iterable[str]) -> None:
        """Raise `TokenizerError` for one without the special tokens that these tasks need."""
        tokenizer.encode_special("<|bos|>")
        if any(name in suites.BUNDLED or name in CHAT_ARC or name in _LOAD for name in names):
            apply_chat_template(tokenizer, [{"role": "user", "content": "?"}])

    def run(self, llm: LLM, name: str, progress: Progress | None = None) -> Score:
        """The score of one task."""
        def told(done: int, of: int) -> None:
            if progress is not None:
                progress(name, done, of)

        if name in suites.BUNDLED:
            return suites.run(llm, name, suites.questions(name, self.most or suites.SIZE, self.seed), progress=told)
        self.prepare([name])
        if name in core.TASKS:
            return core.run(llm, name, self._core[name], most=self.most, progress=told)
        if name in CHAT_ARC:
            questions = letters.arc(self._core[CHAT_ARC[name]])
            return letters.run(llm, name, questions, most=self.most, progress=told)
        held = self._read[name]
        if name == "mmlu":
            return letters.run(llm, name, held, most=self.most, progress=told)
        if name == "gsm8k":
            return gsm8k.run(llm, held, most=self.most, progress=told)
        if name == "humaneval":
            return humaneval.run(llm, held, most=self.most, progress=told)
        return bits_per_byte(llm, held, max_windows=self.most, progress=told).score(name)

    def _group(self, name: str) -> list[str]:
        if name == "bundled":
            return list(suites.BUNDLED)
        if name == "core":
            present = core.present(self.data)
            if not present:
                path = self.data.need(CORE)  # says where to get it
                raise DataError(f"{path} holds no task of CORE ({SOURCES[CORE]})")
            return present
        if name == "chat":
            return ["mmlu", *CHAT_ARC, "gsm8k"]
        if name == "texts":
            return [text for text, file in TEXTS.items() if self.data.has(file)] or list(TEXTS)
        if name == "all":
            present = core.present(self.data)
            chat = [*(name for name, task in CHAT_ARC.items() if task in present),
                    *(["mmlu"] if self.data.has(MMLU) else []), *(["gsm8k"] if self.data.has(GSM8K) else [])]
            texts = [text for text, file in TEXTS.items() if self.data.has(file)]
            return [*suites.BUNDLED, *present, *chat, *texts]
        if name in NAMES or name.endswith(_TEXT_ENDS):
            return [name]
        raise RequestError(f"there is no task {name!r:.60}; expected some of {', '.join((*GROUPS, *NAMES))}, or the "
                           "path of a .txt or .jsonl file")
