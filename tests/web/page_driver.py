"""What a person does on the page, and a watch over what the page must never do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stub_server import StubServer, Tool

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Locator, Page, Request

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync"]
SIZES = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
}
__all__ = ["ARGUMENTS", "SIZES", "Driver", "Tool"]


class Driver:
    """One open page. `wrongs` holds whatever no page of ours may do: errors, dialogs, requests to anywhere else."""

    def __init__(self, page: Page, url: str, *, size: str = "desktop", stub: StubServer | None = None) -> None:
        self.page, self.url, self.size = page, url, size
        self.wrongs: list[str] = []
        self.allowed = re.compile(r"(?!)")  # what a console message may say in this test
        self._stub = stub
        page.set_default_timeout(6000)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.wrongs.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (self.wrongs.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", self._asked)
        page.on("popup", lambda popup: self.wrongs.append(f"popup: {popup.url}"))

    @property
    def stub(self) -> StubServer:
        assert self._stub is not None
        return self._stub

    def open(self, path: str = "") -> Driver:
        self.page.goto(self.url + path)
        self.page.locator(".page").wait_for()
        return self

    def reload(self) -> None:
        """Load the page again; the conversation that was open is open."""
        count = self.answers.count()
        self.page.reload()
        self.page.locator(".page").wait_for()
        if count:
            self.answers.nth(count - 1).wait_for()

    def forget(self) -> None:
        """Close all pages and take away what they kept."""
        origin = self.url.rstrip("/")
        session = self.page.context.new_cdp_session(self.page)
        for page in self.page.context.pages[1:]:
            page.close()
        self.page.goto("about:blank")
        session.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "local_storage,indexeddb"})
        self.page.close()

    @property
    def field(self) -> Locator:
        return self.page.locator("#composer textarea, .sheet-field")

    @property
    def answers(self) -> Locator:
        return self.page.locator(".answer")

    @property
    def last(self) -> Locator:
        return self.answers.last

    def button(self, name: str, within: Locator | None = None) -> Locator:
        return (within or self.page).get_by_role("button", name=name, exact=True)

    def send(self, text: str, *, wait: bool = True) -> None:
        count = self.answers.count()
        self.field.fill(text)
        self.button("Send").click()
        self.answers.nth(count).wait_for()
        if wait:
            self.wait()

    def wait(self) -> None:
        """Until nothing comes in any more."""
        self.page.locator(".answer.running").wait_for(state="detached", timeout=30_000)
        self.button("Stop").wait_for(state="detached")

    def body(self, answer: Locator | None = None) -> str:
        return (answer or self.last).locator(".body").inner_text()

    def shows(self, text: str) -> None:
        """Wait until an answer has this text."""
        self.page.locator(".answer .body", has_text=text).first.wait_for()

    def until(self, expression: str) -> None:
        """Wait until a JavaScript expression is true."""
        for _ in range(200):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(25)
        raise AssertionError(f"never true: {expression}")

    def colour(self) -> None:
        self.button("Tokens").click()

    def conversations(self) -> None:
        """Have the list at hand: on a phone it is a drawer."""
        if not self.page.locator("#sidebar").is_visible():
            self.button("Conversations").click()

    def act(self, what: str, title: str) -> None:
        """Rename, Export or Delete a conversation of the list."""
        self.page.locator(".item", has_text=title).hover()
        self.button(f"{what} {title}").click()

    def settings(self) -> None:
        if not self.page.locator("#panel").is_visible():
            self.button("Settings").click()

    def close_drawer(self) -> None:
        if self.size == "phone":
            self.page.keyboard.press("Escape")

    def notebook(self) -> None:
        self.conversations()
        self.button("New notebook").click()
        self.page.locator(".sheet-field").wait_for()

    def proceed(self) -> None:
        """Let the model go on in a notebook."""
        self.button("Continue").click()
        self.page.locator(".sheet-field[readonly]").wait_for(state="detached", timeout=30_000)
        self.button("Continue").wait_for()

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not self.allowed.search(message.text):
            self.wrongs.append(f"{message.type}: {message.text}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.url, "data:", "blob:", "about:blank")):
            self.wrongs.append(f"request: {request.url}")
        elif request.is_navigation_request() and request.url.split("#")[0] not in (self.url, "about:blank"):
            self.wrongs.append(f"navigation: {request.url}")
