"""nanochat chat over piped lines: turns, slash commands, files."""

import json

import pytest
from command_line import one_line

import pynanochat as nc


def test_one_shot(call):
    code, out, err = call("chat", "-p", "What is 12 times 3?", "--greedy")
    assert (code, err) == (0, "")
    assert out.endswith("36.\n")


def test_piped_lines_are_turns(call, tiny):
    code, out, err = call("chat", tiny, "--greedy", "--json", "--max-tokens", "6", piped="one\n\ntwo\n")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert list(document) == ["model", "generation", "backend", "messages", "turns", "dropped", "seed"]
    assert [m["content"] for m in document["messages"] if m["role"] == "user"] == ["one", "two"]
    talk = nc.load(tiny).chat(max_tokens=6, temperature=0)
    assert [turn["tokens"] for turn in document["turns"]] == [talk.send(text).tokens for text in ("one", "two")]


def test_slash_commands(call, tiny, tmp_path):
    file = tmp_path / "talk.json"
    lines = ["one", "two", "/undo", "//slash", "/set temperature 0", "/set top_k 3", "/set tools off", "/set", "/retry",
             "/system Be kind.", f"/save {file}", "/clear", "/undo", f"/load {file}", "/stats on", "/tokens", "/help",
             "/quit", "never said"]
    code, out, err = call("chat", tiny, "--greedy", "--max-tokens", "6", piped="\n".join(lines))
    assert code == 0
    saved = json.loads(file.read_text(encoding="utf-8"))
    assert saved["system"] == "Be kind."
    assert [m["content"] for m in saved["messages"] if m["role"] == "user"] == ["one", "/slash"]
    for part in ("taken back: two", "temperature is 0", "top_k is 3", "tools is off", "max_tokens", "2 turns written",
                 "forgotten", "nothing to take back", "2 turns read", "conversation  2 turns", "reference on cpu",
                 "/retry", "at temperature 0 the answer is the same"):
        assert part in err, part
    assert "never said" not in out + err


def test_a_loaded_conversation_goes_on_from_its_tokens(call, tiny, tmp_path):
    file = tmp_path / "talk.json"
    rest = ("--greedy", "--max-tokens", "9")
    whole = json.loads(call("chat", tiny, *rest, "--json", piped="one\ntwo\n")[1])
    call("chat", tiny, *rest, piped=f"one\n/save {file}\n")
    later = json.loads(call("chat", tiny, *rest, "--json", piped=f"/load {file}\ntwo\n")[1])
    assert later["turns"][-1]["tokens"] == whole["turns"][-1]["tokens"]
    assert later["messages"] == whole["messages"]


@pytest.mark.parametrize("text", [
    "not json", "{}", '{"messages": 3}', '[{"role": "user", "content": "hi"}]', "[" * 100000,
    '[{"role": "assistant", "content": "hi"}]', '{"messages": [{"role": "user"}]}', '{"messages": null}'])
def test_a_file_that_holds_no_conversation_is_refused(call, tiny, tmp_path, text):
    (tmp_path / "bad.json").write_text(text)
    code, _, err = call("chat", tiny, piped=f"/load {tmp_path / 'bad.json'}\n")
    assert code == 2
    assert one_line(err)


@pytest.mark.parametrize(("line", "says"), [
    ("/foo", "there is /help"), ("/set bogus 1", "unknown setting"), ("/set temperature hot", "expected a number"),
    ("/set temperature -3", "temperature is -3"), ("/set top_k 1.5", "whole number"),
    ("/set max_tokens 0", "1 or more"),
    ("/set tools maybe", "on or off"), ("/save", "needs the name"), ("/load /no/such/file", "cannot be read"),
    ("/save /no/such/folder/x", "cannot be written"), ("/retry", "no message"), ("/tokens", "nothing has been said"),
    ("/stats loud", "on, off")])
def test_a_wrong_slash_command_says_what_is_right(call, tiny, line, says):
    code, _, err = call("chat", tiny, piped=line + "\n")
    assert code == 2
    assert one_line(err)
    assert says in err


def test_retry_takes_another_seed(call, tiny):
    code, out, err = call("chat", tiny, "--seed", "3", "--max-tokens", "12", "-t", "1", piped="one\n/retry\n")
    assert code == 0
    assert "seed is now 4" in err
    answers = out.splitlines()
    assert len(set(answers)) > 1


def test_a_chat_that_outgrows_the_context_says_so(call, tiny):
    code, _, err = call("chat", tiny, "--greedy", "--max-tokens", "60", "--context", "150", piped="message\n" * 4)
    assert code == 0
    assert "are left out" in err
