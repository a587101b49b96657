"""Page: the files of the web page, held in memory and served by their exact names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

POLICY = ("default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self' data:; "
          "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
          "require-trusted-types-for 'script'; trusted-types dompurify")
_TYPES = {
    ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8", ".json": "application/json", ".svg": "image/svg+xml", ".png": "image/png",
    ".ico": "image/vnd.microsoft.icon", ".woff2": "font/woff2", ".webmanifest": "application/manifest+json",
    ".txt": "text/plain; charset=utf-8", ".md": "text/plain; charset=utf-8", ".LICENSE": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class Asset:
    """One file of the page."""

    body: bytes
    content_type: str
    etag: str


class Page:
    """The assets by path: "/" is index.html, the others lie below it. No path of a request ever reaches the disk."""

    def __init__(self, folder: Traversable | None = None) -> None:
        folder = folder or files("pynanochat.serve") / "web"
        self.assets = dict(_assets(folder, "/")) if folder.is_dir() else {}
        if "/index.html" in self.assets:
            self.assets["/"] = self.assets["/index.html"]


def _assets(folder: Traversable, path: str) -> Iterator[tuple[str, Asset]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _assets(entry, f"{path}{entry.name}/")
            continue
        suffix = f".{entry.name.rpartition('.')[2]}"
        if suffix in _TYPES and not entry.name.startswith("."):
            body = entry.read_bytes()
            yield path + entry.name, Asset(body, _TYPES[suffix], f'"{hashlib.sha256(body).hexdigest()[:32]}"')
