"""nanochat eval: a table, one JSON line, several models side by side, and what is known at Ctrl-C."""

import json

import cyclopts
import pytest

from pynanochat import checkpoint
from pynanochat.cli import app as commands
from pynanochat.cli.conversion import converted
from pynanochat.cli.evaluate import evaluate
from pynanochat.config import GPTConfig
from pynanochat.errors import DataError, NanochatError, RequestError
from pynanochat.eval import suites
from pynanochat.initialize import random_tensors
from pynanochat.synthetic.sample import Question
from pynanochat.tokenizer import Tokenizer


@pytest.fixture
def run(capsys):
    """Exit code, stdout and stderr of the command, or the error that it raises."""
    made = cyclopts.App(name="nanochat", help_format="plaintext", version_flags=[], result_action="return_value",
                        suppress_keyboard_interrupt=False,
                        default_parameter=cyclopts.Parameter(negative=(), converter=converted))
    made.command(evaluate, name="eval")

    def call(*arguments):
        code = made(["eval", *map(str, arguments)], exit_on_error=False, print_error=False)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture(autouse=True)
def own(monkeypatch):
    monkeypatch.setattr(suites, "questions", lambda name, n, seed: [
        Question(kind=name, messages=({"role": "user", "content": "Hi"},), answer="", check=lambda said, i=i: i > 0)
        for i in range(min(n, 4))])
    monkeypatch.setattr(suites, "_MOST_ANSWER", 4)
    monkeypatch.setattr(suites, "_MAX_TOKENS", {})


@pytest.fixture
def text(tmp_path):
    place = tmp_path / "mine.txt"
    place.write_text("A red kite flew over the sea. " * 30)
    return place


def test_for_people(run, tiny, text):
    code, out, err = run(tiny, "--tasks", f"bundled,{text}")
    assert code == 0
    assert out.startswith("tiny, step 3: G4, ")
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    for name in suites.BUNDLED:
        assert "75.0 %" in rows[name]
    assert "mine.txt" in out
    assert "tiny: 9 tasks" in err
    assert err.count("\n") == 10


def test_for_programs(run, tiny):
    code, out, _ = run(tiny, "--suite", "bundled", "--json")
    document = json.loads(out)
    assert (code, out.count("\n")) == (0, 1)
    assert {name: document[name] for name in suites.BUNDLED} == dict.fromkeys(suites.BUNDLED, 0.75)
    assert document["n"] == dict.fromkeys(suites.BUNDLED, 4)
    assert (document["model"], document["step"], document["tasks"]) == ("tiny", 3, {})
    assert json.loads(run(tiny, "--json")[1])["n"] == document["n"]  # the default


def test_several_models(run, tiny, text):
    code, out, _ = run(tiny, "nano8m", "--tasks", f"facts,{text}", "--max-per-task", "2")
    assert code == 0
    assert out.count("parameters, context") == 2
    assert "2 - 1" in out
    assert "tiny@3" in out
    assert "it may well be chance" in out
    assert f"the models read {text} to different ends" in " ".join(out.split())
    assert "different ends" not in run(tiny, "nano8m", "--tasks", text)[1]
    document = json.loads(run(tiny, "nano8m", "--tasks", f"facts,{text}", "--json")[1])
    assert [one["model"] for one in document["models"]] == ["tiny", "nano8m"]
    found = document["differences"][0]
    assert found["facts"] == {"difference": 0, "standard_error": 0, "paired": True}
    assert found[str(text)]["paired"] is False  # windows of other lengths
    assert found[str(text)]["difference"] == pytest.approx(
        document["models"][1]["tasks"][str(text)]["score"] - document["models"][0]["tasks"][str(text)]["score"])


def test_core_is_named_by_its_tasks(run, tiny, tmp_path):
    folder = tmp_path / "eval_bundle" / "eval_data" / "commonsense_reasoning"
    folder.mkdir(parents=True)
    item = {"query": "The cup fell, so " + "far " * 99, "choices": ["it broke.", "it sang."], "gold": 0}
    (folder / "copa.jsonl").write_text(f"{json.dumps(item)}\n" * 3)
    code, out, _ = run(tiny, "--tasks", "core", "--data", tmp_path)
    assert code == 0
    assert "CORE-1" in out
    assert "cannot be set beside CORE" in out
    assert "too long for the context, so cut in front or wrong: copa 3" in out


@pytest.mark.parametrize(("arguments", "kind", "word"), [
    (["--tasks", "nonsense"], RequestError, "no task 'nonsense'"), (["--tasks", ","], RequestError, "no task is named"),
    (["--tasks", "none.txt"], DataError, "none.txt is not there"),
    (["--max-per-task", "0"], RequestError, "--max-per-task is 0"), (["no-such-model"], NanochatError, "no-such-model"),
    (["--tasks", "gsm8k"], DataError, r"gsm8k_test\.jsonl\.xz with --data")])
def test_refusals(run, arguments, kind, word):
    with pytest.raises(kind, match=word):
        run(*arguments)


def test_a_mistake_in_the_last_model_is_told_first(run, tiny, mute, tmp_path, monkeypatch):
    monkeypatch.setattr(suites, "run", lambda *_, **__: pytest.fail("something was measured"))
    words = Tokenizer({bytes([i]): i for i in range(256)}, {"<|bos|>": 256})
    small = GPTConfig(sequence_len=96, vocab_size=257, n_layer=2, n_head=2, n_kv_head=1, n_embd=32)
    base = checkpoint.save(tmp_path / "base", config=small, tensors=random_tensors(small, 1), tokenizer=words)
    for other, word in ((tmp_path / "none", "none"), (mute, "no tokenizer"), (base, "no special token")):
        with pytest.raises(NanochatError, match=word):
            run(tiny, other, "--tasks", "facts")


def test_ctrl_c_keeps_what_is_known(run, tiny, monkeypatch):
    first = suites.run

    def then_stop(llm, name, asked, **how):
        if name == "spelling":
            raise KeyboardInterrupt
        return first(llm, name, asked, **how)

    monkeypatch.setattr(suites, "run", then_stop)
    code, out, err = run(tiny, "nano8m", "--json")
    document = json.loads(out)["models"]
    assert (code, len(document)) == (130, 1)
    assert (document[0]["complete"], document[0]["n"]) == (False, {"arithmetic": 4, "word_problems": 4})
    assert "stopped after 2 of 8 tasks" in err
    code, out, _ = run(tiny, "--tasks", "spelling")
    assert (code, out) == (130, "")


def test_it_is_a_command_of_the_program():
    if "eval" not in commands._COMMANDS:
        pytest.skip("not registered yet")
    assert commands._COMMANDS["eval"][0] == "evaluate:evaluate"
