"""Help is quick and complete; wrong input of any kind is one line and exit code 2."""

import shutil
import subprocess
import sys

import pytest
from command_line import one_line

import pynanochat as nc
from pynanochat.cli import main

COMMANDS = ("chat", "generate", "serve", "inspect", "convert", "check", "bench", "eval")
TRAINING = ("train texts", "train tokenizer", "train data", "train pretrain", "train sft",
            "train bundled", "train plot")


def test_version(call):
    assert call("--version") == (0, f"nanochat {nc.__version__}\n", "")


def test_help_names_every_command(call):
    code, out, err = call("--help")
    assert (code, err) == (0, "")
    for name in COMMANDS:
        assert f"  {name} " in out


def test_help_names_every_step_of_training(call):
    code, out, err = call("train", "--help")
    assert (code, err) == (0, "")
    for name in TRAINING:
        assert f"  {name.split()[1]} " in out


@pytest.mark.parametrize("name", [*COMMANDS, *TRAINING])
def test_help_of_a_command_loads_no_numpy(name):
    words = [*name.split(), "--help"]
    code = f"import sys; from pynanochat.cli import main; main({words}); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"Usage: nanochat {name}")
    assert done.stdout.endswith("False\n")


def test_every_option_has_a_word_of_help(call):
    for name in (*COMMANDS, *TRAINING):
        lines = call(*name.split(), "--help")[1].splitlines()
        options = [line for line in lines if line.strip().startswith("--")]
        assert options
        for line in options:
            words = line.split("  ")
            assert len([word for word in words if word.strip()]) >= 2, line


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
    ("generate", "hi", "-m", "{tiny}", "--threads", "1.5"), ("generate", "hi", "-m", "{tiny}", "--max-tokens", "1e-3"),
    ("generate", "hi", "-m", "{tiny}", "--seed", "inf"), ("bench", "{tiny}", "--batches", "1.5"),
    ("generate", "hi", "-m", "{tiny}", "--json", "--jsonl"), ("--completion", "tcsh"), ("-",),
    ("inspect", "{tiny}", "--context", "-1"), ("inspect", "{text}"), ("check", "--backend", "tpu"),
    ("check", "--seed", "-1"), ("check", "--json=maybe"), ("bench", "nothing-here"), ("bench", "--backend", "tpu"),
    ("bench", "--depth", "0"), ("bench", "{tiny}", "--depth", "2"), ("bench", "{tiny}", "--threads", "0"),
    ("bench", "{tiny}", "--batches", "0"), ("bench", "{tiny}", "--quantize", "q3"),
    ("bench", "--depth", "1", "--dtype", "bfloat16", "--backend", "reference"),
    ("bench", "--depth", "250", "--backend", "reference"),
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


def test_the_help_of_a_command_says_all_that_its_docstring_does(capsys):
    assert "Ctrl-C or SIGTERM lets running requests finish" in " ".join(helped(capsys, "serve").split())
    assert "torchrun --nproc-per-node 8" in helped(capsys, "train", "pretrain")
    assert "lets running requests finish" not in " ".join(helped(capsys).split())


def helped(capsys, *command):
    assert main([*command, "--help"]) == 0
    return capsys.readouterr().out


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


def test_a_fraction_is_no_whole_number(call, tiny):
    assert "--threads: 1.5 is no whole number" in call("generate", "hi", "-m", tiny, "--threads", "1.5")[2]
    assert call("generate", "hi", "-m", tiny, "--max-tokens", "1.0")[0] == 0


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_completion_scripts(call, shell):
    code, out, err = call("--completion", shell)
    assert (code, err) == (0, "")
    for word in (*COMMANDS, "temperature"):
        assert word in out


def test_the_completion_of_bash_completes():
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash")
    command = [sys.executable, "-m", "pynanochat", "--completion", "bash"]
    script = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    script += 'COMP_WORDS=(nanochat gen); COMP_CWORD=1; _nanochat nanochat gen nanochat; echo "${COMPREPLY[@]}"'
    assert subprocess.run([bash], input=script, capture_output=True, text=True, check=True).stdout == "generate\n"
