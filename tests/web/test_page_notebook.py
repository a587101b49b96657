"""The notebook: one text, continued from its tokens, changed anywhere."""

from __future__ import annotations

import re

from page_driver import Driver


def test_the_model_goes_on_from_the_text(driver: Driver) -> None:
    driver.notebook()
    driver.field.fill("Once upon a time")
    driver.stub.say(" there was a fox.", cut=5)
    driver.proceed()
    assert driver.field.input_value() == "Once upon a time there was a fox."
    (asked,) = driver.stub.posted("v1/completions")
    token = driver.stub.token
    assert asked["prompt"] == [token("<|bos|>"), token("Once"), token(" upon"), token(" a"), token(" time")]
    driver.stub.say(" It ran.")
    driver.proceed()
    assert driver.field.input_value() == "Once upon a time there was a fox. It ran."
    assert driver.stub.posted("v1/completions")[-1]["prompt"] == [
        token("<|bos|>"), *driver.stub.encode("Once upon a time there was a fox.")]
    assert len(driver.stub.posted("tokenize")) == 1
    driver.reload()
    driver.page.locator(".sheet-field").wait_for()
    assert driver.field.input_value() == "Once upon a time there was a fox. It ran."


def test_it_goes_on_for_as_long_as_the_settings_say(driver: Driver) -> None:
    driver.notebook()
    driver.settings()
    longest = driver.page.get_by_label("Longest answer", exact=True)
    assert longest.get_attribute("placeholder") == "200"
    driver.close_drawer()
    driver.field.fill("Once")
    driver.proceed()
    assert driver.stub.posted("v1/completions")[-1]["max_tokens"] == 200
    driver.settings()
    longest.fill("30")
    driver.close_drawer()
    driver.proceed()
    assert driver.stub.posted("v1/completions")[-1]["max_tokens"] == 30
    driver.conversations()
    driver.button("New chat").click()
    driver.settings()
    driver.button("Reset Longest answer").click()
    assert longest.get_attribute("placeholder") == "no limit"


def test_colours_are_explained_where_there_are_some(desktop: Driver) -> None:
    desktop.notebook()
    desktop.colour()
    assert desktop.page.locator(".legend").count() == 0
    desktop.field.fill("Once")
    desktop.proceed()
    desktop.page.locator(".legend").wait_for()


def test_a_change_keeps_the_tokens_before_it(desktop: Driver) -> None:
    desktop.notebook()
    desktop.field.fill("Once upon a time")
    desktop.stub.say(" there was a fox.")
    desktop.proceed()
    desktop.field.fill("Once upon a time there was a dog.")
    desktop.stub.say(" It ran.")
    desktop.proceed()
    assert desktop.stub.posted("tokenize")[-1]["prompt"] == " dog."
    assert desktop.stub.posted("v1/completions")[-1]["prompt"] == [
        desktop.stub.token("<|bos|>"), *desktop.stub.encode("Once upon a time there was a dog.")]
    desktop.button("Undo the last run").click()
    assert desktop.field.input_value() == "Once upon a time there was a dog."
    desktop.button("Redo").click()
    assert desktop.field.input_value() == "Once upon a time there was a dog. It ran."


def test_an_alternative_replaces_what_follows(driver: Driver) -> None:
    driver.notebook()
    driver.field.fill("Once upon a time")
    driver.stub.say(" there was a fox.")
    driver.proceed()
    driver.colour()
    box = driver.page.locator(".marks [data-place='6']").bounding_box()  # was
    assert box is not None
    driver.page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    driver.stub.say(" mouse.")
    driver.page.get_by_role("button", name=re.compile("^·brave .*continue with it")).click()
    driver.until("document.querySelector('.sheet-field').value === 'Once upon a time there brave mouse.'")
    assert driver.stub.posted("v1/completions")[-1]["prompt"] == [
        driver.stub.token("<|bos|>"), *driver.stub.encode("Once upon a time there brave")]
    driver.button("Undo the last run").click()
    assert driver.field.input_value() == "Once upon a time there was a fox."


def test_scoring_colours_the_persons_own_text(desktop: Driver) -> None:
    desktop.notebook()
    desktop.field.fill("Once upon a time")
    desktop.button("Score the text").click()
    desktop.page.locator(".marks .token").first.wait_for()
    classes = [mark.get_attribute("class") for mark in desktop.page.locator(".marks .token").all()]
    assert classes == ["token band-4", "token band-5", "token band-5", "token band-2"]
    body = desktop.stub.posted("v1/completions")[-1]
    assert (body["echo"], body["max_tokens"]) == (True, 0)
    desktop.field.press("Control+Home")
    desktop.field.press("Control+.")
    assert desktop.page.locator(".token-card .token-name").inner_text() == "Once"
    assert desktop.page.locator(".alternative").count() == 5


def test_field_and_colours_lie_on_each_other(driver: Driver) -> None:
    """The field is as high and as wide as the copy that the colours are laid on, and breaks its lines alike."""
    driver.notebook()
    driver.colour()
    driver.field.fill("So AVAVA Tom's fit offices, waffles; " * 60 + "\n\nthe end")
    driver.button("Score the text").click()
    driver.page.locator(".marks .token").last.wait_for()
    styles, heights, widths, marked = driver.page.evaluate("""() => {
      const [copy, marks, field] = document.querySelectorAll('.sheet > *');
      const names = ['font', 'fontKerning', 'letterSpacing', 'wordSpacing', 'textIndent', 'whiteSpace', 'tabSize',
        'overflowWrap', 'wordBreak', 'padding', 'lineHeight'];
      const style = (one) => names.map((name) => getComputedStyle(one)[name]).join();
      const { right } = field.getBoundingClientRect();
      return [[copy, field].map(style), [copy.scrollHeight, field.scrollHeight, field.clientHeight],
              [copy.clientWidth, field.clientWidth],
              [...marks.children].every((mark) => mark.getBoundingClientRect().right <= right)];
    }""")
    assert len(set(styles)) == len(set(heights)) == len(set(widths)) == 1
    assert marked


def test_stop_in_a_notebook(desktop: Driver) -> None:
    desktop.notebook()
    desktop.field.fill("Go")
    desktop.stub.say(" word" * 400, delay=0.01)
    desktop.field.press("Control+Enter")
    desktop.until("document.querySelector('.sheet-field').value.length > 20")
    desktop.button("Stop").click()
    desktop.button("Continue").wait_for()
    assert 20 < len(desktop.field.input_value()) < 2000
