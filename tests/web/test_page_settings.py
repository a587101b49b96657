"""Settings: what is set is sent, and nothing else; the key, the model, the theme, the keyboard."""

from __future__ import annotations

import re
from typing import Any

from page_driver import Driver


def test_only_what_is_set_is_sent(driver: Driver) -> None:
    page = driver.page
    driver.send("Plain")
    driver.settings()
    values = {"Temperature": "0.85", "Top-k": "12", "Top-p": "0.9", "Min-p": "0.05", "Repetition penalty": "1.1",
              "Presence penalty": "0.5", "Frequency penalty": "-0.25", "Seed": "42", "Longest answer": "64"}
    for name, value in values.items():
        page.get_by_label(name, exact=True).fill(value)
    page.get_by_label("Stop at").fill("END\n\\n\\n")
    page.get_by_label("System prompt").fill("Be brief.")
    driver.close_drawer()
    driver.send("Set")
    plain, full = driver.stub.posted("v1/chat/completions")
    always = {"model", "messages", "stream", "stream_options", "return_token_ids", "logprobs", "top_logprobs"}
    assert set(plain) == always
    assert {name: value for name, value in full.items() if name not in always} == {
        "temperature": 0.85, "top_k": 12, "top_p": 0.9, "min_p": 0.05, "repetition_penalty": 1.1,
        "presence_penalty": 0.5, "frequency_penalty": -0.25, "seed": 42, "max_tokens": 64, "stop": ["END", "\n\n"]}
    assert full["messages"][0] == {"role": "system", "content": "Be brief."}
    driver.reload()
    page.locator(".answer").first.wait_for()
    driver.settings()
    assert page.get_by_label("Seed", exact=True).input_value() == "42"
    driver.button("Reset Seed").click()
    assert page.get_by_label("Seed", exact=True).input_value() == ""
    driver.button("Reset all").click()
    assert page.get_by_label("Temperature", exact=True).input_value() == "0.6"
    page.get_by_label("System prompt").fill("")
    driver.close_drawer()
    driver.send("Again")
    assert set(driver.stub.posted("v1/chat/completions")[-1]) == always


def test_the_calculator_can_be_switched_off(driver: Driver) -> None:
    switch = driver.page.get_by_role("checkbox", name="Calculator")
    driver.settings()
    assert switch.is_checked()
    switch.uncheck()
    driver.close_drawer()
    driver.send("What is 2 times 3?")
    assert driver.stub.posted("v1/chat/completions")[-1]["tool_choice"] == "none"
    driver.reload()
    driver.settings()
    assert not switch.is_checked()
    switch.check()
    driver.close_drawer()
    driver.send("And now?")
    assert "tool_choice" not in driver.stub.posted("v1/chat/completions")[-1]
    driver.notebook()
    driver.settings()
    assert switch.count() == 0  # its requests have no such field


def test_values_out_of_range_are_brought_into_it(desktop: Driver) -> None:
    desktop.settings()
    field = desktop.page.get_by_label("Top-p", exact=True)
    for typed, kept in (("7", "1"), ("0.4", "0.4"), ("much", "1")):
        field.fill(typed)
        field.blur()
        assert field.input_value() == kept


def test_the_chosen_model_answers(desktop: Driver) -> None:
    desktop.stub.models = [{"id": name, "object": "model", "max_model_len": 64} for name in ("small", "large")]
    desktop.reload()
    desktop.page.get_by_role("combobox", name="Model").select_option("large")
    desktop.send("Hi")
    assert desktop.stub.posted("v1/chat/completions")[0]["model"] == "large"
    desktop.reload()
    assert desktop.page.get_by_role("combobox", name="Model").input_value() == "large"


def test_a_server_with_a_key_is_asked_with_it(visit: Any, stub: Any) -> None:
    stub.key = "secret"
    driver = visit(stub.url, "desktop", stub)
    driver.allowed = re.compile("Failed to load resource.*401")
    driver.wrongs.clear()  # the first answer came before this test could say that it may
    dialog = driver.page.get_by_role("dialog", name="API key")
    assert "This server only answers those who have its API key." in dialog.inner_text()
    assert "Bearer" not in dialog.inner_text()
    dialog.get_by_label("Key", exact=True).fill("wrong")
    driver.button("Use this key").click()
    dialog.get_by_text("The server did not accept this key.").wait_for()
    assert dialog.get_by_label("Key", exact=True).get_attribute("aria-invalid") == "true"
    dialog.get_by_label("Key", exact=True).fill("secret")
    driver.button("Use this key").click()
    driver.page.locator(".welcome h2", has_text="story5m").wait_for()
    driver.send("Hi")
    assert driver.body() == "You said: Hi"
    driver.reload()
    assert driver.page.get_by_role("dialog").count() == 0
    assert driver.page.evaluate("Object.values(localStorage).join().includes('secret')") is False


def test_a_request_waits_for_the_key(desktop: Driver) -> None:
    desktop.allowed = re.compile("Failed to load resource.*401")
    desktop.stub.key = "secret"
    desktop.send("Hi", wait=False)
    desktop.page.get_by_label("Key", exact=True).fill("secret")
    desktop.page.get_by_label("Remember it in this browser").check()
    desktop.button("Use this key").click()
    desktop.shows("You said: Hi")
    desktop.button("New chat").click()
    desktop.stub.key = "another"
    desktop.send("Hi", wait=False)
    desktop.button("Cancel").click()
    assert "The server did not accept this API key." in desktop.last.get_by_role("alert").inner_text()


def test_dark_and_light(driver: Driver) -> None:
    def brightness() -> int:
        return sum(map(int, re.findall(r"\d+", driver.page.evaluate("getComputedStyle(document.body.parentElement)"
                                                                    ".backgroundColor"))[:3]))

    driver.page.emulate_media(color_scheme="light")
    assert brightness() > 700
    driver.page.emulate_media(color_scheme="dark")
    assert brightness() < 120
    driver.settings()
    driver.page.locator(".themes label", has_text="Light").click()
    assert brightness() > 700
    driver.reload()
    assert brightness() > 700
    driver.settings()
    driver.page.locator(".themes label", has_text="Dark").click()
    driver.page.emulate_media(color_scheme="light")
    assert brightness() < 120


def test_what_is_typed_anywhere_goes_into_the_message(driver: Driver) -> None:
    page = driver.page
    driver.send("Hi")
    page.locator(".scroller").focus()
    page.keyboard.type("What is 12 times 3?")
    assert driver.field.input_value() == "What is 12 times 3?"
    driver.field.fill("")
    driver.button("Copy answer", driver.last).focus()
    page.keyboard.type("ä tree")
    assert driver.field.input_value() == "ä tree"
    page.locator(".scroller").focus()
    for keys in ("Control+b", "Alt+b", "Meta+b", "Shift", "F2", "Space", "ArrowDown"):
        page.keyboard.press(keys)
    assert page.evaluate("document.activeElement.className") == "scroller"
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard")
    assert "Off: what you type goes into the message." in dialog.inner_text()
    page.keyboard.type("mnt")
    page.keyboard.press("Escape")
    driver.settings()
    page.get_by_label("Temperature", exact=True).fill("1")
    page.keyboard.type(".5")
    assert page.get_by_label("Temperature", exact=True).input_value() == "1.5"
    driver.close_drawer()
    assert driver.field.input_value() == "ä tree"
    assert driver.answers.count() == 1


def test_what_is_typed_goes_into_a_notebook(desktop: Driver) -> None:
    desktop.notebook()
    desktop.page.locator(".scroller").focus()
    desktop.page.keyboard.type("m is for mouse")
    assert desktop.field.input_value() == "m is for mouse"


def test_no_letter_of_a_search_is_lost(driver: Driver) -> None:
    if driver.size == "desktop":
        driver.button("Conversations").click()  # hidden now
    for _ in range(2):
        driver.field.focus()
        driver.page.evaluate("""() => {
          const key = { key: 'k', ctrlKey: true, bubbles: true, cancelable: true };
          document.activeElement.dispatchEvent(new KeyboardEvent('keydown', key));
          globalThis.reached = document.activeElement.id;
        }""")
        assert driver.page.evaluate("reached") == "search"
        driver.page.keyboard.press("Escape")
    driver.page.keyboard.press("Control+k")
    driver.page.keyboard.type("story")
    assert driver.page.locator("#search").input_value() == "story"
    assert driver.field.input_value() == ""


def test_the_keys_of_the_help_are_whole(driver: Driver) -> None:
    driver.page.locator(".scroller").focus()
    driver.page.keyboard.press("?")
    driver.page.locator("kbd").last.wait_for()
    heights, below = driver.page.evaluate("""() => {
      const boxes = [...document.querySelectorAll('kbd')].map((one) => one.getBoundingClientRect());
      const { bottom } = document.querySelector('.dialog-head button').getBoundingClientRect();
      return [boxes.map((box) => Math.round(box.height)), boxes.every((box) => box.top >= bottom + 4)];
    }""")
    assert max(heights) - min(heights) <= 1
    assert below


def test_shortcuts(desktop: Driver) -> None:
    page = desktop.page
    desktop.stub.say("First.")
    desktop.stub.say("Second.")
    desktop.send("Hi")
    desktop.settings()
    page.get_by_role("checkbox", name="Single-key shortcuts").check()
    page.locator(".scroller").focus()
    page.keyboard.press("?")
    assert "Regenerate the last answer" in page.get_by_role("dialog", name="Keyboard").inner_text()
    page.keyboard.press("Escape")
    page.locator(".scroller").focus()
    page.keyboard.press("r")
    desktop.shows("Second.")
    desktop.wait()
    page.locator(".scroller").focus()
    page.keyboard.press("[")
    assert desktop.body() == "First."
    page.keyboard.press("x")
    page.keyboard.press("t")
    assert desktop.last.locator(".token").count() == 2
    page.keyboard.press("/")
    page.keyboard.type("n? t")
    assert desktop.field.input_value() == "n? t"
    page.keyboard.press("Control+k")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.press("Control+Shift+O")
    assert desktop.answers.count() == 0
    page.keyboard.type("typed at once")
    assert desktop.field.input_value() == "typed at once"


def test_the_page_without_a_server(desktop: Driver) -> None:
    desktop.allowed = re.compile("Failed to load resource")
    desktop.page.route("**/v1/**", lambda route: route.abort())
    desktop.reload()
    desktop.page.get_by_text("The server cannot be reached.").wait_for()
    desktop.page.unroute("**/v1/**")
    desktop.button("Try again").click()
    desktop.page.locator(".welcome h2", has_text="story5m").wait_for()
