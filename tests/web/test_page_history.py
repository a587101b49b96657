"""Conversations stay in the browser: list, search, names, deletion, files, several tabs."""

from __future__ import annotations

import json
from pathlib import Path

from page_driver import Driver, Tool


def test_reload_keeps_everything(driver: Driver) -> None:
    driver.stub.say("Let me see: ", Tool("6*7", "42"), " it is *42*.")
    driver.send("What is 6 times 7?")
    driver.reload()
    assert driver.page.locator(".said").all_inner_texts() == ["What is 6 times 7?"]
    assert driver.last.locator(".tool-output").inner_text() == "42"
    assert driver.last.locator("em").inner_text() == "42"
    assert "tok/s" in driver.last.locator(".numbers").inner_text()


def test_a_reload_in_the_middle_keeps_what_came(desktop: Driver) -> None:
    desktop.stub.say("word " * 400, delay=0.01)
    desktop.send("Go", wait=False)
    desktop.until("(document.querySelector('.answer .prose')?.textContent.length ?? 0) > 60")
    desktop.reload()
    assert desktop.body().startswith("word word")
    assert "Interrupted" in desktop.last.locator(".numbers").inner_text()
    assert desktop.last.locator("[data-action=continue]").count() == 1


def test_list_search_rename_delete_undo(driver: Driver) -> None:
    for text in ("About foxes", "About whales"):
        driver.conversations()
        driver.button("New chat").click()
        driver.stub.say(f"Here is a story {text.lower()}.")
        driver.send(text)
    driver.conversations()
    page = driver.page
    items = page.locator(".item-title")
    assert items.all_inner_texts() == ["About whales", "About foxes"]
    page.get_by_role("searchbox").fill("STORY foxes")
    assert items.all_inner_texts() == ["About foxes"]
    page.get_by_role("searchbox").fill("giraffe")
    assert page.get_by_text("Nothing found.").is_visible()
    page.get_by_role("searchbox").fill("")
    driver.act("Rename", "About whales")
    page.get_by_label("Name of the conversation").fill("Sea")
    page.get_by_label("Name of the conversation").press("Enter")
    assert items.all_inner_texts() == ["Sea", "About foxes"]
    assert page.locator(".title").inner_text() == "Sea"
    driver.act("Delete", "Sea")
    assert items.all_inner_texts() == ["About foxes"]
    driver.button("Undo").click()
    page.locator(".said", has_text="About whales").wait_for()
    driver.reload()
    page.locator(".said").wait_for()
    driver.conversations()
    assert items.all_inner_texts() == ["Sea", "About foxes"]


def test_notices_lie_in_the_middle_of_the_conversation(driver: Driver) -> None:
    driver.send("Hi")
    if driver.size == "desktop":
        driver.settings()
    driver.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    driver.button("Copy answer", driver.last).click()
    driver.page.locator(".toast").wait_for()
    centres = driver.page.evaluate("""['.toasts', '.composer'].map((name) => {
      const { left, right } = document.querySelector(name).getBoundingClientRect();
      return (left + right) / 2;
    })""")
    assert abs(centres[0] - centres[1]) <= 1


def test_the_address_names_the_conversation(desktop: Driver) -> None:
    desktop.send("First")
    address = desktop.page.url
    desktop.button("New chat").click()
    desktop.send("Second")
    assert desktop.page.url != address
    desktop.page.go_back()
    desktop.page.locator(".said", has_text="First").wait_for()
    assert desktop.page.url == address


def test_export_and_import(driver: Driver, tmp_path: Path) -> None:
    driver.stub.say("One.")
    driver.stub.say("Two ", Tool("1+1", "2"), " done.")
    driver.send("Hello")
    driver.button("Regenerate", driver.last).click()
    driver.shows("done.")
    driver.wait()
    driver.conversations()
    with driver.page.expect_download() as download:
        driver.act("Export", "Hello")
    path = tmp_path / "chat.json"
    download.value.save_as(path)
    assert download.value.suggested_filename == "hello.json"
    document = json.loads(path.read_text())
    assert document["format"] == "nanochat-conversations"
    assert document["messages"] == [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": [
        {"type": "text", "text": "Two "}, {"type": "python", "text": "1+1"}, {"type": "python_output", "text": "2"},
        {"type": "text", "text": " done."}]}]
    assert document["answers"] == [[token["id"] for token in document["conversations"][0]["messages"][2]["tokens"]]]
    driver.act("Delete", "Hello")
    driver.page.get_by_label("Files to import").set_input_files(path)
    driver.shows("done.")
    assert driver.last.locator(".branch-number").inner_text() == "2/2"
    assert driver.last.locator(".tool-output").inner_text() == "2"


def test_a_chat_of_the_terminal_can_be_imported(desktop: Driver, tmp_path: Path) -> None:
    path = tmp_path / "saved.json"
    path.write_text(json.dumps({
        "system": "Be brief.", "model": "story5m", "vocab_size": 2048, "answers": [[7, 8, 9]],
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"},
                     {"role": "assistant", "content": "Hello."}]}))
    desktop.page.get_by_label("Files to import").set_input_files(path)
    desktop.shows("Hello.")
    desktop.send("And?")
    (asked,) = desktop.stub.posted("v1/chat/completions")
    assert asked["messages"] == [
        {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello.", "token_ids": [7, 8, 9]}, {"role": "user", "content": "And?"}]


def test_files_that_are_no_conversations_are_refused_in_words(desktop: Driver, tmp_path: Path) -> None:
    wrong = {"a.json": "not json", "b.json": '{"x": 1}', "c.json": '{"messages": [{"role": "assistant"}]}'}
    for name, text in wrong.items():
        (tmp_path / name).write_text(text)
        desktop.page.get_by_label("Files to import").set_input_files(tmp_path / name)
        desktop.page.locator(".toast", has_text="This file" if name != "c.json" else "take turns").last.wait_for()
    strange = {"format": "nanochat-conversations", "version": 1, "conversations": [
        {"messages": [{"id": "__proto__", "parent": None, "role": "user", "parts": "x"}, None, 7,
                      {"id": "b", "parent": "__proto__", "role": "assistant", "parts": [{"type": "tool"}, None],
                       "tokens": [None, {"id": -1, "text": {}, "logprob": "x", "top": [1]}], "finish": {}}],
         "chosen": {"__proto__": "b", "root": "constructor"}, "settings": {"sampling": {"temperature": "hot"}}}, 5]}
    (tmp_path / "d.json").write_text(json.dumps(strange))
    desktop.page.get_by_label("Files to import").set_input_files(tmp_path / "d.json")
    desktop.page.locator(".toast", has_text="2 conversations are imported").wait_for()
    desktop.page.locator(".turn.answer").wait_for()


def test_two_tabs_see_each_other(desktop: Driver) -> None:
    desktop.send("From the first tab")
    other = Driver(desktop.page.context.new_page(), desktop.url, stub=desktop.stub).open()
    other.page.locator(".item-title", has_text="From the first tab").click()
    other.send("From the second tab")
    desktop.page.locator(".said", has_text="From the second tab").wait_for()
    assert other.wrongs == []
