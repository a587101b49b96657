"""A chat on the page: streaming, stop, branches, tools, errors."""

from __future__ import annotations

import re

import pytest
from page_driver import Driver, Tool

LONG = "word " * 400


def test_a_message_gets_an_answer(driver: Driver) -> None:
    driver.stub.say("Hello, **friend**.", cut=3)
    driver.send("Hi")
    assert driver.body() == "Hello, friend."
    assert driver.last.locator("strong").inner_text() == "friend"
    assert "tok/s" in driver.last.locator(".numbers").inner_text()
    assert "first " in driver.last.locator(".numbers").inner_text()
    assert driver.page.locator(".title").inner_text() == "Hi"
    (body,) = driver.stub.posted("v1/chat/completions")
    assert body["messages"] == [{"role": "user", "content": "Hi"}]
    assert body["stream"] is True
    assert body["return_token_ids"] is True


def test_answers_go_back_as_their_own_tokens(desktop: Driver) -> None:
    desktop.stub.say("A fox", Tool("1+1", "2"), " ran.")
    desktop.send("One")
    desktop.send("Two")
    first, second = desktop.stub.posted("v1/chat/completions")
    words = ["A", " fox", "<|python_start|>", "1", "+", "1", "<|python_end|>", "<|output_start|>", "2",
             "<|output_end|>", " ran", "."]
    assert second["messages"] == [
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "A fox ran.", "token_ids": [desktop.stub.token(word) for word in words]},
        {"role": "user", "content": "Two"}]
    assert "continue_final_message" not in first


def test_characters_survive_any_cut_of_the_stream(desktop: Driver) -> None:
    desktop.stub.say("żółć 漢字 🦊 data: x\n\ndata: y", cut=7)
    desktop.send("cut")
    assert desktop.body() == "żółć 漢字 🦊 data: x\n\ndata: y"
    stream = "\ufeffdata: 漢🦊\r\n\r\n: note\nevent: x\ndata:a\ndata: b\n\nid: 1\rdata:  c\r\rdata\n\n\n\ndata: rest\n"
    assert desktop.page.evaluate("""async (text) => {
      const { EventParser } = await import('./model/sse.js');
      const bytes = new TextEncoder().encode(text);
      const seen = new Set();
      for (let first = 0; first <= bytes.length; first += 1) {
        for (let second = first; second <= bytes.length; second += 1) {
          const parser = new EventParser();
          const cuts = [bytes.slice(0, first), bytes.slice(first, second), bytes.slice(second), undefined];
          seen.add(JSON.stringify(cuts.flatMap((cut) => parser.push(cut))));
        }
      }
      return [...seen];
    }""", stream) == ['["漢🦊","a\\nb"," c",""]']


def test_a_character_that_two_runs_share_is_whole(desktop: Driver) -> None:
    """Its first bytes were there when the answer was continued, so that the server could not tell it."""
    assert desktop.page.evaluate("""async () => {
      const { AnswerTaker } = await import('./model/answer.js');
      const item = (id, bytes) => ({ token: '\\ufffd', bytes, logprob: -1, token_id: id, top_logprobs: [] });
      const message = { tokens: [], parts: [] };
      const chunk = (content, ids, items) => ({ choices: [{ delta: { content }, token_ids: ids, logprobs: {
        content: items.map((bytes, position) => item(ids[position], bytes)) } }] });
      new AnswerTaker(message).take(chunk('a\\ufffd', [1, 2, 3], [[97], [0xf0], [0x9f]]));
      const taker = new AnswerTaker(message);
      taker.take(chunk('\\ufffd', [4], [[0xa6]]));
      const again = new AnswerTaker(message);
      again.take(chunk('\\ufffd!', [5, 6], [[0x8a], [33]]));
      return [message.parts, message.tokens.map((token) => token.id), message.given];
    }""") == [[{"type": "text", "text": "a🦊!"}], [1, 2, 3, 4, 5, 6], 4]


def test_text_and_tools_of_one_chunk_are_put_in_order(desktop: Driver) -> None:
    parts = desktop.page.evaluate("""async () => {
      const { AnswerTaker } = await import('./model/answer.js');
      const message = { tokens: [], parts: [] };
      const items = [[0, 'So '], [4, ' it is'], [5, ' 2.']].map(([position, token]) => (
        { token, position, token_id: position, logprob: -1, bytes: null, top_logprobs: [] }));
      new AnswerTaker(message).take({ choices: [{ finish_reason: 'stop', token_ids: [0, 1, 2, 3, 4, 5],
        logprobs: { content: items }, delta: { content: 'So  it is 2.',
          tool_calls: [{ index: 0, id: 'c', function: { name: 'python', arguments: '{"code": "1+1"}' } }],
          tool_outputs: [{ tool_call_id: 'c', output: '2' }] } }] });
      return message.parts;
    }""")
    assert parts == [{"type": "text", "text": "So "},
                     {"type": "tool", "call": "c", "name": "python", "input": "1+1", "output": "2"},
                     {"type": "text", "text": " it is 2."}]


def test_stop_keeps_what_came_and_continue_goes_on(driver: Driver) -> None:
    driver.stub.say(LONG, delay=0.01)
    driver.send("Go", wait=False)
    driver.page.locator(".answer .prose p").wait_for()
    driver.button("Stop").click()
    driver.wait()
    kept = driver.body()
    assert 0 < kept.count("word") < 400
    assert "Stopped" in driver.last.locator(".numbers").inner_text()
    driver.stub.say(" and more.")
    driver.last.locator("[data-action=continue]").click()
    driver.shows("and more.")
    driver.wait()
    assert driver.body() == f"{kept} and more."
    body = driver.stub.posted("v1/chat/completions")[-1]
    assert body["continue_final_message"] is True
    assert len(body["messages"][-1]["token_ids"]) == kept.count("word")


def test_stop_reaches_the_server(desktop: Driver) -> None:
    desktop.stub.say(LONG, delay=0.01)
    desktop.send("Go", wait=False)
    desktop.page.locator(".answer .prose p").wait_for()
    desktop.page.keyboard.press("Escape")
    desktop.wait()
    for _ in range(40):
        if desktop.stub.cancelled:
            break
        desktop.page.wait_for_timeout(50)
    assert desktop.stub.cancelled == 1


def test_regenerate_keeps_the_old_answer(driver: Driver) -> None:
    driver.stub.say("First.")
    driver.stub.say("Second.")
    driver.send("Hi")
    driver.button("Regenerate", driver.last).click()
    driver.shows("Second.")
    driver.wait()
    assert driver.last.locator(".branch-number").inner_text() == "2/2"
    driver.button("Previous branch", driver.last).click()
    assert driver.body() == "First."
    driver.send("And?")
    assert driver.stub.posted("v1/chat/completions")[-1]["messages"][1]["content"] == "First."
    driver.reload()
    assert driver.answers.first.locator(".branch-number").inner_text() == "1/2"


def test_edit_makes_a_branch(driver: Driver) -> None:
    driver.stub.say("About cats.")
    driver.stub.say("About dogs.")
    driver.send("Cats")
    driver.button("Edit message").click()
    driver.page.get_by_label("Edit the message").fill("Dogs")
    driver.page.locator(".editor .strong").click()
    driver.shows("About dogs.")
    driver.wait()
    user = driver.page.locator(".turn.user")
    assert user.locator(".said").inner_text() == "Dogs"
    assert driver.stub.posted("v1/chat/completions")[-1]["messages"] == [{"role": "user", "content": "Dogs"}]
    driver.button("Previous branch", user).click()
    assert user.locator(".said").inner_text() == "Cats"
    assert driver.body() == "About cats."


def test_an_answer_can_be_rewritten_and_continued(desktop: Driver) -> None:
    desktop.stub.say("I do not know.")
    desktop.send("Who?")
    desktop.button("Edit answer", desktop.last).click()
    desktop.page.get_by_label("Edit the answer").fill("It was the")
    desktop.page.get_by_label("Edit the answer").press("Enter")
    assert desktop.body() == "It was the"
    desktop.stub.say(" fox.")
    desktop.last.locator("[data-action=continue]").click()
    desktop.shows("It was the fox.")
    desktop.wait()
    last = desktop.stub.posted("v1/chat/completions")[-1]["messages"][-1]
    assert last == {"role": "assistant", "content": "It was the", "token_ids": desktop.stub.encode("It was the")}


def test_tools_are_shown_with_their_results(driver: Driver) -> None:
    driver.stub.say("Let me see: ", Tool("123*45", "5535"), "It is 5535.")
    driver.send("What is 123 times 45?")
    tool = driver.last.locator(".tool")
    assert tool.locator(".tool-input").inner_text() == "123*45"
    assert tool.locator(".tool-output").inner_text() == "5535"
    assert [part.inner_text() for part in driver.last.locator(".prose").all()] == ["Let me see:", "It is 5535."]


def test_dropped_turns_are_told(driver: Driver) -> None:
    for text in ("One", "Two", "Three"):
        driver.stub.say(f"About {text}.", dropped=1 if text == "Three" else 0)
        driver.send(text)
    notice = driver.page.locator(".dropped")
    assert "The oldest turn above was left out" in notice.inner_text()
    assert "1 oldest turn left out" in driver.last.locator(".numbers").inner_text()
    assert driver.page.locator(".dropped + .turn.user .said").inner_text() == "Two"
    assert driver.page.locator(".turn.user.forgotten .said").inner_text() == "One"


@pytest.mark.parametrize(("status", "error", "shown"), [
    (400, "the prompt is too long", "the prompt is too long"),
    (429, "8 requests are waiting already", "The server is busy. 8 requests are waiting already"),
    (500, "", "The server failed."),
    (503, "", "The server is starting or shutting down."),
])
def test_errors_are_told_in_words_and_can_be_retried(desktop: Driver, status: int, error: str, shown: str) -> None:
    desktop.allowed = re.compile("Failed to load resource")
    desktop.stub.say(status=status, error=error)
    desktop.stub.say("Now it works.")
    desktop.send("Hi")
    assert shown in desktop.last.get_by_role("alert").inner_text()
    desktop.last.locator("[data-action=retry]").click()
    desktop.shows("Now it works.")
    assert desktop.page.get_by_role("alert").count() == 0


def test_a_message_that_does_not_fit_can_be_edited(driver: Driver) -> None:
    driver.allowed = re.compile("Failed to load resource")
    driver.stub.say(status=400, error="513 tokens", code="context_length_exceeded")
    driver.stub.say("Now it works.")
    driver.send("Much too long")
    assert "This no longer fits the model’s context." in driver.last.get_by_role("alert").inner_text()
    driver.last.get_by_role("alert").get_by_role("button", name="Edit message").click()
    driver.page.get_by_label("Edit the message").fill("Short")
    driver.page.get_by_label("Edit the message").press("Enter")
    driver.shows("Now it works.")
    driver.wait()
    assert driver.stub.posted("v1/chat/completions")[-1]["messages"] == [{"role": "user", "content": "Short"}]


def test_a_broken_stream_goes_on_where_it_broke(desktop: Driver) -> None:
    desktop.stub.say("Once upon", finish=None)
    desktop.stub.say(" a time.")
    desktop.send("Hi")
    assert "The connection ended before the answer was complete." in desktop.last.get_by_role("alert").inner_text()
    desktop.last.locator("[data-action=retry]").click()
    desktop.shows("Once upon a time.")
    desktop.wait()
    assert desktop.stub.posted("v1/chat/completions")[-1]["continue_final_message"] is True


def test_an_error_inside_a_stream_is_told(desktop: Driver) -> None:
    desktop.stub.say("Once", error="the engine has failed")
    desktop.send("Hi")
    assert "The server failed. the engine has failed" in desktop.last.get_by_role("alert").inner_text()


def test_enter_during_composition_does_not_send(desktop: Driver) -> None:
    desktop.field.fill("にほん")
    for event in ({"key": "Enter", "isComposing": True}, {"key": "Enter", "keyCode": 229}):
        desktop.field.evaluate(
            "(field, event) => field.dispatchEvent(new KeyboardEvent('keydown', { bubbles: true, ...event }))", event)
    desktop.field.press("Shift+Enter")
    assert desktop.stub.requests == []
    assert desktop.field.input_value() == "にほん\n"
    desktop.field.press("Enter")
    desktop.wait()
    assert desktop.stub.posted("v1/chat/completions")[0]["messages"][0]["content"] == "にほん\n"


def test_scrolling_up_while_it_streams_is_respected(driver: Driver) -> None:
    driver.stub.say("line\n\n" * 150, delay=0.004)
    driver.send("Go", wait=False)
    scroller = driver.page.locator(".scroller")
    driver.until("document.querySelector('.scroller').scrollTop > 300")
    scroller.evaluate("box => { box.dispatchEvent(new WheelEvent('wheel', { deltaY: -200 })); box.scrollTop = 40; }")
    driver.page.wait_for_timeout(250)
    assert scroller.evaluate("box => box.scrollTop") == 40
    driver.button("Go to the end").click()
    driver.wait()
    assert scroller.evaluate("box => box.scrollHeight - box.scrollTop - box.clientHeight") < 48
    assert driver.button("Go to the end").count() == 0


def test_markdown_code_and_tables(driver: Driver) -> None:
    driver.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    driver.stub.say("| a | b |\n|---|---|\n| 1 | 2 |\n\n```python\ndef f(x):\n    return x + 1\n```\n\n- [x] done\n\n"
                    "[site](https://example.org/a)")
    driver.send("Show")
    assert driver.last.locator("table td").all_inner_texts() == ["1", "2"]
    assert driver.last.locator(".hljs-keyword").first.inner_text() == "def"
    assert driver.last.locator("a").get_attribute("rel") == "noopener noreferrer nofollow"
    driver.button("Copy code", driver.last).click()
    driver.button("Copy code", driver.last).get_by_text("Copied").wait_for()
    assert driver.page.evaluate("navigator.clipboard.readText()") == "def f(x):\n    return x + 1"
    driver.button("Copy answer", driver.last).click()
    driver.page.locator(".toast", has_text="Copied.").wait_for()
    assert driver.page.evaluate("navigator.clipboard.readText()").startswith("| a | b |")


def test_what_follows_a_table_has_room(desktop: Driver) -> None:
    for text in ("After.", "<b>After.</b>"):
        desktop.stub.say(f"| a | b |\n|---|---|\n| 1 | 2 |\n\n{text}")
        desktop.send("Show")
        table, after = desktop.last.locator(".table-box"), desktop.last.get_by_text(text, exact=True)
        above, below = table.bounding_box(), after.bounding_box()
        assert above
        assert below
        assert below["y"] - above["y"] - above["height"] >= 8


def test_the_context_meter_fills(desktop: Driver) -> None:
    desktop.stub.say("word " * 216)
    desktop.send("Go")
    assert desktop.page.get_by_role("img", name="of 512 tokens of context").get_attribute("aria-label") == (
        f"{20 + len(desktop.stub.encode('word ' * 216))} of 512 tokens of context")
    reused = desktop.last.locator(".numbers .minor")
    assert reused.inner_text() == "8 of 20 prompt tokens reused"
    assert reused.get_attribute("title") == "8 of the prompt’s 20 tokens were still in the server’s memory"


def test_the_context_meter_stays_after_a_branch(desktop: Driver) -> None:
    meter = desktop.page.get_by_role("img", name="of 512 tokens of context")
    desktop.send("Go")
    desktop.button("Edit answer", desktop.last).click()
    desktop.page.get_by_label("Edit the answer").fill("Four letters, one token.")
    desktop.button("Save as a branch").click()
    desktop.shows("Four letters")
    assert meter.get_attribute("aria-label") == "26 of 512 tokens of context"


def test_two_conversations_stream_at_once(desktop: Driver) -> None:
    desktop.stub.say("slow " * 60, delay=0.01)
    desktop.send("First", wait=False)
    desktop.page.locator(".answer .prose p").wait_for()
    desktop.button("New chat").click()
    desktop.stub.say("Quick.")
    desktop.send("Second", wait=False)
    desktop.shows("Quick.")
    assert desktop.page.get_by_role("img", name="answering").count() == 1
    desktop.page.get_by_role("button", name="First").first.click()
    desktop.wait()
    assert desktop.body().count("slow") == 60
    asked = desktop.stub.posted("v1/chat/completions")
    assert [body["messages"][0]["content"] for body in asked] == ["First", "Second"]
