"""The files of the page: small, without strings that become HTML, and libraries that are what they say."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

import pynanochat

WEB = Path(pynanochat.__file__).parent / "serve" / "web"
FILES = sorted(path for path in WEB.rglob("*.*") if path.suffix in (".js", ".css", ".html"))
OWN = [path for path in FILES if "vendor" not in path.parts]
VENDORED = [path for path in FILES if "vendor" in path.parts]
ROWS = re.findall(r"^\| (\S+\.js) \| (\S+) (\S+) \| (\S+) \| ([0-9a-f]{64}) \| (the same|[0-9a-f]{64}) \| (.+) \|$",
                  (WEB / "vendor" / "VERSIONS.md").read_text(), re.M)
SINKS = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|setHTML|srcdoc|"
                   r"dangerouslySetInnerHTML|parseFromString|\beval\b|new Function|javascript:|DOMParser")


@pytest.mark.parametrize("path", OWN, ids=lambda path: str(path.relative_to(WEB)))
def test_own_files(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) < 400
    assert not SINKS.search(text)
    assert max(map(len, text.splitlines())) <= 120 or path.suffix == ".css"
    assert "DOMPurify" not in text or path.name == "markdown.js"
    assert " style=" not in text
    if path.suffix == ".js" and path.name != "theme.js":
        assert text.startswith("/**")
        for name in re.findall(r"from '([^']+)'", text):
            assert (path.parent / name).resolve().is_file()


@pytest.mark.parametrize("path", OWN, ids=lambda path: str(path.relative_to(WEB)))
def test_nothing_comes_from_elsewhere(path: Path) -> None:
    addresses = set(re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]+", path.read_text()))
    assert not addresses
    assert not re.search(r"@import|url\(", path.read_text())


def test_vendored_files_are_what_they_say() -> None:
    assert {row[0] for row in ROWS} == {path.relative_to(WEB / "vendor").as_posix() for path in VENDORED}
    for here, package, _, _, upstream, own, _ in ROWS:
        digest = hashlib.sha256((WEB / "vendor" / here).read_bytes()).hexdigest()
        assert digest == (upstream if own == "the same" else own)
        assert (WEB / "vendor" / f"{package.removeprefix('@').replace('/', '-')}.LICENSE").stat().st_size > 500


def test_the_page_is_small() -> None:
    size = sum(path.stat().st_size for path in WEB.rglob("*") if path.suffix in (".js", ".css", ".html", ".svg"))
    assert size < 450_000
