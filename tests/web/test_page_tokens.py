"""The token view: what the model thought, and the ways it could have gone."""

from __future__ import annotations

import pytest
from page_driver import Driver, Tool


def test_every_token_is_coloured_by_its_probability(driver: Driver) -> None:
    driver.stub.say("Once upon a time", Tool("1+1", "2"), " it was two.")
    driver.send("Story")
    driver.colour()
    tokens = driver.last.locator(".token")
    assert tokens.all_inner_texts() == ["Once", "upon", "a", "time", "python_start", "1", "+", "1", "python_end", "2",
                                        "it", "was", "two", "."]
    classes = [token.get_attribute("class") or "" for token in tokens.all()]
    assert "band-2" in classes[0]  # 62 %
    assert "band-4" in classes[1]  # 20 %
    assert "forced" in classes[9]
    assert "perplexity" in driver.last.locator(".numbers").inner_text()
    driver.reload()
    assert driver.last.locator(".token").count() == 14
    driver.colour()
    assert driver.body().split() == ["Once", "upon", "a", "time", "1+1", "→", "2", "it", "was", "two."]


def test_a_pointer_shows_probability_and_alternatives(desktop: Driver) -> None:
    desktop.stub.say("Once upon a time")
    desktop.send("Story")
    desktop.colour()
    desktop.last.locator(".token").nth(1).hover()
    card = desktop.page.locator(".token-card")
    assert card.locator(".token-name").inner_text() == "·upon"
    assert card.locator(".token-probability").inner_text() == "20 %"
    assert "choice 2 · 2.3 bits of surprise" in card.inner_text()
    assert card.locator(".alternative code").all_inner_texts() == ["·quiet", "·upon", "·brave", "·the", "!"]
    desktop.page.mouse.move(700, 700)
    card.wait_for(state="detached")


def test_an_alternative_makes_a_branch_that_goes_on(driver: Driver) -> None:
    driver.stub.say("Once upon a time there was.")
    driver.send("Story")
    driver.colour()
    token = driver.last.locator(".token").nth(2)
    (token.tap if driver.size == "phone" else token.click)()
    driver.stub.say(" mouse ate cheese.")
    driver.page.get_by_role("button", name="·brave 20 %, continue with it").click()
    driver.shows("mouse")
    driver.wait()
    assert driver.last.locator(".token").all_inner_texts() == ["Once", "upon", "brave", "mouse", "ate", "cheese", "."]
    asked = driver.stub.posted("v1/chat/completions")[-1]
    assert asked["continue_final_message"] is True
    assert asked["messages"][-1] == {
        "role": "assistant", "content": "Once upon brave",
        "token_ids": [driver.stub.token(word) for word in ("Once", " upon", " brave")]}
    assert driver.last.locator(".branch-number").inner_text() == "2/2"
    driver.colour()
    assert driver.body() == "Once upon brave mouse ate cheese."
    driver.button("Previous branch", driver.last).click()
    assert driver.body() == "Once upon a time there was."


def test_a_branch_after_a_tool_keeps_the_tool(desktop: Driver) -> None:
    desktop.stub.say("So ", Tool("2*3", "6"), " is six.")
    desktop.send("Sum")
    desktop.colour()
    desktop.last.locator(".token", has_text="six").click()
    desktop.stub.say(" I think.")
    desktop.page.get_by_role("button", name="·quiet 62 %, continue with it").click()
    desktop.shows("think")
    desktop.wait()
    desktop.colour()
    assert desktop.last.locator(".tool-input").inner_text() == "2*3"
    assert desktop.last.locator(".tool-output").inner_text() == "6"
    assert desktop.last.locator(".prose").all_inner_texts() == ["So", "is quiet I think."]


def test_the_keyboard_reaches_every_token_and_alternative(desktop: Driver) -> None:
    desktop.stub.say("Once upon a time")
    desktop.send("Story")
    desktop.colour()
    page = desktop.page
    page.locator(".token[tabindex='0']").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.textContent") == "a"
    assert page.locator(".token[tabindex='0']").all_inner_texts() == ["a"]
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "·quiet 62 %, continue with it"
    page.keyboard.press("Escape")
    page.locator(".token-card").wait_for(state="detached")
    assert page.evaluate("document.activeElement.textContent") == "a"
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.textContent") == "time"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_on_every_colour_can_be_read(desktop: Driver, scheme: str) -> None:
    """A contrast of at least 4.5, WCAG's AA, on all bands."""
    desktop.page.emulate_media(color_scheme=scheme)
    ratios = desktop.page.evaluate("""() => {
      const canvas = Object.assign(document.createElement('canvas'), { width: 1, height: 1 });
      const context = canvas.getContext('2d', { willReadFrequently: true });
      const rgb = (colour) => {
        context.fillStyle = colour;
        context.fillRect(0, 0, 1, 1);
        return [...context.getImageData(0, 0, 1, 1).data];
      };
      const light = (colour) => {
        const linear = (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
        const [r, g, b] = rgb(colour).map((c) => linear(c / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const ink = light(getComputedStyle(document.documentElement).color);
      return [1, 2, 3, 4, 5, 6].map((band) => {
        const span = Object.assign(document.createElement('span'), { className: `token band-${band}` });
        document.body.append(span);
        const back = light(getComputedStyle(span).backgroundColor);
        span.remove();
        return (Math.max(ink, back) + 0.05) / (Math.min(ink, back) + 0.05);
      });
    }""")
    assert min(ratios) >= 4.5
