"""CORE: the tasks of the DCLM paper by few-shot likelihood, and their mean where guessing is 0 and all right is 1."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pynanochat.errors import DataError
from pynanochat.eval.continuations import choose
from pynanochat.eval.data_folder import CORE, DataFolder, members, objects, unpacked
from pynanochat.eval.few_shot import FewShot, Item
from pynanochat.eval.score import Score
from pynanochat.llm import LLM

_ANSWER = "\nAnswer: "
_ORDER_SEED = 1337
_BUNDLE = "eval_bundle"  # upstream's folder, which has every task


@dataclass(frozen=True)
class CoreTask:
    """Where a task's items lie, how they are asked, and what guessing gets in percent."""

    file: str
    asked: FewShot
    chance: float = 0.0


# Source of files, kinds, shots and delimiters: mlfoundations/dclm, eval/mmlu_and_lowvar.yaml; of chance:
# eval/eval_meta_data_v1.csv there. karpathy/nanochat's eval_bundle has the same ones.
TASKS: dict[str, CoreTask] = {
    "hellaswag_zeroshot": CoreTask("language_understanding/hellaswag.jsonl", FewShot("multiple_choice", 0), 25),
    "jeopardy": CoreTask("world_knowledge/jeopardy_all.jsonl", FewShot("language_modeling", 10, _ANSWER)),
    "bigbench_qa_wikidata": CoreTask("world_knowledge/bigbench_qa_wikidata.jsonl", FewShot("language_modeling", 10)),
    "arc_easy": CoreTask("world_knowledge/arc_easy.jsonl", FewShot("multiple_choice", 10, _ANSWER), 25),
    "arc_challenge": CoreTask("world_knowledge/arc_challenge.jsonl", FewShot("multiple_choice", 10, _ANSWER), 25),
    "copa": CoreTask("commonsense_reasoning/copa.jsonl", FewShot("multiple_choice", 0), 50),
    "commonsense_qa": CoreTask("commonsense_reasoning/commonsense_qa.jsonl", FewShot("multiple_choice", 10), 20),
    "piqa": CoreTask("commonsense_reasoning/piqa.jsonl", FewShot("multiple_choice", 10, _ANSWER), 50),
    "openbook_qa": CoreTask("commonsense_reasoning/openbook_qa.jsonl", FewShot("multiple_choice", 0), 25),
    "lambada_openai": CoreTask("language_understanding/lambada_openai.jsonl", FewShot("language_modeling", 0)),
    "hellaswag": CoreTask("language_understanding/hellaswag.jsonl", FewShot("multiple_choice", 10), 25),
    "winograd": CoreTask("language_understanding/winograd_wsc.jsonl", FewShot("schema", 0), 50),
    "winogrande": CoreTask("language_understanding/winogrande.jsonl", FewShot("schema", 0), 50),
    "bigbench_dyck_languages": CoreTask(
        "symbolic_problem_solving/bigbench_dyck_languages.jsonl", FewShot("language_modeling", 10)),
    "agi_eval_lsat_ar": CoreTask(
        "symbolic_problem_solving/agi_eval_lsat_ar.jsonl", FewShot("multiple_choice", 3), 20),
    "bigbench_cs_algorithms": CoreTask(
        "symbolic_problem_solving/bigbench_cs_algorithms.jsonl", FewShot("language_modeling", 10)),
    "bigbench_operators": CoreTask(
        "symbolic_problem_solving/bigbench_operators.jsonl", FewShot("language_modeling", 10)),
    "bigbench_repeat_copy_logic": CoreTask(
        "symbolic_problem_solving/bigbench_repeat_copy_logic.jsonl", FewShot("language_modeling", 10)),
    "squad": CoreTask("reading_comprehension/squad.jsonl", FewShot("language_modeling", 10)),
    "coqa": CoreTask("reading_comprehension/coqa.jsonl", FewShot("language_modeling", 0)),
    "boolq": CoreTask("reading_comprehension/boolq.jsonl", FewShot("multiple_choice", 10, _ANSWER), 62),
    "bigbench_language_identification": CoreTask(
        "language_understanding/bigbench_language_identification.jsonl", FewShot("multiple_choice", 10), 9.1),
}
# In an archive without the files above: the same questions, as their makers publish them.
_REBUILT = {"squad": "rebuilt/squad_dev_v1.1.jsonl", "coqa": "rebuilt/coqa.bigbench.json"}


def present(data: DataFolder) -> list[str]:
    """The names of the tasks whose files a folder or its archive has, in CORE's order.

    Raises `DataError` for a damaged archive.
    """
    if data.has(_BUNDLE):
        return [name for name, task in TASKS.items() if data.has(f"{_BUNDLE}/eval_data/{task.file}")]
    held = {member for member, _ in members(data.need(CORE))} if data.has(CORE) else set()
    return [name for name in TASKS if not held.isdisjoint(_files(name))]


def load(data: DataFolder, names: Iterable[str]) -> dict[str, list[Item]]:
    """The items of each task, shuffled as upstream does it; the archive is read once.

    Raises `DataError` where a file is missing, damaged or of another kind.
    """
    wanted = list(names)
    if not wanted:
        return {}
    found = _from_bundle(data, wanted) if data.has(_BUNDLE) else _from_archive(data, wanted)
    for name in wanted:
        if name not in found:
            raise DataError(f"{data.path / CORE} has no items of {name}; expected them in {' or '.join(_files(name))}, "
                            "or name other tasks")
        TASKS[name].asked.check(found[name], name)
        random.Random(_ORDER_SEED).shuffle(found[name])
    return {name: list(found[name]) for name in wanted}


def run(
    llm: LLM,
    name: str,
    items: Sequence[Item],
    *,
    most: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Score:
    """A task's share of right answers over its first `most` items, from which examples are drawn too, as upstream."""
    task, chosen, tokenizer = TASKS[name], items[:most], llm.need_tokenizer()
    asked = [task.asked.continuations(tokenizer, item, task.asked.examples(chosen, index))
             for index, item in enumerate(chosen)]
    judged, too_long = choose(llm, asked, progress=progress)
    right = [task.asked.right(item, one) for item, one in zip(chosen, judged, strict=True)]
    return Score.of_answers(name, right, chance=task.chance / 100, too_long=too_long,
                            facts={"shots": task.asked.shots})


def whole(scores: Iterable[Score]) -> tuple[str, float] | None:
    """CORE's name and value, the mean of the centred scores of its tasks; None without one of them.

    The name says how many of the 22 there are: CORE-20 is no CORE. Source: karpathy/nanochat, scripts/base_eval.py.
    """
    centred = [score.centred for score in scores if score.task in TASKS and score.centred is not None]
    if not centred:
        return None
    return "CORE" if len(centred) == len(TASKS) else f"CORE-{len(centred)}", sum(centred) / len(centred)


def _from_bundle(data: DataFolder, names: Sequence[str]) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = {}
    for name in names:
        path = data.need(f"{_BUNDLE}/eval_data/{TASKS[name].file}")
        found[name] = list(objects(unpacked(path), str(path)))
    return found


def _from_archive(data: DataFolder, names: Sequence[str]) -> dict[str, list[Item]]:
    path = data.need(CORE)
    wanted = {file for name in names for file in _files(name)}
    held = {member: content for member, content in members(path) if member in wanted}
    files = {name: next((file for file in _files(name) if file in held), None) for name in names}
    return {name: _items(held[file], file, f"{path}, {file}") for name, file in files.items() if file is not None}


def _files(name: str) -> list[str]:
    """Where an archive may hold a task; the first one that is there counts."""
    return [f"eval_data/{TASKS[name].file}", *([_REBUILT[name]] if name in _REBUILT else [])]


def _items(content: bytes, file: str, where: str) -> list[Item]:
    if file == _REBUILT["coqa"]:
        return _coqa(content, where)
    items = objects(content, where)
    return [_squad(item, where) for item in items] if file == _REBUILT["squad"] else list(items)


def _squad(item: dict[str, Any], where: str) -> Item:
    """An item as the bundle writes it."""
    if not isinstance(item.get("question"), str):
        raise DataError(f"{where}: an item without a question; expected SQuAD's")
    return item | {"context": f"Context: {item.get('context')}\nQuestion: {item['question']}\nAnswer:"}


def _coqa(content: bytes, where: str) -> list[Item]:
    """Each question with the story and the questions before it, as the bundle writes it."""
    header = ("Below is a story followed by a series of related questions. Please answer the final question by "
              "referring to the story and the previous questions.")
    found: list[Item] = []
    try:
        for story in json.loads(content)["data"]:
            before: list[str] = []
            for question, answer in zip(story["questions"], story["answers"], strict=True):
                asked, said = question["input_text"], answer["input_text"]
                preceding = "Preceding questions:\n" + "\n".join(before) if before else ""
                found.append({"context": f"{header}\nStory: {story['story']}\n{preceding}\n\nFinal question:\n"
                                         f"Question: {asked}\nAnswer:", "continuation": said})
                before.append(f"Question: {asked}\nAnswer: {said}")
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DataError(f"{where} is no CoQA file; expected data with story, questions and answers") from None
    return found
