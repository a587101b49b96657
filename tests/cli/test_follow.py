"""nanochat chat --follow: each new checkpoint takes over the conversation."""

import gc
import json
import shutil
import weakref

import pytest
from command_line import one_line
from training_runs import WORDS, add_checkpoint, damage, make_run

import pynanochat as nc
from pynanochat.cli.follow import Follower, run_of
from pynanochat.errors import RequestError
from pynanochat.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("runs") / "tiny")
    add_checkpoint(run, 10, val_bpb=1.5)
    add_checkpoint(run, 1500, val_bpb=0.4123)
    return run


@pytest.fixture
def run(made, tmp_path):
    """A run that has come to step 10."""
    run = shutil.copytree(made, tmp_path / "tiny")
    shutil.rmtree(run / "checkpoints" / "step_001500")
    return run


@pytest.fixture
def save(made, run):
    """Let the run come to step 1,500."""
    def now():
        return shutil.copytree(made / "checkpoints" / "step_001500", run / "checkpoints" / "step_001500")

    return now


def load(folder):
    return nc.load(folder, backend="reference")


def test_the_chat_moves_to_a_newer_checkpoint(run, save, capsys):
    talk = load(run).chat(max_tokens=4, temperature=0)
    follower = Follower(run, load)
    follower.catch_up(talk)
    assert capsys.readouterr().err == "step 10 loaded (val 1.500 bits/byte)\n"
    first = talk.send("one").tokens
    follower.catch_up(talk)
    assert capsys.readouterr().err == ""
    save()
    follower.catch_up(talk)
    assert capsys.readouterr().err == "step 1,500 loaded (val 0.412 bits/byte)\n"
    second = talk.send("two").tokens
    other = load(run / "checkpoints" / "step_001500").chat(max_tokens=4, temperature=0)
    other.turns = [nc.session.Turn("one", first)]
    assert other.send("two").tokens == second


def test_the_old_model_is_let_go(run, save):
    talk = load(run).chat(max_tokens=3)
    talk.send("one")
    old = weakref.ref(talk.llm)
    save()
    Follower(run, load).catch_up(talk)
    gc.collect()
    assert old() is None


def test_what_is_damaged_or_unfinished_is_passed_over_quietly_and_once(run, save, capsys):
    talk, asked = load(run).chat(), []
    follower = Follower(run, lambda folder: (asked.append(folder.name), load(folder))[1])
    follower.catch_up(talk)
    capsys.readouterr()
    (run / "checkpoints" / ".step_000900.new-01234567").mkdir()
    damaged = save()
    damage(damaged)
    old = talk.llm
    for _ in range(3):
        follower.catch_up(talk)
    assert (talk.llm is old, capsys.readouterr().err, asked) == (True, "", ["step_001500"])
    shutil.rmtree(damaged)
    add_checkpoint(run, 1500)  # saved once more, by a run that was resumed
    follower.catch_up(talk)
    assert capsys.readouterr().err == "step 1,500 loaded\n"


def test_an_older_checkpoint_is_no_news(run, save):
    save()
    talk = load(run).chat()
    old = talk.llm
    shutil.rmtree(run / "checkpoints" / "step_001500")
    Follower(run, load).catch_up(talk)
    assert talk.llm is old


def test_another_tokenizer_is_refused(run, capsys):
    talk = load(run).chat()
    old = talk.llm
    swapped = dict(WORDS.ranks) | {b"a": 98, b"b": 97}
    add_checkpoint(run, 20, words=Tokenizer(swapped, WORDS.special_tokens))
    with pytest.raises(RequestError, match="another tokenizer"):
        talk.move_to(load(run))
    follower = Follower(run, load)
    follower.catch_up(talk)
    follower.catch_up(talk)
    assert talk.llm is old
    assert capsys.readouterr().err.count("step 20 is not loaded: step_000020 has another tokenizer") == 1


def test_without_memory_for_two_the_old_model_goes_on(run, save, capsys):
    def fail(folder):
        raise MemoryError

    talk = load(run).chat(max_tokens=2)
    save()
    Follower(run, fail).catch_up(talk)
    assert "step 1,500 is not loaded: there is not enough memory" in capsys.readouterr().err
    assert talk.send("one").tokens


def test_only_a_run_can_be_followed(run, tiny, call):
    assert run_of(str(run), None) == run
    for model, step in ((None, None), ("nano8m", None), (tiny, None), (str(run), 10)):
        with pytest.raises(RequestError, match="--follow"):
            run_of(model, step)
    code, out, err = call("chat", tiny, "--follow", piped="hi\n")
    assert (code, out, one_line(err)) == (2, "", True)
    assert "is none" in err


def test_piped_lines(run, save, call, monkeypatch):
    """The checkpoint lands between two lines."""
    from pynanochat.cli.line_input import PipedLines

    def read(self, real=PipedLines.read):
        text = real(self)
        if text == "two":
            save()
        return text

    monkeypatch.setattr(PipedLines, "read", read)
    code, out, err = call("chat", run, "--follow", "--greedy", "--max-tokens", "4", "--json", piped="one\ntwo\n")
    assert code == 0
    assert err.splitlines() == ["step 10 loaded (val 1.500 bits/byte)", "step 1,500 loaded (val 0.412 bits/byte)"]
    document = json.loads(out)
    assert document["model"] == "step_001500"
    assert len(document["turns"]) == 2


def test_on_a_terminal(run, save, terminal):
    start = terminal("chat", run, "--follow", "--greedy", "--max-tokens", "4", "--backend", "reference")
    start.until("tiny, step 10")
    start.until("step 10 loaded (val 1.500 bits/byte)")
    start.until("›")
    save()
    start.type("one\r")
    start.until("step 1,500 loaded (val 0.412 bits/byte)")
    start.until("›")
    start.type("\x04")
    assert start.process.wait(60) == 0
