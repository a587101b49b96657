"""A hundred hostile outputs run nothing and load nothing, wherever the page shows them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hostile_outputs import OUTPUTS
from page_driver import Driver

ELEMENTS = ("script, iframe, frame, object, embed, img, image, video, audio, source, link, style, meta, base, math, "
            "form:not(.composer), template, portal, fencedframe, dialog, marquee, details, use, foreignObject, animate")
INSPECT = """(elements) => {
  const nodes = [...document.querySelectorAll('#root *')];
  const names = nodes.flatMap((one) => [...one.attributes].map((each) => each.name));
  const handlers = names.filter((name) => /^on|^srcdoc$/.test(name));
  const links = nodes.filter((one) => one.matches('a:not(.skip)')).map((one) => one.getAttribute('href') ?? '');
  return { pwned: 'pwned' in window, handlers,
           elements: nodes.filter((one) => one.matches(elements)).map((one) => one.outerHTML),
           links: links.filter((link) => link && !/^(https?:|mailto:)/i.test(link)) };
}"""
CLEAN = {"pwned": False, "elements": [], "handlers": [], "links": []}


@pytest.fixture
def hostile(driver: Driver) -> Driver:
    driver.allowed = re.compile("Failed to load resource: the server responded with a status of 4")
    return driver


def test_there_are_a_hundred() -> None:
    assert len(set(OUTPUTS)) == 100


def test_as_answers(hostile: Driver) -> None:
    """Each is sent as the person's message as well, so that titles and the list show them, too."""
    outputs = OUTPUTS if hostile.size == "desktop" else OUTPUTS[::5]
    for start in range(0, len(outputs), len(outputs) // 4):
        for output in outputs[start:start + len(outputs) // 4]:
            hostile.stub.say(output)
            hostile.send(output)
        assert hostile.answers.count() == len(outputs) // 4
        assert hostile.page.evaluate(INSPECT, ELEMENTS) == CLEAN
        hostile.colour()
        assert hostile.page.evaluate(INSPECT, ELEMENTS) == CLEAN
        hostile.colour()
        hostile.conversations()
        hostile.button("New chat").click()
    hostile.page.locator(".welcome").wait_for()
    hostile.conversations()
    assert hostile.page.locator(".item-title").count() == 4
    assert hostile.page.evaluate(INSPECT, ELEMENTS) == CLEAN


def test_what_they_wrote_is_shown(desktop: Driver) -> None:
    desktop.stub.say("a <script>alert(1)</script> & <b>bold</b> &lt;i&gt; `<u>`")
    desktop.send("Show")
    assert desktop.body() == "a <script>alert(1)</script> & <b>bold</b> <i> <u>"


def test_as_titles_names_errors_and_notebooks(visit: Callable[..., Driver], stub: Any, tmp_path: Path) -> None:
    samples = OUTPUTS[::7]
    stub.models = [{"id": text, "object": "model", "max_model_len": 9, "nanochat": {"generation": text, "dtype": text,
                    "backend": text, "defaults": {"temperature": text, "top_k": [text]}}} for text in samples]
    driver = visit(stub.url, "desktop", stub)
    driver.allowed = re.compile("Failed to load resource")
    driver.settings()
    assert driver.page.evaluate(INSPECT, ELEMENTS) == CLEAN
    for text in samples:
        driver.stub.say(status=400, error=text)
        driver.send(text)
        driver.stub.say("x", error=text)
        driver.button("Regenerate", driver.last).click()
        driver.wait()
    assert driver.page.evaluate(INSPECT, ELEMENTS) == CLEAN
    driver.notebook()
    driver.field.fill("\n".join(samples))
    driver.stub.say("\n".join(OUTPUTS))
    driver.proceed()
    driver.colour()
    driver.button("Score the text").click()
    driver.page.locator(".marks .token").nth(50).wait_for()
    assert driver.page.evaluate(INSPECT, ELEMENTS) == CLEAN
    conversations = [{"kind": kind, "title": text, "named": True, "text": text, "messages": [
        {"id": text, "parent": None, "role": "user", "parts": [{"type": "text", "text": text}]},
        {"id": "b", "parent": text, "role": "assistant", "parts": [
            {"type": "text", "text": text},
            {"type": "tool", "call": text, "name": text, "input": text, "output": text}],
         "model": text, "finish": text}]} for text in samples for kind in ("chat", "notebook")]
    path = tmp_path / "hostile.json"
    path.write_text(json.dumps({"format": "nanochat-conversations", "version": 1, "conversations": conversations}))
    driver.page.get_by_label("Files to import").set_input_files(path)
    driver.page.locator(".toast", has_text="conversations are imported").wait_for()
    for item in driver.page.locator(".item-title").all()[::5]:
        item.click()
        driver.page.wait_for_timeout(20)
        assert driver.page.evaluate(INSPECT, ELEMENTS) == CLEAN


def test_the_policy_of_the_page_holds_by_itself(desktop: Driver) -> None:
    """Should a text ever become HTML, the browser still runs nothing of it: a string is no TrustedHTML."""
    refused = desktop.page.evaluate("""() => {
      const box = document.createElement('div');
      const tries = [() => { box.innerHTML = '<b>x</b>'; }, () => document.write('x'),
                     () => { document.createElement('script').text = '1'; },
                     () => trustedTypes.createPolicy('mine', {}),
                     () => new DOMParser().parseFromString('x', 'text/html')];
      return tries.map((attempt) => { try { attempt(); return 'allowed'; } catch (error) { return error.name; } });
    }""")
    desktop.wrongs.clear()
    assert "allowed" not in refused
