"""The shape of the package: imports go down only, torch stays where it belongs, files stay small, no drawers."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "pynanochat"
LAYERS = (  # lowest first; a module may import its own layer and those below
    ("errors", "config", "cores", "tensor", "philox", "unpickle", "pickle_writer"),
    ("pretokenizer", "vocabulary", "tokenizer_json", "tokenizer_pickle", "tokenizer", "detokenizer", "calculator",
     "tools", "chat", "sampling"),
    ("batch", "weights", "generation", "sizes", "rope", "initialize", "page_memory", "ops", "model", "runner",
     "quantize"),
    ("checkpoint",),
    ("engine", "backends"),
    ("grammar", "prompt", "output", "stream", "session", "llm", "inspection"),
    ("synthetic",),
    ("train", "eval", "distributed"),
    ("check", "bench", "contract", "serve", "cli", "__main__"),
)
DRAWERS = {"utils", "util", "common", "helpers", "helper", "misc", "base", "manager"}
FILES = sorted(PACKAGE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path, *, at_run_time: bool = False) -> set[str]:
    """The full names that a file imports, those for type checkers only left out."""
    found: set[str] = set()
    tree = ast.parse(path.read_text())
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            skipped.update(ast.walk(node))
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def layer(name: str) -> int:
    places = [place for place, names in enumerate(LAYERS) if name in names]
    assert len(places) == 1, f"{name} stands in no layer of tests/test_architecture.py, or in several"
    return places[0]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    name = name_of(path)
    if name == "__init__":
        return
    for imported in imports(path):
        parts = imported.split(".")
        if parts[0] == "pynanochat" and len(parts) > 1 and (PACKAGE / parts[1]).with_suffix(".py").exists() | (
                PACKAGE / parts[1]).is_dir():
            assert layer(parts[1]) <= layer(name), f"{name} imports {parts[1]}, which lies above it"
    others = {"engine": "backends", "backends": "engine"}
    if name in others:
        assert not [i for i in imports(path) if i.startswith(f"pynanochat.{others[name]}")]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_torch_and_pickle_stay_out(path: Path) -> None:
    top = {imported.split(".")[0] for imported in imports(path)}
    if not {"train", "distributed"} & set(path.parts) and "backends/torch/" not in path.as_posix():
        assert "torch" not in top
    assert not top & {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"}
    if "torch.load" in path.read_text():
        assert "torch.load(" not in path.read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_loaders_raise_and_never_assert_or_evaluate(path: Path) -> None:
    tree = ast.parse(path.read_text())
    names = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not names & {"eval", "exec", "compile", "__import__"}
    if name_of(path) in ("checkpoint", "serve", "unpickle", "tokenizer_pickle", "tokenizer_json", "calculator"):
        assert not any(isinstance(node, ast.Assert) for node in ast.walk(tree))


@pytest.mark.parametrize("path", [*FILES, *sorted((ROOT / "tests").rglob("*.py"))],
                         ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_small_and_named_after_a_noun(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400
    assert not set(path.relative_to(ROOT).with_suffix("").parts) & DRAWERS


def test_no_cycles_inside_a_layer() -> None:
    """Modules of one layer import each other downwards only."""
    graph: dict[str, set[str]] = {}
    for path in FILES:
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        found = {i.removeprefix("pynanochat.") for i in imports(path) if i.startswith("pynanochat.")}
        graph[name] = {below for below in found if not f"{name}.".startswith(f"{below}.")}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, f"import cycle: {' -> '.join([*above[above.index(name):], name])}"
        if name in done or name not in graph:
            return
        for below in graph[name]:
            visit(below, (*above, name))
        done.add(name)

    for name in graph:
        visit(name, ())
