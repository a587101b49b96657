"""nanochat generate gives what the library gives, as text or as JSON."""

import json

import pytest
from command_line import one_line, writing
from fixture_files import STORY5M

import pynanochat as nc


def test_generate_is_the_library(call, tiny):
    code, out, _ = call("generate", "hello", "-m", tiny, "--greedy", "--max-tokens", "20")
    text = nc.load(tiny).generate("hello", 20, temperature=0).text
    assert code == 0
    assert out.removesuffix("\n") == text.removesuffix("\n")


def test_generate_reads_stdin(call, tiny):
    wanted = call("generate", "hello", "-m", tiny, "--greedy", "--max-tokens", "8")
    assert call("generate", "-m", tiny, "--greedy", "--max-tokens", "8", piped="hello\n") == wanted
    assert call("generate", "-", "-m", tiny, "--greedy", "--max-tokens", "8", piped="hello\n") == wanted
    assert call("generate", "-m", tiny, "--greedy", "-", "--max-tokens", "8", piped="hello") == wanted


def test_generate_json(call, tiny):
    arguments = ("generate", "hello", "-m", tiny, "-n", "3", "--logprobs", "2", "--seed", "11", "--max-tokens", "9",
                 "--json")
    code, out, err = call(*arguments)
    assert (code, err) == (0, "")
    assert out.count("\n") == 1
    document = json.loads(out)
    assert list(document) == ["model", "generation", "backend", "prompt_tokens", "samples", "usage", "timing", "seed"]
    assert (document["model"], document["generation"], document["seed"]) == ("tiny", "G4", 11)
    assert document["prompt_tokens"] == [256, *b"hello"]
    assert len(document["samples"]) == 3
    for sample in document["samples"]:
        assert set(sample) == {"text", "tokens", "forced", "finish_reason", "end_token", "stop", "parts", "logprobs"}
        assert len(sample["tokens"]) == len(sample["forced"]) == len(sample["logprobs"]) <= 9
        assert all(one["logprob"] < 0 and len(one["top"]) == 2 for one in sample["logprobs"])
    assert document["usage"]["completion_tokens"] == sum(len(sample["tokens"]) for sample in document["samples"])
    assert [s["tokens"] for s in json.loads(call(*arguments)[1])["samples"]] == [
        s["tokens"] for s in document["samples"]]


def test_generate_tells_the_seed_it_took(call, tiny):
    first = json.loads(call("generate", "hello", "-m", tiny, "--json", "--max-tokens", "12")[1])
    again = json.loads(call("generate", "hello", "-m", tiny, "--json", "--max-tokens", "12", "--seed",
                            first["seed"])[1])
    assert first["samples"] == again["samples"]


def test_generate_from_ids(call, mute):
    code, out, err = call("generate", "-m", mute, "--tokens", "1, 2 3", "--greedy", "--max-tokens", "4")
    assert code == 0
    tokens = nc.load(mute).generate([1, 2, 3], 4, temperature=0).tokens
    assert out == ",".join(map(str, tokens)) + "\n"
    assert "no tokenizer" in err


def test_generate_as_chat(call, tiny):
    _, out, _ = call("generate", "Hi", "-m", tiny, "--chat", "--system", "S", "--json", "--max-tokens", "1")
    document = json.loads(out)
    assert document["prompt_tokens"] == [256, 257, *b"S\n\nHi", 258, 259]


def test_several_samples_are_set_apart(call, tiny):
    _, out, _ = call("generate", "hello", "-m", tiny, "-n", "3", "--seed", "1", "--max-tokens", "5")
    assert out.count("\n---\n") == 2


def test_logprobs_are_a_table(call, tiny):
    _, out, _ = call("generate", "hello", "-m", tiny, "--logprobs", "2", "--seed", "1", "--max-tokens", "5")
    assert "most probable" in out
    assert "\033" not in out


def test_stop_strings_and_limits(call, tiny):
    whole = json.loads(call("generate", "hello", "-m", tiny, "--greedy", "--json", "--max-tokens", "40")[1])
    text = whole["samples"][0]["text"]
    stop = text[7:9]
    cut = json.loads(call("generate", "hello", "-m", tiny, "--greedy", "--json", "--max-tokens", "40", "--stop", stop,
                          "--stop", "never")[1])["samples"][0]
    assert (cut["text"], cut["finish_reason"], cut["stop"]) == (text[: text.index(stop)], "stop", stop)


def test_tool_blocks_are_not_in_the_text(call):
    arguments = ("generate", "What is 12 times 3?", "-m", STORY5M, "--chat", "--greedy")
    document = json.loads(call(*arguments, "--json")[1])["samples"][0]
    assert any(document["forced"])
    assert [part["type"] for part in document["parts"]] == ["text", "python", "python_output", "text"]
    assert call(*arguments)[1] == document["text"] + "\n"
    without = json.loads(call(*arguments, "--json", "--no-tools", "--max-tokens", "20")[1])["samples"][0]
    assert not any(without["forced"])


def test_a_terminal_shows_what_the_calculator_did(call, monkeypatch):
    monkeypatch.setattr("_pytest.capture.CaptureIO.isatty", lambda self: True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "[12*3 = 36]" in call("generate", "What is 12 times 3?", "-m", STORY5M, "--chat", "--greedy")[1]
    monkeypatch.delenv("NO_COLOR")
    assert "\033[2m36\033[0m" in call("generate", "What is 12 times 3?", "-m", STORY5M, "--chat", "--greedy")[1]


@pytest.mark.parametrize(("arguments", "prompt"), [
    (("Sum up:", "-"), "Sum up:\n\na\nb"), (("-", "What is it?"), "a\nb\n\nWhat is it?"), (("-",), "a\nb"),
    (("only this",), "only this")])
def test_a_prompt_and_stdin_are_joined_where_a_dash_says_so(call, tiny, arguments, prompt):
    _, out, _ = call("generate", *arguments, "-m", tiny, "--json", "--max-tokens", "1", piped="a\nb\n")
    assert json.loads(out)["prompt_tokens"] == [256, *prompt.encode()]


def test_a_dash_may_be_the_value_of_an_option(call, tiny):
    assert json.loads(call("generate", "hi", "-m", tiny, "--stop", "-", "--json", "--max-tokens", "4")[1])
    assert "'-'" in call("inspect", "-")[2]


@pytest.mark.parametrize("arguments", [("-", "-"), ("a", "b", "-"), ("a", "-")])
def test_prompts_that_cannot_be_joined_are_refused(call, tiny, arguments):
    code, out, err = call("generate", *arguments, "-m", tiny)
    assert (code, out, one_line(err)) == (2, "", True)


def test_events(call, tiny, mute):
    options = ("-n", "2", "--seed", "3", "--logprobs", "1", "--max-tokens", "6", "--greedy")
    for arguments in (("hello", "-m", tiny), ("--tokens", "1,2", "-m", mute)):
        code, out, err = call("generate", *arguments, *options, "--jsonl")
        assert (code, err) == (0, "")
        start, *pieces, end = map(json.loads, out.splitlines())
        whole = json.loads(call("generate", *arguments, *options, "--json")[1])
        both = start | end
        assert {name: both[name] for name in whole if name != "timing"} == {
            name: whole[name] for name in whole if name != "timing"}
        for place, sample in enumerate(whole["samples"]):
            mine = [piece for piece in pieces if piece["sample"] == place]
            assert [token for piece in mine for token in piece["tokens"]] == sample["tokens"]
            assert "".join(piece["text"] for piece in mine) == sample["text"]
            assert [piece["logprobs"] for piece in mine if piece["tokens"]] == sample["logprobs"]
            assert mine[-1]["finish_reason"] == sample["finish_reason"]


def test_events_come_while_the_answer_does(tiny):
    with writing(tiny, "--jsonl") as process:
        assert json.loads(process.stdout.readline())["event"] == "start"
        assert json.loads(process.stdout.readline())["event"] == "piece"
        assert process.poll() is None
        process.kill()


def test_colours_on_a_terminal(call, tiny, monkeypatch):
    monkeypatch.setattr("_pytest.capture.CaptureIO.isatty", lambda self: True)
    monkeypatch.setenv("TERM", "xterm")
    out = call("generate", "Once upon a", "--greedy", "--max-tokens", "8", "--color-by-probability")[1]
    assert "\033[32m time\033[0m" in out
    assert "most probable" not in out
    hostile = call("generate", "\033[2J", "-m", tiny, "--max-tokens", "1")[1]
    assert "␛[2J" in hostile
    assert "\033[2J" not in hostile
