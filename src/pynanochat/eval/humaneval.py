"""HumanEval: functions written from their description, run with their tests in the sandbox, never outside it.

Source of prompt and assembly: karpathy/nanochat, tasks/humaneval.py.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pynanochat.errors import DataError
from pynanochat.eval import sandbox
from pynanochat.eval.answers import answers
from pynanochat.eval.data_folder import HUMANEVAL, DataFolder
from pynanochat.eval.score import Score
from pynanochat.llm import LLM

MAX_TOKENS = 512
_FENCED = re.compile(r"```(?:python)?\s*\n(.*?)\n```", re.DOTALL)


@dataclass(frozen=True)
class Task:
    """The beginning of a program, and what tests the function that it begins."""

    prompt: str
    entry_point: str
    test: str


def load(data: DataFolder) -> list[Task]:
    """The tasks in the file's order. Raises `DataError` for a file of another kind."""
    found = []
    for place, item in enumerate(data.lines(HUMANEVAL), 1):
        fields = [item.get(name) for name in ("prompt", "entry_point", "test")]
        if not all(isinstance(one, str) for one in fields) or not str(item["entry_point"]).isidentifier():
            raise DataError(f"{data.path / HUMANEVAL}, line {place}: expected prompt, entry_point and test")
        found.append(Task(*map(str, fields)))
    return found


def program(task: Task, answer: str, mark: str) -> str:
    """The program that tests an answer: the prompt's imports, the first fenced block or all of it, then the tests.

    It prints `mark` at its very end, so that leaving early does not count as passing.
    """
    block = _FENCED.search(answer)
    code = (block[1] if block else answer).strip()
    return f"{_imports(task.prompt)}\n\n{code}\n\n{task.test}\ncheck({task.entry_point})\nprint({mark!r})\n"


def passes(task: Task, answer: str, limits: sandbox.Limits | None = None) -> bool:
    """Whether an answer passes the tests, in the sandbox."""
    mark = secrets.token_hex(16)
    result = sandbox.run(program(task, answer, mark), limits)
    return result.ok and result.output.endswith(f"{mark}\n")


def run(
    llm: LLM,
    tasks: Sequence[Task],
    *,
    most: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Score:
    """pass@1 of greedy answers to the first `most` tasks. Raises `RequestError` where nothing can isolate them."""
    sandbox.require()
    chosen = tasks[:most]
    outputs = answers(llm, [[{"role": "user", "content": task.prompt}] for task in chosen], max_tokens=MAX_TOKENS,
                      progress=progress)
    right = [output is not None and passes(task, output.text)
             for output, task in zip(outputs, chosen, strict=True)]
    return Score.of_answers("humaneval", right, too_long=outputs.count(None))


def _imports(prompt: str) -> str:
    found = []
    for line in map(str.strip, prompt.split("\n")):
        if line.startswith(("import ", "from ")):
            found.append(line)
        elif line and not line.startswith("#"):
            break
    return "\n".join(found)
