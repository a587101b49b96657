"""The calculator against Python's own eval under upstream's rules, and the tool machine against upstream's engine."""

import ast
import json
import threading
import time
import warnings

import pytest
from fixture_files import parity
from fuzzing import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pynanochat.calculator import calculate
from pynanochat.errors import TokenizerError
from pynanochat.tokenizer import SPECIAL_TOKENS, Tokenizer
from pynanochat.tools import ToolMachine

QUICK = settings(max_examples=examples(500), deadline=None)
TINY = Tokenizer({bytes([byte]): byte for byte in range(256)},
                 {name: 256 + at for at, name in enumerate(SPECIAL_TOKENS)})
START, END, OUT, OUT_END = (TINY.encode_special(f"<|{name}|>") for name in (
    "python_start", "python_end", "output_start", "output_end"))
LETTERS = "abcdefghijklmnopqrstuvwxyz"
FORBIDDEN = ["__", "import", "exec", "eval", "compile", "open", "file", "input", "raw_input", "globals", "locals",
             "vars", "dir", "getattr", "setattr", "delattr", "hasattr"]


def oracle(text):
    """What upstream's rules give; only for texts that the strategies below draw."""
    text = text.replace(",", "")
    if all(character in "0123456789*+-/.() " for character in text):
        if "**" in text:
            return None
    else:
        allowed = LETTERS + LETTERS.upper() + "0123456789'\"()._ "
        if not all(character in allowed for character in text) or ".count(" not in text:
            return None
        if any(word in text.lower() for word in FORBIDDEN):
            return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return str(eval(text, {"__builtins__": {}}, {}))
    except Exception:
        return None


def cases():
    return json.loads(parity("engine_cases.json").read_text())


def test_calculator_as_upstream():
    for case in cases()["calculator"]:
        assert calculate(case["expr"]) == case["result"], case["expr"]


@given(st.text("0123456789*+-/.() ,", max_size=12))
@example("...")
@example("(...)")
@example("()*3")
@example("()+()")
@example("-()")
@example("00")
@example("00.5")
@example("09.5")
@example("1..5")
@example("1.*2")
@example("(1)(2)")
@example("1/ /2")
@example("7//-2*3")
@example("2-3-4")
@example("8/4/2")
@example("- - +5")
@example("0/-5.0")
@example("()*99999999999999999999")
@example("2*" * 60 + "2.5")
@example("9" * 400 + "." + "-" + "9" * 400 + ".")
@example("9" * 400 + "*1.5")
@QUICK
def test_arithmetic_as_eval(text):
    assert calculate(text) == oracle(text)


numbers = st.from_regex(r"[0-9]{1,4}(\.[0-9]{0,3})?|\.[0-9]{1,3}", fullmatch=True)
expressions = st.recursive(
    numbers, lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "//", " + ", " // "]), inner).map("".join),
        inner.map("({})".format), inner.map(" -{}".format), inner.map("+ {}".format)), max_leaves=12)


@given(expressions)
@QUICK
def test_whole_expressions_as_eval(text):
    assert calculate(text) == oracle(text)


FRAGMENTS = ["'ab a'", '"aXb"', "''", '"a\'"', "'", '"', "'''", '"""', "(", ")", ".count(", ".count('a')", ".count('')",
             ".upper()", ".title()", ".strip('a')", ".lower(", " ", " .", "1", ".5", "...", ".", ",", "_"]


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=8).map("".join))
@example("'a' 'b'.count('a')")
@example("('a' \"b\").count('a' 'b')")
@example("'''a''' .count('a')")
@example("'aAa'.upper().count('A')")
@example("'aAa'.count('A'.lower())")
@example("'.count('.upper()")
@example("'a'.count(())")
@example("'a'.count()")
@example("''''a'.count('a')")
@example("1 .count('a')")
@example("'''a'.count('a')")
@example('""""a".count("a")')
@settings(QUICK, max_examples=examples(1000))
def test_counting_as_eval(text):
    assert calculate(text) == oracle(text)


def test_forbidden_words():
    assert calculate("'harmless'.count('r')") == "1"
    for word in FORBIDDEN:
        for spelled in (word, word.upper(), word[0] + "," + word[1:]):
            assert calculate(f"'a {spelled}b'.count('a')") is None


def test_whatever_has_a_result_is_what_eval_gives():
    """Texts beyond the grammar get no result; they never get another one."""
    for text in ("'abc'.encode().count(b'a')", "'a'.count('a').real", "True or 'a'.count('a')", "r'a'.count('a')",
                 "'a' in 'abc' .count('a')", "not 'a'.count('b')", "'a'.count(chr(97))", "(x.count('a') for x in 'ab')",
                 "'.count('.ljust(2000000000)", "'x'.zfill(9).count('0')", "x.count('a')"):
        assert calculate(text) is None, text


def test_bounds_hold():
    started = time.perf_counter()
    for text in ("9" * 2049, "9*" * 2000 + "9", "(" * 2000 + "1" + ")" * 2000, "-" * 2040 + "1", "1+" * 1000 + "1",
                 "9" * 200 + "*" + "9" * 200, "'a'" * 600 + ".count('a')", "9" * 2046 + "*9", "(" * 2048, "'" * 2048,
                 "'''" * 682, "." * 2048, " " * 2048, "9" * 1000 + "*" + "9" * 1000 + "*9", ".count(" * 290):
        result = calculate(text)
        assert result is None or len(result) <= 128
    assert time.perf_counter() - started < 5
    assert calculate("(" * 32 + "1" + ")" * 32) == "1"
    assert calculate("(" * 33 + "1" + ")" * 33) is None
    assert calculate("9" * 128) == "9" * 128
    assert calculate("9" * 129) is None
    assert calculate("-" * 2046 + "1") == "1"
    assert calculate("9" * 900 + "*" + "7" * 900 + "//" + "9" * 850) is None  # 950 digits
    long = "9" * 500 + "*" + "7" * 500 + "//" + "9" * 900
    assert calculate(long) == oracle(long) == "7" * 100
    assert calculate("*".join(["9" * 200] * 10) + "//1") is None


def test_works_in_any_thread_and_deep_in_a_stack():
    results = []
    thread = threading.Thread(target=lambda: results.append(calculate("2+3*4")))
    thread.start()
    thread.join()
    assert results == ["14"]

    def deep(levels):
        if levels:
            return deep(levels - 1)
        return calculate("(" * 32 + "1" + ")" * 32)

    for levels in range(0, 960, 40):
        try:
            assert deep(levels) in ("1", None)  # never another exception than what the caller's own depth raises
        except RecursionError:
            assert levels > 500


# the machine


def play(machine, sampled):
    """All tokens of a sequence, those forced instead of sampled included."""
    out, forced, sampled = [], [], list(sampled)
    while sampled or forced:
        if forced:
            out.append(forced.pop(0))
        else:
            out.append(sampled.pop(0))
            forced += machine.push(out[-1])
    return out


def test_machine_as_upstream():
    """A row of upstream's engine: a forced token takes the place of what is sampled in the same step."""
    everything = cases()
    tokenizer = Tokenizer.load(parity("tokenizer_600"))
    assert dict(tokenizer.special_tokens) == everything["special_tokens"]
    ends = (tokenizer.encode_special("<|assistant_end|>"), tokenizer.bos)
    for case in everything["cases"]:
        machines = [ToolMachine(tokenizer) for _ in range(case["num_samples"])]
        forced = [[] for _ in machines]
        done = [False for _ in machines]
        columns, masks = [], []
        while len(columns) < case["max_tokens"] and not all(done):
            column, mask = [], []
            for row, machine in enumerate(machines):
                script = case["scripts"][0 if not columns else row]  # the prefill runs once for all rows
                step = len(columns)
                sampled = script[step] if step < len(script) else case["fill"]
                mask.append(0 if forced[row] else 1)
                token = forced[row].pop(0) if forced[row] else sampled
                column.append(token)
                forced[row] += machine.push(token)
                done[row] = done[row] or token in ends
            columns.append(column)
            masks.append(mask)
        assert columns == case["columns"], case["name"]
        assert masks == case["masks"], case["name"]


def test_a_block_is_computed_when_it_closes():
    machine = ToolMachine(TINY)
    for token in [*b"1+1", START, *b"2*21"]:
        assert machine.push(token) == []
    assert machine.open
    assert machine.push(END) == [OUT, *b"42", OUT_END]
    assert not machine.open
    assert machine.push(END) == []


def test_what_opens_and_what_does_not():
    assert play(ToolMachine(TINY), [START, *b"9+9", START, *b"1+1", END])[-3:] == [OUT, ord("2"), OUT_END]
    for tokens in ([START, END], [END], [*b"1+1", END], [START, *b"no", END], [START, TINY.bos, *b"1+1", END]):
        assert play(ToolMachine(TINY), tokens) == tokens


def test_forks_go_on_independently():
    machine = ToolMachine(TINY)
    for token in [START, *b"1+"]:
        machine.push(token)
    fork = machine.copy()
    fork.push(ord("5"))
    machine.push(ord("1"))
    assert fork.push(END) == [OUT, ord("6"), OUT_END]
    assert machine.open
    assert machine.push(END) == [OUT, ord("2"), OUT_END]
    assert not machine.copy().open


def test_another_tool():
    asked = []

    def tool(text):
        asked.append(text)
        return "<|bos|>" if text == "é" else None

    machine = ToolMachine(TINY, tool)
    assert play(machine, [START, *"é".encode(), END]) == [START, *"é".encode(), END, OUT, *b"<|bos|>", OUT_END]
    assert play(machine, [START, 0xFF, OUT, END]) == [START, 0xFF, OUT, END]
    assert play(machine, [START, END, END]) == [START, END, END]
    assert asked == ["é", "\ufffd<|output_start|>"]


def test_a_tokenizer_without_tools_is_refused():
    plain = Tokenizer({bytes([byte]): byte for byte in range(256)}, {"<|bos|>": 256})
    with pytest.raises(TokenizerError, match=r"<\|python_start\|>"):
        ToolMachine(plain)


def test_no_module_of_the_calculator_evaluates():
    from pynanochat import calculator, tools
    for module in (calculator, tools):
        with open(module.__file__) as file:
            tree = ast.parse(file.read())
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        assert not names & {"eval", "exec", "compile", "__import__", "getattr", "ast"}
