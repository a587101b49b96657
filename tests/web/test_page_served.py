"""The page, the server and the bundled model together."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from page_driver import Driver

GREEDY = {"temperature": 0, "max_tokens": 40}


@pytest.fixture(params=["desktop", "phone"])
def page(visit: Callable[..., Driver], served: str, request: pytest.FixtureRequest) -> Driver:
    return visit(served, request.param)


STOP_SOON = """() => new MutationObserver((_, observer) => {
  const button = document.querySelector('button.stop');
  if (button) { observer.disconnect(); setTimeout(() => button.click(), 50); }
}).observe(document.body, { childList: true, subtree: true, attributes: true })"""


@pytest.fixture
def large(visit: Callable[..., Driver], served: str) -> Driver:
    return visit(served)


def ask(served: str, path: str, **body: Any) -> Any:
    request = urllib.request.Request(served + path, json.dumps(body).encode(), {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def choose(driver: Driver, **values: str) -> None:
    """Set sampling settings by their labels."""
    driver.settings()
    for label, value in values.items():
        driver.page.get_by_label(label.replace("_", " "), exact=True).fill(value)
        driver.page.get_by_label(label.replace("_", " "), exact=True).blur()
    driver.close_drawer()


def test_chat_with_the_calculator(page: Driver, served: str) -> None:
    choose(page, Temperature="0")
    page.send("What is 123 times 45?")
    text = ask(served, "v1/chat/completions", messages=[{"role": "user", "content": "What is 123 times 45?"}],
               temperature=0)["choices"][0]["message"]["content"]
    assert page.last.locator(".tool-input").inner_text() == "123*45"
    assert page.last.locator(".tool-output").inner_text() == "5535"
    assert "5535" in text
    assert " ".join(page.last.locator(".prose").all_inner_texts()).split() == text.split()
    assert re.search(r"\d+ of 512 tokens", page.page.locator(".meter").get_attribute("aria-label") or "")


def test_an_alternative_is_what_the_model_says_after_it(large: Driver, served: str) -> None:
    choose(large, Temperature="0", Longest_answer="40")
    large.send("Tell me a story.")
    large.colour()
    large.last.locator(".token").nth(3).click()
    large.page.locator(".alternative:not(:disabled)").first.click()
    large.page.locator(".branch-number").wait_for()
    large.wait()
    large.colour()
    stored = large.page.evaluate("""() => new Promise((resolve) => {
      indexedDB.open('nanochat').onsuccess = (event) => {
        event.target.result.transaction('conversations').objectStore('conversations').getAll().onsuccess = (all) => {
          event.target.result.close();
          resolve(all.target.result[0].messages);
        };
      };
    })""")
    first, branch = (message for message in stored if message["role"] == "assistant")
    ids = [token["id"] for token in branch["tokens"]]
    assert ids[:3] == [token["id"] for token in first["tokens"][:3]]
    assert ids[3] != first["tokens"][3]["id"]
    direct = ask(served, "v1/chat/completions", continue_final_message=True, return_token_ids=True, **GREEDY, messages=[
        {"role": "user", "content": "Tell me a story."}, {"role": "assistant", "content": "", "token_ids": ids[:4]}])
    assert direct["choices"][0]["token_ids"] == ids[4:]
    assert large.body().endswith(direct["choices"][0]["message"]["content"].split("\n")[-1].strip())


def test_stop_frees_the_model(large: Driver, served: str) -> None:
    large.page.route("**/v1/chat/completions", lambda route: route.continue_(
        post_data=json.dumps({**route.request.post_data_json, "ignore_eos": True})))
    large.page.evaluate(STOP_SOON)  # the model may be done before a click from outside comes
    large.send("Tell me a long story.", wait=False)
    large.wait()
    assert "Stopped" in large.last.locator(".numbers").inner_text()
    for _ in range(60):
        with urllib.request.urlopen(served + "metrics", timeout=10) as answer:
            metrics = answer.read().decode()
        running = [float(line.split()[-1]) for line in metrics.splitlines()
                   if line.startswith("vllm:num_requests_running")]
        if running and not any(running):
            break
        large.page.wait_for_timeout(50)
    assert running == [0.0]


def test_a_chat_longer_than_the_context_goes_on(large: Driver) -> None:
    choose(large, Longest_answer="60")
    for turn in range(8):
        large.send(f"Tell me story number {turn} about a fox, a key, a boat and the quiet sea. " + "Please. " * 30)
        assert large.last.get_by_role("alert").count() == 0
        if large.page.locator(".dropped").count():
            break
    assert "The model no longer sees what stands above this line." in large.page.locator(".dropped").inner_text()
    assert "left out" in large.last.locator(".numbers").inner_text()
    assert any(large.last.locator(".prose").all_inner_texts())


def test_the_notebook_goes_on_and_is_scored(page: Driver, served: str) -> None:
    page.notebook()
    choose(page, Temperature="0", Longest_answer="12")
    page.field.fill("Once upon a time")
    page.proceed()
    text = ask(served, "v1/completions", prompt="Once upon a time", temperature=0, max_tokens=12)["choices"][0]["text"]
    assert page.field.input_value() == f"Once upon a time{text}"
    page.proceed()
    more = ask(served, "v1/completions", prompt="Once upon a time", temperature=0, max_tokens=24)["choices"][0]["text"]
    assert page.field.input_value() == f"Once upon a time{more}"
    page.button("Score the text").click()
    page.page.locator(".marks .token").nth(10).wait_for()
    assert "perplexity" in page.page.locator(".numbers").inner_text()


def test_the_notebook_writes_more_than_a_sentence_and_up_to_the_end_of_the_context(large: Driver) -> None:
    large.notebook()
    choose(large, Temperature="0")
    large.field.fill("Once upon a time")
    large.proceed()
    assert len(large.field.input_value().split()) > 40
    large.field.fill("The fox ran home. " * 80)
    large.proceed()
    assert large.page.get_by_role("alert").count() == 0
    assert len(large.field.input_value()) > len("The fox ran home. " * 80)


def test_the_calculator_is_off_where_it_is_switched_off(large: Driver) -> None:
    choose(large, Temperature="0")
    large.send("What is 123 times 45?")
    assert large.last.locator(".tool").count() == 1
    large.settings()
    large.page.get_by_role("checkbox", name="Calculator").uncheck()
    large.send("What is 123 times 46?")
    assert large.last.locator(".tool").count() == 0
    assert large.last.get_by_role("alert").count() == 0
    assert large.body()


def test_what_a_person_writes_as_an_answer_is_continued(large: Driver) -> None:
    choose(large, Temperature="0", Longest_answer="20")
    large.send("Tell me a story.")
    large.button("Edit answer", large.last).click()
    large.page.get_by_label("Edit the answer").fill("The whale was hungry, so")
    large.page.get_by_label("Edit the answer").press("Enter")
    large.last.locator("[data-action=continue]").click()
    large.until("document.querySelector('.answer:last-child .body').textContent.length > 40")
    large.wait()
    assert large.body().startswith("The whale was hungry, so")


def test_characters_of_several_tokens_stay_whole(large: Driver) -> None:
    large.notebook()
    choose(large, Temperature="0", Longest_answer="4")
    large.field.fill("é🦊漢 Once upon")
    large.proceed()
    large.button("Score the text").click()
    large.page.locator(".marks .token").last.wait_for()
    assert large.field.input_value().startswith("é🦊漢 Once upon")
    assert large.page.locator(".marks .token").count() < 20
    large.field.fill("é🦊漢 Once upon the")
    large.proceed()
    assert large.field.input_value().startswith("é🦊漢 Once upon the")
    assert "\ufffd" not in large.field.input_value()
