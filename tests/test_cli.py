"""The command as people use it: in this process where that is enough, as a program where pipes and signals matter."""

import io
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import pynanochat as nc
from pynanochat import checkpoint
from pynanochat.cli import main
from pynanochat.config import GPTConfig
from pynanochat.initialize import random_tensors
from pynanochat.ops import reference
from pynanochat.tokenizer import SPECIAL_TOKENS, Tokenizer

CONFIG = GPTConfig(sequence_len=256, vocab_size=265, n_layer=2, n_head=2, n_kv_head=1, n_embd=32)
COMMANDS = ("chat", "generate", "inspect", "convert", "check")


@pytest.fixture(autouse=True)
def no_other_models(monkeypatch, tmp_path):
    monkeypatch.setenv("NANOCHAT_BASE_DIR", str(tmp_path / "base"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("NANOCHAT_BACKEND", "BURN_BACKEND", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A random model whose tokens are bytes."""
    words = Tokenizer({bytes([i]): i for i in range(256)}, {name: 256 + i for i, name in enumerate(SPECIAL_TOKENS)})
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return str(checkpoint.save(folder, config=CONFIG, tensors=random_tensors(CONFIG, 1), tokenizer=words,
                               meta={"step": 3, "val_bpb": 1.5}))


@pytest.fixture(scope="module")
def mute(tmp_path_factory):
    """The same without a tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "mute"
    return str(checkpoint.save(folder, config=CONFIG, tensors=random_tensors(CONFIG, 1)))


@pytest.fixture
def stdin(monkeypatch):
    def give(data):
        data = data if isinstance(data, bytes) else data.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))

    give("")
    return give


@pytest.fixture
def call(capsys, stdin):
    """Exit code, stdout and stderr of a command; `piped` is its stdin."""

    def run(*arguments, piped=""):
        stdin(piped)
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def program(*arguments, piped=b"", timeout=60, **environment):
    return subprocess.run([sys.executable, "-m", "pynanochat", *map(str, arguments)], input=piped, capture_output=True,
                          timeout=timeout, env=os.environ | environment)


def one_line(text):
    return text.startswith("nanochat: ") and text.count("\n") == 1 and text.endswith("\n")


# help and version


def test_version(call):
    assert call("--version") == (0, f"nanochat {nc.__version__}\n", "")


def test_help_names_every_command(call):
    code, out, err = call("--help")
    assert (code, err) == (0, "")
    for name in COMMANDS:
        assert f"  {name} " in out


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_loads_no_numpy(name):
    code = f"import sys; from pynanochat.cli import main; main(['{name}', '--help']); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"Usage: nanochat {name}")
    assert done.stdout.endswith("False\n")


def test_every_option_has_a_word_of_help(call):
    for name in COMMANDS:
        lines = call(name, "--help")[1].splitlines()
        options = [line for line in lines if line.strip().startswith("--")]
        assert options
        for line in options:
            words = line.split("  ")
            assert len([word for word in words if word.strip()]) >= 2, line


# what goes wrong

BAD = [
    ("genrate",), ("--bogus",), ("generate", "hi", "--temprature", "3"), ("generate", "a", "b"),
    ("generate", "hi", "-m", "nothing-here"), ("chat", "nothing-here"), ("inspect", "no/such"),
    ("inspect", "sft/d99@3"), ("convert", "nothing-here", "{new}"), ("convert", "{tiny}"),
    ("generate", "hi", "-m", "{tiny}", "-t", "-1"), ("generate", "hi", "-m", "{tiny}", "-t", "warm"),
    ("generate", "hi", "-m", "{tiny}", "-t", "nan"), ("generate", "hi", "-m", "{tiny}", "--top-p", "0"),
    ("generate", "hi", "-m", "{tiny}", "-n", "0"), ("generate", "hi", "-m", "{tiny}", "--stop", ""),
    ("generate", "hi", "-m", "{tiny}", "--seed", "-5"), ("generate", "hi", "-m", "{tiny}", "--max-tokens", "-5"),
    ("generate", "hi", "-m", "{tiny}", "--logprobs", "1000"), ("generate", "hi", "-m", "{tiny}", "--system", "x"),
    ("generate", "hi", "-m", "{tiny}", "--tokens", "1"), ("generate", "-m", "{tiny}", "--tokens", "one"),
    ("generate", "-m", "{tiny}", "--tokens", "9999"), ("generate", "-m", "{tiny}", "--tokens", ""),
    ("generate", "-m", "{tiny}", "--tokens", "-3"), ("generate", "hi", "-m", "{mute}"), ("chat", "{mute}"),
    ("generate", "x" * 400, "-m", "{tiny}"), ("generate", "hi", "-m", "{tiny}", "--backend", "tpu"),
    ("generate", "hi", "-m", "{tiny}", "--backend", "wgpu"), ("generate", "hi", "-m", "{tiny}", "--dtype", "int3"),
    ("generate", "hi", "-m", "{tiny}", "--dtype", "bfloat16", "--backend", "reference"),
    ("generate", "hi", "-m", "{tiny}", "--context", "0"), ("generate", "hi", "-m", "{tiny}", "--context", "99999"),
    ("generate", "hi", "-m", "{tiny}", "--softcap", "-1"), ("generate", "hi", "-m", "{tiny}", "--source", "moon"),
    ("generate", "hi", "-m", "{tiny}", "--step", "12345"), ("generate", "hi", "-m", "{tiny}", "--tokenizer", "gone"),
    ("generate", "hi", "-m", "{tiny}", "--context-policy", "error", "--max-tokens", "9999"),
    ("chat", "{tiny}", "-p", "x" * 400), ("chat", "{tiny}", "-p", "hi", "--max-tokens", "-1"),
    ("convert", "{tiny}", "{here}"), ("convert", "{tiny}", "{new}", "--format", "gguf"),
    ("convert", "{tiny}", "{new}", "--format", "burn"), ("convert", "{tiny}", "{new}", "--format", "huggingface"),
    ("inspect", "{tiny}", "--context", "-1"), ("inspect", "{text}"), ("check", "--backend", "tpu"),
    ("check", "--seed", "-1"), ("check", "--json=maybe"),
]


@pytest.mark.parametrize("arguments", BAD, ids=lambda arguments: " ".join(arguments)[:60])
def test_wrong_input_is_one_line_and_exit_code_2(call, tiny, mute, tmp_path, arguments):
    (tmp_path / "notes.txt").write_text("no model")
    places = {"tiny": tiny, "mute": mute, "new": tmp_path / "new", "here": tmp_path, "text": tmp_path / "notes.txt"}
    code, out, err = call(*(argument.format(**places) for argument in arguments))
    assert code == 2
    assert out == ""
    assert one_line(err), err
    assert "Traceback" not in err


def test_spelling_is_corrected(call):
    assert 'Did you mean "generate"' in call("genrate")[2]
    assert "Did you mean --temperature" in call("generate", "hi", "--temprature", "3")[2]


def test_stdin_that_is_no_text_is_refused(call, tiny):
    for command in (("generate", "-m", tiny), ("chat", tiny)):
        code, out, err = call(*command, piped=b"\xff\xfe\n")
        assert code == 2
        assert out == ""
        assert "UTF-8" in err


def test_no_prompt_and_no_pipe_is_refused(call, tiny, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    assert main(["generate", "-m", tiny]) == 2
    assert "there is no prompt" in capsys.readouterr().err


def test_a_broken_system_is_exit_code_1(call, tiny, monkeypatch):
    monkeypatch.setattr("pynanochat.llm.load", lambda *_, **__: (_ for _ in ()).throw(MemoryError))
    assert call("generate", "hi", "-m", tiny) == (1, "", "nanochat: not enough memory\n")


# generate


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
    arguments = ("generate", "What is 12 times 3?", "--chat", "--greedy")
    document = json.loads(call(*arguments, "--json")[1])["samples"][0]
    assert any(document["forced"])
    assert [part["type"] for part in document["parts"]] == ["text", "python", "python_output", "text"]
    assert call(*arguments)[1] == document["text"] + "\n"
    without = json.loads(call(*arguments, "--json", "--no-tools", "--max-tokens", "20")[1])["samples"][0]
    assert not any(without["forced"])


def test_a_terminal_shows_what_the_calculator_did(call, monkeypatch):
    monkeypatch.setattr("_pytest.capture.CaptureIO.isatty", lambda self: True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "[12*3 = 36]" in call("generate", "What is 12 times 3?", "--chat", "--greedy")[1]
    monkeypatch.delenv("NO_COLOR")
    assert "\033[2m36\033[0m" in call("generate", "What is 12 times 3?", "--chat", "--greedy")[1]


# chat


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


# inspect, convert, check


def test_inspect(call, tiny):
    code, out, err = call("inspect", tiny, "--tensors")
    assert (code, err) == (0, "")
    for part in ("pynanochat", "G4, nanochat since a825e63 2026-03-14", "parameters", "sizes in float32 at 256 tokens",
                 "softcap", "val_bpb", "transformer.wte.weight", "320x32"):
        assert part in out, part
    assert "\033" not in out


def test_inspect_json(call, tiny):
    code, out, _ = call("inspect", tiny, "--json")
    assert code == 0
    assert json.loads(out) == nc.inspect(tiny).to_dict()


def test_inspect_the_bundled_model(call):
    document = json.loads(call("inspect", "--json")[1])
    assert document["generation"] == "G4"
    assert document["tokenizer"]["vocab_size"] == 2048


def test_convert_there_and_back(call, tiny, tmp_path):
    code, out, _ = call("convert", tiny, tmp_path / "pt", "--format", "nanochat", "--json")
    document = json.loads(out)
    assert code == 0
    assert set(document["files"]) == {"model_000003.pt", "meta_000003.json", "tokenizer.pkl", "token_bytes.pt"}
    assert document["total_bytes"] == sum(path.stat().st_size for path in (tmp_path / "pt").iterdir())
    code, out, err = call("convert", tmp_path / "pt", tmp_path / "back")
    assert code == 0
    assert "model.safetensors" in out
    assert "G4 as native" in err
    first, last = checkpoint.open(tiny), checkpoint.open(tmp_path / "back")
    assert first.config == last.config
    assert all((first.tensors[name].data == last.tensors[name].data).all() for name in first.tensors)


def test_convert_to_bfloat16(call, tiny, tmp_path):
    assert call("convert", tiny, tmp_path / "small", "--dtype", "bfloat16")[0] == 0
    assert {tensor.dtype for tensor in nc.inspect(tmp_path / "small").tensors} == {"bfloat16"}


def test_check_passes(call):
    code, out, err = call("check", "--backend", "reference")
    assert (code, err) == (0, "")
    assert " PASS, 0 FAIL, 0 SKIP in " in out.splitlines()[-1]


def test_check_fails_on_a_broken_operation(call, monkeypatch):
    monkeypatch.setattr(reference, "softcap", lambda x, cap: x)
    code, out, _ = call("check", "--backend", "reference", "--json")
    document = json.loads(out)
    assert code == 1
    assert document["failed"] == sum(one["status"] == "FAIL" for one in document["checks"]) >= 2
    assert document["passed"] + document["failed"] + document["skipped"] == len(document["checks"])


# as a program


def test_pipes(tiny):
    done = program("generate", "-m", tiny, "--greedy", "--max-tokens", "8", piped=b"hello\n")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode().removesuffix("\n") == nc.load(tiny).generate("hello", 8, temperature=0).text


def test_bare_on_a_pipe_answers():
    done = program(piped=b"What is 12 times 3?\n")
    assert done.returncode == 0
    assert b"36" in done.stdout
    assert done.stderr == b""


def test_wrong_input_as_a_program(tiny):
    for arguments in (("generate", "hi", "-m", "nothing"), ("generate", "hi", "-m", tiny, "-t", "-1"), ("nothing",)):
        done = program(*arguments)
        assert done.returncode == 2
        assert done.stdout == b""
        assert one_line(done.stderr.decode())


def writing(model):
    """A program in the middle of a long text."""
    arguments = ("generate", "hi", "-m", model, "--max-tokens", "2500", "--context", "2560", "-t", "1", "--seed", "1")
    return subprocess.Popen([sys.executable, "-m", "pynanochat", *arguments], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def test_a_reader_that_leaves_is_no_error(tiny):
    process = writing(tiny)
    process.stdout.read(10)
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(60) in (0, 141)
    assert errors == b""


def test_a_text_encoding_that_lacks_characters_is_no_error(tiny):
    done = program("generate", "hi", "-m", tiny, "--seed", "1", "--max-tokens", "30", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")


class Terminal:
    """The command on a pseudo terminal."""

    def __init__(self, *arguments):
        self.master, slave = os.openpty()
        environment = os.environ | {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
        self.process = subprocess.Popen([sys.executable, "-m", "pynanochat", *arguments], stdin=slave, stdout=slave,
                                        stderr=slave, env=environment, start_new_session=True)
        os.close(slave)
        self.seen = ""

    def until(self, text, seconds=20.0):
        """Read until the text has come, and forget what was read."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            ready, _, _ = select.select([self.master], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"{text!r} did not come; got {self.seen!r}"
            try:
                data = os.read(self.master, 65536)
            except OSError:
                data = b""
            assert data, f"{text!r} did not come before the end; got {self.seen!r}"
            self.seen += data.decode("utf-8", "replace")
        before, _, self.seen = self.seen.partition(text)
        return before

    def type(self, text):
        os.write(self.master, text.encode())

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.fixture
def terminal():
    pytest.importorskip("termios")
    opened = []

    def start(*arguments):
        opened.append(Terminal(*arguments))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def test_a_terminal_chat(terminal, tmp_path):
    chat = terminal("chat", "--greedy", "--max-tokens", "400")
    assert "G4, 6.16 M parameters" in chat.until("Ctrl-D leaves")
    chat.until("›")
    chat.type("Tell me a bedtime story about Ben and a lost kite.\r")
    chat.until("Ben the boy")
    chat.process.send_signal(signal.SIGINT)
    chat.until("(stopped)")
    chat.until("›")
    assert chat.process.poll() is None
    chat.type("\x03")
    chat.until("/quit leaves")
    chat.until("›")
    chat.type("/foo\r")
    chat.until("unknown command /foo")
    chat.until("›")
    chat.type("What is 12 times 3?\r")
    chat.until("36.")
    chat.until("›")
    chat.type("/stats\r")
    chat.until("conversation  2 turns")
    chat.until("›")
    chat.type("\x04")
    assert chat.process.wait(20) == 0
    assert "+What is 12 times 3?" in (tmp_path / "state" / "nanochat" / "history").read_text(encoding="utf-8")


def test_several_lines_in_a_terminal(terminal, tmp_path):
    chat = terminal()
    chat.until("›")
    chat.type("What is 12\x1b\rtimes 3?\r")
    chat.until(".\r\n")
    chat.until("›")
    chat.type("/quit\r")
    assert chat.process.wait(20) == 0
    assert "+What is 12\n+times 3?\n" in (tmp_path / "state" / "nanochat" / "history").read_text(encoding="utf-8")


def test_ctrl_c_outside_a_chat_is_130(tiny):
    process = writing(tiny)
    process.stdout.read(5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, b"")


def test_history_needs_no_writable_home(monkeypatch, tmp_path):
    from pynanochat.cli.line_input import history_file

    assert history_file() == tmp_path / "state" / "nanochat" / "history"
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert history_file() is None


def test_no_module_is_long():
    root = Path(nc.__file__).parent
    for path in [*(root / "cli").glob("*.py"), *(root / "check").glob("*.py")]:
        assert len(path.read_text(encoding="utf-8").splitlines()) < 400, path
