"""The tasks by name: what a name or the name of a group stands for, and how each is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from pynanochat.errors import RequestError
from pynanochat.eval import core, gsm8k, humaneval, letters, sandbox, suites
from pynanochat.eval.bits_per_byte import bits_per_byte
from pynanochat.eval.data_folder import CORE, GSM8K, HUMANEVAL, MMLU, DataFolder, documents, text_file
from pynanochat.eval.few_shot import Item
from pynanochat.eval.score import Score
from pynanochat.llm import LLM

Progress = Callable[[str, int, int], None]  # task, items done, items in all

CHAT_ARC = {"chat_arc_easy": "arc_easy", "chat_arc_challenge": "arc_challenge"}
TEXTS = {
    "tinystories": "tinystories_slice_cdla.txt.xz", "wikitext2": "wikitext2_test.txt.xz",
    "shakespeare": "tinyshakespeare.txt", "books": "books_children_cc0.jsonl.xz"}
GROUPS = ("bundled", "core", "chat", "texts", "all")
NAMES = (*suites.BUNDLED, *core.TASKS, "mmlu", *CHAT_ARC, "gsm8k", "humaneval", *TEXTS)
_TEXT_ENDS = (".txt", ".jsonl", ".txt.xz", ".jsonl.xz", ".txt.gz", ".jsonl.gz")


@dataclass
class Catalogue:
    """Tasks and the folder of their files, which are read once, however many models are measured."""

    data: DataFolder = field(default_factory=DataFolder)
    most: int | None = None  # items of a task; windows of a text
    seed: int = suites.SEED  # of our own suites
    _core: dict[str, list[Item]] = field(default_factory=dict, init=False)

    def names(self, asked: Iterable[str]) -> list[str]:
        """The tasks that names, groups and paths of texts stand for, each once, in their order.

        "all" is every task whose file is there, but not humaneval, which runs programs and has to be named. Raises
        `RequestError` for an unknown name.
        """
        found: list[str] = []
        for name in asked:
            found += self._group(name)
        if not found:
            raise RequestError(f"no task is named; name some of {', '.join((*GROUPS, *NAMES))}, or a text file")
        return list(dict.fromkeys(found))

    def prepare(self, names: Iterable[str]) -> None:
        """Read what several tasks share, and look for every other file, before anything is measured.

        Raises `DataError` for a missing file, `RequestError` where programs cannot be isolated and are asked for.
        """
        wanted = list(names)
        shared = [CHAT_ARC.get(name, name) for name in wanted]
        shared = [name for name in dict.fromkeys(shared) if name in core.TASKS and name not in self._core]
        if shared:
            self._core |= core.load(self.data, shared)
        for name, file in {"mmlu": MMLU, "gsm8k": GSM8K, "humaneval": HUMANEVAL, **TEXTS}.items():
            if name in wanted:
                self.data.need(file)
        for name in wanted:
            if name not in NAMES:
                text_file(name)
        if "humaneval" in wanted:
            sandbox.require()

    def run(self, llm: LLM, name: str, progress: Progress | None = None) -> Score:
        """The score of one task."""
        def told(done: int, of: int) -> None:
            if progress is not None:
                progress(name, done, of)

        if name in suites.BUNDLED:
            return suites.run(llm, name, suites.questions(name, self.most or suites.SIZE, self.seed), progress=told)
        if name in core.TASKS:
            self.prepare([name])
            return core.run(llm, name, self._core[name], most=self.most, progress=told)
        if name in CHAT_ARC:
            self.prepare([name])
            questions = letters.arc(self._core[CHAT_ARC[name]])
            return letters.run(llm, name, questions, most=self.most, progress=told)
        if name == "mmlu":
            return letters.run(llm, name, letters.mmlu(self.data), most=self.most, progress=told)
        if name == "gsm8k":
            return gsm8k.run(llm, gsm8k.load(self.data), most=self.most, progress=told)
        if name == "humaneval":
            return humaneval.run(llm, humaneval.load(self.data), most=self.most, progress=told)
        path = self.data.need(TEXTS[name]) if name in TEXTS else name
        return bits_per_byte(llm, documents(path), max_windows=self.most, progress=told).score(name)

    def _group(self, name: str) -> list[str]:
        if name == "bundled":
            return list(suites.BUNDLED)
        if name == "core":
            present = core.present(self.data)
            if not present:
                self.data.need(CORE)  # says where to get it
            return present
        if name == "chat":
            return ["mmlu", *CHAT_ARC, "gsm8k"]
        if name == "texts":
            return [text for text, file in TEXTS.items() if self.data.has(file)] or list(TEXTS)
        if name == "all":
            chat = [*([*CHAT_ARC] if core.present(self.data) else []), *(["mmlu"] if self.data.has(MMLU) else []),
                    *(["gsm8k"] if self.data.has(GSM8K) else [])]
            texts = [text for text, file in TEXTS.items() if self.data.has(file)]
            return [*suites.BUNDLED, *core.present(self.data), *chat, *texts]
        if name in NAMES or name.endswith(_TEXT_ENDS):
            return [name]
        raise RequestError(f"there is no task {name!r:.60}; expected some of {', '.join((*GROUPS, *NAMES))}, or the "
                           "path of a .txt or .jsonl file")
