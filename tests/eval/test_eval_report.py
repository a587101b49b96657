"""Scores, their errors and differences, the names of tasks, and a whole report."""

import json
import math

import pytest

from pynanochat.errors import DataError, RequestError, TokenizerError
from pynanochat.eval import Catalogue, DataFolder, Score, catalogue, comparison, core, difference, evaluate, suites
from pynanochat.eval.report import Facts, Report, differences
from pynanochat.synthetic.sample import Question
from pynanochat.tokenizer import Tokenizer


@pytest.fixture
def own(monkeypatch):
    """Suites of two questions each, without the generator."""
    def questions(name, n, seed):
        return [Question(kind=name, messages=({"role": "user", "content": "What is 2 plus 3?"},), answer=answer)
                for answer in ("5", "no")][:n]

    monkeypatch.setattr(suites, "questions", questions)


def test_the_error_of_a_share():
    score = Score.of_answers("mine", [True] * 3 + [False])
    assert (score.value, score.n) == (0.75, 4)
    assert score.standard_error == pytest.approx(math.sqrt(0.75 * 0.25 / 3))
    assert Score.of_answers("mine", [True]).standard_error == 0
    assert (score.centred, Score.of_answers("mine", [True, False], chance=0.25).centred) == (None, pytest.approx(1 / 3))


def test_the_error_of_a_ratio():
    score = Score.of_ratio("mine", [(2.0, 1.0), (4.0, 3.0)], unit="bits/byte")
    assert score.value == 1.5
    assert score.standard_error == pytest.approx(math.sqrt((0.5**2 + 0.5**2) * 2) / 4)


def test_differences_are_paired_where_they_can_be():
    first = Score.of_answers("mine", [True, False] * 8)
    second = Score.of_answers("mine", [True, True, *[True, False] * 7])
    found = difference(first, second)
    assert (found.value, found.paired, found.clear) == (1 / 16, True, False)
    assert found.standard_error < first.standard_error
    same = difference(first, first)
    assert (same.value, same.standard_error) == (0, 0)
    other = difference(first, Score.of_answers("mine", [True] * 5))
    assert (other.paired, other.standard_error) == (False, first.standard_error)
    assert difference(Score.of_ratio("t", [(1.0, 3.0), (2.0, 1.0)]), Score.of_ratio("t", [(1.0, 2.0), (2.0, 2.0)])
                      ).paired is False


def test_names(tmp_path, packed):
    tasks = Catalogue(DataFolder(tmp_path))
    assert tasks.names(["bundled"]) == list(suites.BUNDLED) == [
        "arithmetic", "word_problems", "spelling", "facts", "story_questions", "identity", "story_consistency",
        "story_requests"]
    assert tasks.names(["copa", "facts", "copa", "x/y.txt"]) == ["copa", "facts", "x/y.txt"]
    assert tasks.names(["chat"]) == ["mmlu", "chat_arc_easy", "chat_arc_challenge", "gsm8k"]
    assert tasks.names(["all"]) == list(suites.BUNDLED)  # no file is there
    with pytest.raises(RequestError, match=r"no task 'copas'; expected some of bundled, core"):
        tasks.names(["copas"])
    with pytest.raises(RequestError, match="no task is named"):
        tasks.names([])
    with pytest.raises(DataError, match="llm-foundry"):
        tasks.names(["core"])
    for name in (catalogue.MMLU, catalogue.GSM8K, catalogue.HUMANEVAL, "tinyshakespeare.txt"):
        (tmp_path / name).touch()
    packed(catalogue.CORE, {f"eval_data/{task.file}": "" for name, task in core.TASKS.items() if name != "arc_easy"})
    everything = tasks.names(["all"])
    assert len(everything) == 8 + 21 + 3 + 1
    assert not {"arc_easy", "chat_arc_easy", "humaneval"} & set(everything)
    assert tasks.names(["texts"]) == ["shakespeare"]
    packed(catalogue.CORE, {"other/copa.jsonl": ""})
    assert len(tasks.names(["all"])) == 8 + 2 + 1
    with pytest.raises(DataError, match=r"holds no task of CORE \(pack .* as eval_data/"):
        tasks.names(["core"])


@pytest.mark.parametrize("most", [0, -1, 1.5, "2"])
def test_how_many_items(tiny, most):
    with pytest.raises(RequestError, match=f"at most {most!r} items of a task; expected 1 or more"):
        evaluate(tiny, ["facts"], max_per_task=most, progress=lambda *_: pytest.fail("something was measured"))


def test_missing_files_are_told_before_anything_runs(tiny, tmp_path):
    for name in ("copa", "mmlu", "chat_arc_easy", "gsm8k", "humaneval", "wikitext2", "none.txt"):
        with pytest.raises(DataError, match="is not there"):
            evaluate(tiny, ["facts", name], data=tmp_path, progress=lambda *_: pytest.fail("something was measured"))


def test_damaged_files_are_told_before_anything_runs(tiny, tmp_path):
    for name, file in {"mmlu": catalogue.MMLU, "gsm8k": catalogue.GSM8K, "copa": catalogue.CORE,
                       "wikitext2": "wikitext2_test.txt.xz", str(tmp_path / "own.txt.gz"): "own.txt.gz"}.items():
        (tmp_path / file).write_bytes(b"damaged")
        with pytest.raises(DataError, match=f"{file} cannot be read"):
            evaluate(tiny, ["facts", name], data=tmp_path, progress=lambda *_: pytest.fail("something was measured"))


def test_files_are_read_once(tiny, tmp_path):
    (tmp_path / "mine.txt").write_text("Ben had a red kite. ")
    tasks = Catalogue(DataFolder(tmp_path))
    tasks.prepare([str(tmp_path / "mine.txt")])
    (tmp_path / "mine.txt").unlink()  # a second model is measured on the same text, whatever became of it
    (tmp_path / "mine.txt").write_text("x")
    assert tasks.run(tiny, str(tmp_path / "mine.txt")).facts["bytes"] == 20


def test_a_tokenizer_without_the_tokens_of_a_conversation():
    plain = Tokenizer({bytes([i]): i for i in range(256)}, {"<|bos|>": 256})
    tasks = Catalogue()
    tasks.check_tokenizer(plain, ["copa", "mine.txt", "wikitext2"])
    for name in ("facts", "mmlu", "chat_arc_easy", "gsm8k", "humaneval"):
        with pytest.raises(TokenizerError, match="no special token"):
            tasks.check_tokenizer(plain, ["copa", name])
    with pytest.raises(TokenizerError, match="no special token"):
        tasks.check_tokenizer(Tokenizer({bytes([i]): i for i in range(256)}, {}), ["copa"])


def test_a_report(story, own, tmp_path):
    (tmp_path / "mine.txt").write_text("Ben had a red kite. " * 40)
    heard = []
    report = evaluate(story, ["bundled", str(tmp_path / "mine.txt")], max_per_task=2,
                      progress=lambda *done: heard.append(done))
    document = json.loads(json.dumps(report.to_dict()))
    assert [document[name] for name in suites.BUNDLED] == [0.5] * 8
    assert document["n"] == dict.fromkeys(suites.BUNDLED, 2)
    assert document["standard_error"]["facts"] == pytest.approx(0.5)
    text = document["tasks"][str(tmp_path / "mine.txt")]
    assert (text["unit"], text["n"], text["bytes"] > 300) == ("bits/byte", 1, True)
    assert (document["model"], document["generation"], document["complete"]) == ("story5m", "G4", True)
    assert "core" not in document
    assert heard[0] == ("arithmetic", 2, 2)
    assert report["facts"].value == 0.5


def test_a_comparison(tiny):
    facts = Facts.of(tiny)
    one, two = (Report(facts=facts, seconds=1, scores=(
        Score.of_answers("copa", right, chance=0.5), Score.of_answers("facts", right))) for right in (
            [True, False, False], [True, True, False]))
    other = Report(facts=facts, seconds=1, scores=(Score.of_answers("piqa", [True]),))
    found = comparison([one, two, other])
    assert found["differences"][0]["copa"] == {
        "difference": pytest.approx(1 / 3), "standard_error": pytest.approx(1 / 3), "paired": True}
    assert found["differences"][1] == {}
    assert found["models"][0]["core"] == {"name": "CORE-1", "value": pytest.approx(-1 / 3)}
    assert [one.task for one in differences([one, two])[0]] == ["copa", "facts"]
