"""The names that users import are there, and importing the package loads nothing heavy."""

import subprocess
import sys

import pytest

import pynanochat
from pynanochat import errors

NAMES = ("load", "save", "LLM", "Chat", "SamplingPolicy", "Tokenizer", "GPTConfig", "Output", "Piece", "Grammar",
         "inspect", "Inspection", "NanochatError", "__version__")


def test_every_promised_name_is_there():
    for name in NAMES:
        assert getattr(pynanochat, name) is not None
        assert name in pynanochat.__all__
        assert name in dir(pynanochat)


def test_all_names_resolve_and_all_errors_are_public():
    for name in pynanochat.__all__:
        getattr(pynanochat, name)
    ours = {name for name in vars(errors) if name.endswith("Error")}
    assert ours <= set(pynanochat.__all__)


def test_names_are_the_modules_own():
    from pynanochat.llm import LLM, load

    assert pynanochat.LLM is LLM
    assert pynanochat.load is load


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        pynanochat.lode


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_import_loads_no_numpy_and_no_third_party():
    loaded = run("import pynanochat, sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))")
    assert not {"numpy", "tiktoken", "torch", "msgspec", "cyclopts", "rich", "safetensors"} & set(loaded)


def test_load_needs_no_torch():
    assert run("import pynanochat, sys; pynanochat.load; print('torch' in sys.modules)") == ["False"]


def test_python_m_is_the_command():
    done = subprocess.run([sys.executable, "-m", "pynanochat", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"nanochat {pynanochat.__version__}\n"
