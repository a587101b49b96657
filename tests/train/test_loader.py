"""The loader: a step's rows depend on data, seed and step alone; a saved position goes on exactly; nothing is lost."""

import json
from collections import Counter

import numpy as np
import pytest
from fixture_files import parity
from fuzzing import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from pynanochat.errors import DataError
from pynanochat.tokenizer import Tokenizer
from pynanochat.train import plan, shards
from pynanochat.train.loader import Loader, evaluation
from pynanochat.train.texts import Document

T, R = 48, 4


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.load(parity("tokenizer_512"))


def story(number):
    return Document(text=f"Story {number}. " + f"The cat {number} sat. " * (number * number % 11))


def talk(number):
    return Document(messages=({"role": "user", "content": f"Say {number}."},
                              {"role": "assistant", "content": f"Well: {number}."}))


@pytest.fixture(scope="module")
def folders(tokenizer, tmp_path_factory):
    """Texts, in several files; conversations; both in one folder."""
    made = {}
    for name, documents in {"texts": [story(number) for number in range(60)], "talks": [talk(n) for n in range(25)],
                            "mixed": [story(3), talk(1), story(5), talk(2), story(9)]}.items():
        folder = tmp_path_factory.mktemp(name) / "d"
        shards.write(folder, documents, tokenizer, val_share=0 if name == "mixed" else 0.1, shard_tokens=700)
        made[name] = shards.open(folder)
    return made


@pytest.fixture(autouse=True)
def small_windows(monkeypatch):
    """Several windows an epoch."""
    monkeypatch.setattr(plan, "WINDOW_DOCUMENTS", 10)
    monkeypatch.setattr(plan, "_WINDOW_ROWS", 3)


def loader(mixture, **options):
    return Loader(mixture, **{"row_tokens": T, "step_rows": R, "seed": 7} | options)


def same(left, right):
    np.testing.assert_array_equal(left.tokens, right.tokens)
    np.testing.assert_array_equal(left.targets, right.targets)


def epoch_rows(found, epoch=0):
    """The rows of an epoch, one at a time."""
    while found.epoch < epoch + 1:
        rows = found.next()
        yield rows.tokens[0], rows.targets[0]


def test_rows_and_targets(folders, tokenizer):
    found = loader(folders["texts"])
    assert found.epoch == 0
    rows = found.next()
    for array in (rows.tokens, rows.targets):
        assert array.shape == (R, T)
        assert array.dtype == np.int64
        assert array.flags.c_contiguous
    assert (rows.tokens[:, 0] == tokenizer.bos).all()
    assert (rows.targets[:, :-1] == rows.tokens[:, 1:])[rows.targets[:, :-1] >= 0].all()


def test_every_token_is_a_target_once_an_epoch(folders, tokenizer):
    split = folders["texts"].split("train")
    expected = Counter()
    for number in range(split.documents):
        expected.update(split.document(number)[0][1:].tolist())
    for epoch in range(2):
        found = loader(folders["texts"], step_rows=1, seed=epoch)
        seen = Counter()
        for _, targets in epoch_rows(found):
            seen.update(targets.tolist())
        del seen[-1], seen[tokenizer.bos]
        assert seen == expected


def test_free_places_and_the_end_of_a_document(folders, tokenizer):
    for tokens, targets in epoch_rows(loader(folders["texts"], step_rows=1)):
        filled = np.flatnonzero(targets >= 0).max() + 1
        assert (targets[:filled] >= 0).all()  # a text is trained on everywhere, the next one's <|bos|> too
        assert (tokens[filled + 1 :] == tokenizer.bos).all()


def test_of_conversations_the_answers_are_trained_on(folders, tokenizer):
    special = tokenizer.encode_special
    found = loader(folders["talks"], step_rows=1)
    answers = Counter()
    for tokens, targets in epoch_rows(found):
        speaking = False
        for token, target in zip(tokens.tolist(), targets.tolist(), strict=True):
            speaking = (speaking or token == special("<|assistant_start|>")) and token != special("<|assistant_end|>")
            assert (target >= 0) == speaking
        answers.update(tokenizer.decode(targets[targets >= 0].tolist()).split("<|assistant_end|>")[:-1])
    assert sum(answers.values()) == folders["talks"].split("train").documents
    everything = loader(folders["talks"], step_rows=1, loss="all")
    assert sum(int((targets >= 0).sum()) for _, targets in epoch_rows(everything)) > 1.5 * sum(
        len(tokenizer.encode(answer)) + 1 for answer in answers for _ in range(answers[answer]))


def test_texts_and_conversations_in_one_folder(folders, tokenizer):
    taught = [tokenizer.decode(targets[targets >= 0].tolist())
              for _, targets in epoch_rows(loader(folders["mixed"], step_rows=1, row_tokens=400))]
    assert len(taught) == 1
    for text in ("Story 3. The cat 3 sat.", "Story 9. The cat 9", "Well: 1.<|assistant_end|>"):
        assert text in taught[0]
    assert "Say" not in taught[0]


def test_the_rows_of_a_step_are_those_of_any_number_of_processes(folders):
    alone = loader([(folders["texts"], 1), (folders["talks"], 2.5)])
    steps = [alone.next() for _ in range(40)]
    assert alone.epoch > 1
    for size in (2, 4):
        several = [loader([(folders["texts"], 1), (folders["talks"], 2.5)], processes_rank=rank, processes_size=size)
                   for rank in range(size)]
        for step in steps:
            rows = [one.next() for one in several]
            assert all(len(found.tokens) == R // size for found in rows)
            np.testing.assert_array_equal(np.concatenate([found.tokens for found in rows]), step.tokens)
            np.testing.assert_array_equal(np.concatenate([found.targets for found in rows]), step.targets)
        assert {json.dumps(one.state()) for one in several} == {json.dumps(alone.state())}


@settings(max_examples=examples(25), deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**64 - 1), row_tokens=st.sampled_from([7, 20, 48, 300]),
       step_rows=st.integers(1, 9))
def test_a_saved_position_goes_on_exactly(folders, data, seed, row_tokens, step_rows):
    mixture = data.draw(st.sampled_from([[folders["texts"]], [(folders["talks"], 1.5)],
                                         [(folders["texts"], 0.7), (folders["mixed"], 3)]]))
    options = {"row_tokens": row_tokens, "step_rows": step_rows, "seed": seed}
    whole, epochs = loader(mixture, **options), []
    states, steps = [], []
    while whole.epoch < 3 and len(steps) < 60:
        states.append(json.loads(json.dumps(whole.state())))
        epochs.append(whole.epoch)
        steps.append(whole.next())
    assert epochs == sorted(epochs)
    for place, state in enumerate(states):
        again = loader(mixture, **options)
        again.restore(state)
        assert again.state() == state
        for step in steps[place : place + 2]:
            same(again.next(), step)


def test_epochs_and_seeds_have_orders_of_their_own(folders):
    orders = set()
    for seed in range(3):
        found = loader(folders["texts"], step_rows=1, seed=seed)
        for epoch in range(3):
            orders.add(tuple(tuple(tokens.tolist()) for tokens, _ in epoch_rows(found, epoch)))
    assert len(orders) == 9


def test_evaluation_sees_all_of_a_split_once_and_always_the_same(folders, tokenizer):
    split = folders["texts"].split("val")
    expected = sum(split.lengths.tolist()) - split.documents
    first = np.concatenate([rows.targets for rows in evaluation(folders["texts"], row_tokens=T, step_rows=R)])
    assert ((first >= 0) & (first != tokenizer.bos)).sum() == expected
    for size in (2, 4):
        several = [list(evaluation(folders["texts"], row_tokens=T, step_rows=R, processes_rank=rank,
                                   processes_size=size)) for rank in range(size)]
        assert len({len(steps) for steps in several}) == 1
        targets = np.concatenate([rows.targets for step in zip(*several, strict=True) for rows in step])
        np.testing.assert_array_equal(targets, first)
    some = list(evaluation(folders["texts"], row_tokens=T, step_rows=2, max_tokens=4 * T))
    assert len(some) == 2
    np.testing.assert_array_equal(np.concatenate([rows.targets for rows in some]), first[:4])


def test_a_position_of_something_else_is_refused(folders):
    found = loader(folders["texts"])
    found.next()
    state = found.state()
    for other, message in ((loader(folders["talks"]), "other shards or another mixture"),
                           (loader([(folders["texts"], 2)]), "other shards or another mixture"),
                           (loader(folders["texts"], seed=8), "seed 7, not 8"),
                           (loader(folders["texts"], row_tokens=9), "row_tokens 48, not 9")):
        with pytest.raises(DataError, match=message):
            other.restore(state)
    for bad, message in (({"row": -1}, "row -1"), ({"row": 10**6}, "behind the end"), ({"document": 10**6}, "behind"),
                         ({"epoch": "1"}, "epoch '1'"), ({"version": 2}, "version 2")):
        with pytest.raises(DataError, match=message):
            found.restore(state | bad)
    with pytest.raises(DataError):
        found.restore([])
    fresh = loader(folders["texts"], step_rows=2, processes_size=2)  # these may change
    fresh.restore(state)
    np.testing.assert_array_equal(fresh.next().tokens, found.next().tokens[:1])


WRONG = {
    "rows": ({"step_rows": 0}, "a step of 0 rows"),
    "share": ({"processes_size": 3}, "a step of 4 rows cannot be shared evenly by 3 processes"),
    "rank": ({"processes_rank": 1}, "processes_rank is 1; expected 0 to 0"),
    "row": ({"row_tokens": 0}, "row_tokens is 0"),
    "long row": ({"row_tokens": 1 << 30}, "row_tokens is 1073741824"),
    "seed": ({"seed": -1}, "seed is -1"),
    "loss": ({"loss": "user"}, "loss is 'user'; expected assistant or all"),
    "split": ({"split": "test"}, "no split 'test'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused(folders, name):
    options, message = WRONG[name]
    with pytest.raises(DataError, match=message):
        loader(folders["texts"], **options)


def test_mixtures_that_are_refused(folders, tmp_path):
    for mixture, message in (([], "no shards"), ([(folders["texts"], -1)], "is to come -1 times"),
                             ([(folders["texts"], 0)], "holds no document"), (folders["mixed"], "val is empty")):
        with pytest.raises(DataError, match=message):
            loader(mixture, split="val")
    shards.write(tmp_path / "d", [story(1)], Tokenizer.load(parity("tokenizer_600")))
    with pytest.raises(DataError, match="different tokenizers"):
        loader([folders["texts"], shards.open(tmp_path / "d")])


def test_a_token_outside_the_vocabulary_is_noticed(tokenizer, tmp_path):
    shards.write(tmp_path, [story(2)], tokenizer, val_share=0)
    path = tmp_path / "train_000000.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(DataError, match="tokens outside the vocabulary of 512"):
        loader(shards.open(tmp_path), step_rows=1, row_tokens=500).next()
