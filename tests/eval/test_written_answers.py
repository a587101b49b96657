"""Tasks that are answered in words: GSM8K, HumanEval and our own suites."""

import gzip
import json
import lzma

import pytest

from pynanochat.errors import DataError, RequestError
from pynanochat.eval import gsm8k, humaneval, sandbox, suites
from pynanochat.eval.answers import answers
from pynanochat.eval.data_folder import DataFolder
from pynanochat.sampling import SamplingPolicy
from pynanochat.synthetic.sample import Question

ADD = humaneval.Task("from typing import List\n# sums\n\ndef add(a: int, b: int):\n    \"\"\"a + b\"\"\"\n", "add",
                     "def check(candidate):\n    assert candidate(2, 3) == 5\n")
isolated = pytest.mark.skipif(sandbox.refusal() is not None, reason=f"no sandbox here: {sandbox.refusal()}")


def user(text):
    return [{"role": "user", "content": text}]


def question(text, answer, **more):
    return Question(kind="own", messages=tuple(user(text)), answer=answer, **more)


def test_answers_are_those_of_one_at_a_time(story):
    asked = [user("What is 123 times 45?"), user("Who are you?"), user("x " * 600), user("What is 7 plus 8?")]
    heard = []
    found = answers(story, asked, max_tokens=40, batch=2, progress=lambda *done: heard.append(done))
    assert found[2] is None  # it leaves no room
    assert heard == [(2, 4), (4, 4)]
    for conversation, output in zip(asked, found, strict=True):
        if output is not None:
            alone = answers(story, [conversation], max_tokens=40)[0]
            assert output.tokens == alone.tokens
    assert "5535" in found[0].text
    assert any(part["type"] == "python" for part in found[0].parts)
    assert "python" not in found[0].text


def test_sampled_answers_differ_and_come_again(story):
    policy = SamplingPolicy(temperature=1.0, seed=3)
    first, second = (answers(story, [user("Tell me a story.")] * 3, max_tokens=12, policy=policy) for _ in range(2))
    assert [one.tokens for one in first] == [one.tokens for one in second]
    assert len({tuple(one.tokens) for one in first}) > 1


def test_suites(story, monkeypatch):
    asked = [question("What is 123 times 45?", "5535"), question("What is 7 plus 8?", "16"),
             question("What is 7 plus 8?", "", check=lambda said: "15" in said and "7+8" not in said),
             question("x " * 600, "y")]
    score = suites.run(story, "arithmetic", asked)
    assert [right for right, _ in score.outcomes] == [1, 0, 1, 0]
    assert (score.value, score.n, score.too_long) == (0.5, 4, 1)
    seen = []
    monkeypatch.setattr(suites, "answers", lambda llm, asked, **how: seen.append(how) or [None] * len(asked))
    for name in ("facts", "story_consistency"):
        suites.run(story, name, asked)
    assert seen[0]["policy"] is None
    assert (seen[1]["policy"].temperature, seen[1]["policy"].top_p) == (0.8, 0.95)
    assert seen[1]["policy"].seed is not None


def test_the_suites_are_the_generators():
    found = suites.questions("arithmetic", 3)
    assert len(found) == 3
    assert all(one.messages[-1]["role"] == "user" for one in found)
    assert [one.messages for one in suites.questions("arithmetic", 3)] == [one.messages for one in found]


@pytest.mark.parametrize(("text", "number"), [
    ("so 3 + 4\n#### 7", "7"), ("#### -1,234.5", "-1234.5"), ("####7", None), ("the answer is 7", None),
    ("#### 1 and #### 2", "1")])
def test_the_number_of_an_answer(text, number):
    assert gsm8k.number(text) == number


def test_gsm8k(story, tmp_path, monkeypatch):
    items = [{"question": f"What is {i} plus 1?", "answer": f"<<{i}+1={i + 1}>>.\n#### 1,00{i}"} for i in range(3)]
    place = tmp_path / "gsm8k_test.jsonl.xz"
    place.write_bytes(lzma.compress("\n".join(map(json.dumps, items)).encode()))
    problems = gsm8k.load(DataFolder(tmp_path))
    assert [one.answer for one in problems] == ["1000", "1001", "1002"]
    assert gsm8k.run(story, problems, most=2).value == 0
    answer = answers(story, [user("hi")], max_tokens=2)[0]
    said = [type(answer)(**{**vars(answer), "text": f"It is\n#### {text}"}) for text in ("1,000", "7")]
    monkeypatch.setattr(gsm8k, "answers", lambda *_, **__: [*said, None])
    score = gsm8k.run(story, problems)
    assert ([right for right, _ in score.outcomes], score.too_long) == ([1, 0, 0], 1)
    place.write_bytes(lzma.compress(b'{"question": "Q", "answer": "7"}'))
    with pytest.raises(DataError, match="line 1: expected question, and answer with ####"):
        gsm8k.load(DataFolder(tmp_path))


def test_a_program_from_an_answer():
    fenced = humaneval.program(ADD, "Sure.\n```python\ndef add(a, b):\n    return a + b\n```\nDone.")
    assert fenced.startswith("from typing import List\n\ndef add(a, b):\n    return a + b\n\n")
    assert fenced.endswith("\n_answer(add)\n")
    assert "assert" not in fenced
    assert "\n\nadd = 1\n\n" in humaneval.program(ADD, " add = 1\n")
    assert humaneval.judge(ADD).endswith("\nadd = _ask\n\n" + ADD.test + "\ncheck(_ask)\n")


@isolated
@pytest.mark.parametrize(("answer", "right"), [
    ("def add(a, b):\n    return a + b", True), ("```\ndef add(a: int, b: int) -> List:\n    return b + a\n```", True),
    ("print('x' * 9999)\ndef add(a, b):\n    print(a)\n    return a + b", True),
    ("def print(*_): 1 / 0\ndef add(a, b):\n    return a + b\nrepr = open = list = None", True),
    ("def add(a, b):\n    return a - b", False), ("raise SystemExit", False), ("import os\nos._exit(0)", False),
    ("I cannot do that.", False), ("def add(a, b):\n    while True: pass", False), ("", False)])
def test_programs_that_pass_and_fail(answer, right):
    assert humaneval.passes(ADD, answer, sandbox.Limits(seconds=30, cpu_seconds=2)) == right


@isolated
@pytest.mark.parametrize("answer", [
    "class Same:\n    def __eq__(self, other): return True\ndef add(a, b): return Same()",
    "class Same(int):\n    def __eq__(self, other): return True\ndef add(a, b): return Same(4)",
    "def add(a, b): raise SystemExit", "import builtins\nbuiltins.AssertionError = ValueError\ndef add(a, b): return 1",
    "import os, sys\nsys.excepthook = lambda *_: os._exit(0)\ndef add(a, b): return 1",
    "import os\nfor port in range(32):\n    try: os.close(port)\n    except OSError: pass\ndef add(a, b): return 1",
    "import os\nos.write(0, b'4\\n5')\nos._exit(0)", "import os\nos.write(0, b'__import__(\"os\")._exit(0)\\n')",
    "print(open(__file__).read())\nprint('passed')", "def add(a, b): return '(' * 10**6", "def add(a, b): return add"])
def test_no_answer_talks_its_way_past_the_tests(answer):
    assert not humaneval.passes(ADD, answer, sandbox.Limits(seconds=30, cpu_seconds=5))


@isolated
def test_tests_see_plain_values():
    task = humaneval.Task("import math\ndef twice(x):\n    return 2 * x\n\ndef seen(x):\n    pass\n", "seen", (
        "def check(candidate):\n    assert candidate([1, ('a', None)]) == {'ä': {3}, 2: (b'x', 1.5, 2j, True)}\n"
        "    assert seen(twice(1)) == [2] and type(seen(2)) is list\n"))
    assert humaneval.passes(task, "import collections\n\nclass Mine(list): pass\n\ndef seen(x):\n    if x == 2:\n"
                                  "        return Mine([x])\n    d = collections.defaultdict(list)\n"
                                  "    d['ä'] = frozenset({3})\n    d[2] = (b'x', 1.5, 2j, True)\n    return d")


@isolated
def test_humaneval(story, tmp_path):
    place = tmp_path / "HumanEval.jsonl.gz"
    place.write_bytes(gzip.compress(json.dumps(vars(ADD)).encode()))
    tasks = humaneval.load(DataFolder(tmp_path))
    assert tasks == [ADD]
    assert humaneval.run(story, tasks).value == 0
    place.write_bytes(gzip.compress(json.dumps({**vars(ADD), "entry_point": "a; b"}).encode()))
    with pytest.raises(DataError, match="line 1: expected prompt, entry_point and test"):
        humaneval.load(DataFolder(tmp_path))


def test_humaneval_is_refused_where_nothing_isolates(story, monkeypatch):
    monkeypatch.setattr("pynanochat.eval.sandbox.support.refusal", lambda: "no walls")
    monkeypatch.setattr(sandbox, "run", lambda *_: pytest.fail("something was run"))
    with pytest.raises(RequestError, match="in a sandbox only, and there is none here: no walls"):
        humaneval.run(story, [ADD])
