"""CORE: the archive's tasks and upstream's bundle, in their order, and the mean that says how many tasks it has."""

import json
import random

import numpy as np
import pytest

from pynanochat.errors import DataError
from pynanochat.eval import core, letters
from pynanochat.eval.data_folder import CORE, MMLU, DataFolder
from pynanochat.eval.score import Score

COPA = [{"query": f"The cup {i} fell, so", "choices": ["it broke.", "it sang."], "gold": i % 2} for i in range(12)]
WINOGRAD = [{"context_options": ["A saw that A", "A saw that B"], "continuation": f"left {i}.", "gold": 1}
            for i in range(5)]
SQUAD = [{"context": "Ann is here.", "question": f"Who {i}?", "continuation": "Ann", "answers": ["Ann"]}
         for i in range(3)]
COQA = {"data": [{"story": "A dog ran.", "questions": [{"input_text": "Who ran?"}, {"input_text": "Where?"}],
                  "answers": [{"input_text": "a dog"}, {"input_text": "unknown"}]}]}
FILES = {
    "eval_data/commonsense_reasoning/copa.jsonl": COPA, "rebuilt/squad_dev_v1.1.jsonl": SQUAD,
    "eval_data/language_understanding/winograd_wsc.jsonl": WINOGRAD, "rebuilt/coqa.bigbench.json": json.dumps(COQA)}


@pytest.fixture
def data(packed):
    return DataFolder(packed(CORE, FILES).parent)


def test_twenty_two_tasks():
    assert len(core.TASKS) == 22
    shots = {name: task.asked.shots for name, task in core.TASKS.items()}
    assert sorted(name for name, count in shots.items() if count == 0) == [
        "copa", "coqa", "hellaswag_zeroshot", "lambada_openai", "openbook_qa", "winograd", "winogrande"]
    assert shots.pop("agi_eval_lsat_ar") == 3
    assert {count for count in shots.values() if count} == {10}


def test_the_archive_in_upstreams_order(data):
    assert core.present(data) == ["copa", "winograd", "squad", "coqa"]
    found = core.load(data, ["copa", "squad", "coqa"])
    wanted = list(COPA)
    random.Random(1337).shuffle(wanted)
    assert found["copa"] == wanted
    assert {item["context"] for item in found["squad"]} == {
        f"Context: Ann is here.\nQuestion: Who {i}?\nAnswer:" for i in range(3)}
    head = ("Below is a story followed by a series of related questions. Please answer the final question by referring "
            "to the story and the previous questions.\nStory: A dog ran.\n")
    assert sorted(item["context"].removeprefix(head) for item in found["coqa"]) == [
        "\n\nFinal question:\nQuestion: Who ran?\nAnswer:",
        "Preceding questions:\nQuestion: Who ran?\nAnswer: a dog\n\nFinal question:\nQuestion: Where?\nAnswer:"]


def test_the_makers_files_only_where_the_archive_has_no_others(packed):
    plain = {name: [{"context": f"{name} {i}", "continuation": "x"} for i in range(4)] for name in ("squad", "coqa")}
    swag = [{"query": f"Q{i}", "choices": ["a", "b"], "gold": 0} for i in range(4)]
    files = FILES | {f"eval_data/reading_comprehension/{name}.jsonl": items for name, items in plain.items()} | {
        "eval_data/language_understanding/hellaswag.jsonl": swag}
    data = DataFolder(packed(CORE, files).parent)
    assert core.present(data) == ["hellaswag_zeroshot", "copa", "hellaswag", "winograd", "squad", "coqa"]
    found = core.load(data, core.present(data))
    for name, items in (plain | {"hellaswag": swag, "hellaswag_zeroshot": swag}).items():
        wanted = list(items)
        random.Random(1337).shuffle(wanted)
        assert found[name] == wanted


def test_upstreams_bundle_comes_first(data):
    folder = data.path / "eval_bundle" / "eval_data" / "language_understanding"
    folder.mkdir(parents=True)
    items = [{"query": "Q", "choices": ["a", "b"], "gold": 0}]
    (folder / "hellaswag.jsonl").write_text(json.dumps(items[0]))
    assert core.present(data) == ["hellaswag_zeroshot", "hellaswag"]
    assert core.load(data, ["hellaswag"]) == {"hellaswag": items}
    with pytest.raises(DataError, match="copa"):
        core.load(data, ["copa"])


def test_a_score(story, data):
    found = core.load(data, ["copa", "winograd"])
    heard = []
    score = core.run(story, "copa", found["copa"], progress=lambda *done: heard.append(done))
    assert (score.task, score.n, score.chance, score.too_long, score.facts) == ("copa", 12, 0.5, 0, {"shots": 0})
    assert heard[-1] == (12, 12)
    alone = []
    for item in found["copa"]:
        words = story.tokenizer
        losses = []
        for choice in item["choices"]:
            ids, start = words.encode_with_bos(f"{item['query']} {choice}"), len(words.encode_with_bos(item["query"]))
            rows = story.logits(ids)[start - 1:-1].astype(float)
            wanted = rows[range(len(rows)), ids[start:]]
            losses.append((np.logaddexp.reduce(rows, -1) - wanted).mean())
        alone.append(losses.index(min(losses)) == item["gold"])
    assert score.outcomes == tuple((float(one), 1.0) for one in alone)
    assert core.run(story, "winograd", found["winograd"], most=2).n == 2


def test_what_does_not_fit_is_cut_in_front(tiny, data):
    items = core.load(data, ["squad"])["squad"]
    score = core.run(tiny, "squad", items)
    assert (score.n, score.too_long) == (3, 3)


def test_the_mean_says_how_many():
    scores = [Score(task=name, value=0.5, n=9, standard_error=0, chance=task.chance / 100)
              for name, task in core.TASKS.items()]
    assert core.whole(scores)[0] == "CORE"
    name, value = core.whole([*scores[1:3], scores[9], Score(task="mmlu", value=1, n=9, standard_error=0, chance=0.25)])
    assert (name, value) == ("CORE-3", 0.5)
    assert core.whole([]) is None
    boolq = Score(task="boolq", value=0.62, n=9, standard_error=0, chance=0.62)
    assert core.whole([boolq]) == ("CORE-1", 0)


def test_missing_and_wrong_files(packed, tmp_path):
    with pytest.raises(DataError, match=r"core_eval_data\.tar\.xz is not there.*llm-foundry"):
        core.load(DataFolder(tmp_path), ["copa"])
    assert core.present(DataFolder(tmp_path)) == []
    data = DataFolder(packed(CORE, {"eval_data/commonsense_reasoning/copa.jsonl": [{"x": 1}],
                                    "rebuilt/coqa.bigbench.json": "[]", "rebuilt/squad_dev_v1.1.jsonl": [{}]}).parent)
    for name, word in (("copa", "copa, item 1: expected query"), ("coqa", "no CoQA file"), ("squad", "question"),
                       ("piqa", "no items of piqa; expected them in eval_data/commonsense_reasoning/piqa"),
                       ("hellaswag", "no items of hellaswag; .* or name other tasks")):
        with pytest.raises(DataError, match=word):
            core.load(data, [name])
    (tmp_path / CORE).write_bytes(b"damaged")
    with pytest.raises(DataError, match="cannot be read"):
        core.present(DataFolder(tmp_path))


def test_letters(story, packed):
    rows = "question,choice0,choice1,choice2,choice3,answer\n" + "".join(
        f"What is {i}?,one,two,three,\"four, or so\",{i % 4}\n" for i in range(6))
    data = DataFolder(packed(MMLU, {"mmlu/test/a_test.csv": rows, "mmlu/dev/a_dev.csv": rows}).parent)
    questions = letters.mmlu(data)
    assert len(questions) == 6
    assert questions[0].message()["content"] == (
        f"Multiple Choice question: {questions[0].question}\n- one=A\n- two=B\n- three=C\n- four, or so=D\n\n"
        "Respond only with the letter of the correct answer.")
    score = letters.run(story, "mmlu", questions)
    words = story.tokenizer
    for question, (right, _) in zip(questions, score.outcomes, strict=True):
        prompt = [words.bos, words.encode_special("<|user_start|>"), *words.encode(question.message()["content"]),
                  words.encode_special("<|user_end|>"), words.encode_special("<|assistant_start|>")]
        row = story.logits(prompt)[-1]
        best = int(np.argmax([row[words.encode(letter)[0]] for letter in "ABCD"]))
        assert right == (best == question.answer)
    assert (score.n, score.chance) == (6, 0.25)
    items = [{"query": "Question: Why?", "choices": ["x", "y", "z"], "gold": 2}]
    assert letters.arc(items) == [letters.Choice("Why?", ("x", "y", "z"), 2)]
    assert letters.run(story, "chat_arc_easy", letters.arc(items)).chance == pytest.approx(1 / 3)


@pytest.mark.parametrize("table", ["question,choice0,choice1,choice2,choice3,answer\nQ,a,b,c,d,4\n", "a,b\n1,2\n"])
def test_wrong_tables(packed, table):
    with pytest.raises(DataError, match="row 1: expected question"):
        letters.mmlu(DataFolder(packed(MMLU, {"mmlu/test/a.csv": table}).parent))
    with pytest.raises(DataError, match="no files mmlu/test"):
        letters.mmlu(DataFolder(packed(MMLU, {"other/a.csv": table}).parent))
