"""HumanEval: functions written from their description, run with their tests in the sandbox, never outside it.

Source of prompt and assembly: karpathy/nanochat, tasks/humaneval.py.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pynanochat.errors import DataError
from pynanochat.eval import sandbox
from pynanochat.eval.answers import answers
from pynanochat.eval.data_folder import HUMANEVAL, DataFolder
from pynanochat.eval.score import Score
from pynanochat.llm import LLM

MAX_TOKENS = 512
# Arguments and results cross as Python literals, a line each. All names are local, whatever the answer calls its own.
_ASKING = """
def _ask(*arguments):
    import ast, os, sys
    os.write(0, f"{arguments!a}\\n".encode())
    line = sys.stdin.readline(1 << 20)
    if not line.endswith("\\n"):
        raise EOFError("the answer ended, or said too much")
    return ast.literal_eval(line)
"""
_ANSWERING = """
def _plain(value):
    import builtins as b
    for kind in (b.bool, b.int, b.float, b.complex, b.str, b.bytes):
        if b.isinstance(value, kind):
            return kind(value)
    for kind, made in ((b.list, b.list), (b.tuple, b.tuple), ((b.set, b.frozenset), b.set)):
        if b.isinstance(value, kind):
            return made(_plain(one) for one in value)
    if b.isinstance(value, b.dict):
        return {_plain(key): _plain(one) for key, one in value.items()}
    return value

def _answer(function):
    import ast, builtins, os, sys
    for line in sys.stdin:
        os.write(0, (builtins.ascii(_plain(function(*ast.literal_eval(line)))) + "\\n").encode())
"""
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


def program(task: Task, answer: str) -> str:
    """What the model wrote, as a program: the prompt's imports, the first fenced block or all of it, then the calls."""
    block = _FENCED.search(answer)
    code = (block[1] if block else answer).strip()
    return f"{_imports(task.prompt)}\n\n{code}\n\n{_ANSWERING}\n_answer({task.entry_point})\n"


def judge(task: Task) -> str:
    """The program that tests it: the prompt, whose helpers the tests may use, and the tests, which ask the answer."""
    return f"{task.prompt}\n\n{_ASKING}\n{task.entry_point} = _ask\n\n{task.test}\ncheck(_ask)\n"


def passes(task: Task, answer: str, limits: sandbox.Limits | None = None) -> bool:
    """Whether an answer passes the tests, in the sandbox.

    The tests are a program of their own, with the answer as its partner: whatever the answer does to its own process,
    all that reaches the tests are the plain values that it returns.
    """
    return sandbox.run(judge(task), limits, partner=program(task, answer)).ok


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
