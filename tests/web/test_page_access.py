"""The page without eyes, without a pointer, with little room, with little motion."""

from __future__ import annotations

from page_driver import Driver, Tool

AUDIT = """() => {
  const shown = (one) => one.checkVisibility({ visibilityProperty: true });
  const name = (one) => (one.getAttribute('aria-label')
    ?? document.getElementById(one.getAttribute('aria-labelledby'))?.textContent
    ?? (one.labels?.length ? [...one.labels].map((label) => label.textContent).join(' ') : null)
    ?? one.textContent ?? '').trim() || one.title || '';
  const all = [...document.querySelectorAll('button, a, input, textarea, select, [role=button], [role=img], dialog')]
    .filter((one) => !one.closest('[aria-hidden=true]'));
  const ids = [...document.querySelectorAll('[id]')].map((one) => one.id);
  const boxes = [...document.querySelectorAll('button')].filter(shown)
    .map((one) => [name(one), one.getBoundingClientRect()]);
  const small = boxes.filter(([, box]) => box.width < 24 || box.height < 24).map(([label]) => label);
  return {
    nameless: all.filter((one) => shown(one) && !name(one)).map((one) => one.outerHTML),
    repeated: ids.filter((id, at) => ids.indexOf(id) !== at),
    dangling: [...document.querySelectorAll('[aria-controls], [for]')].map((one) => one.getAttribute('aria-controls')
      ?? one.getAttribute('for')).filter((id) => !document.getElementById(id)),
    hiddenFocus: [...document.querySelectorAll('[aria-hidden=true] :is(button, a, input, textarea)')].length,
    wide: document.documentElement.scrollWidth > innerWidth,
    small,
  };
}"""
FINE = {"nameless": [], "repeated": [], "dangling": [], "hiddenFocus": 0, "wide": False, "small": []}


def test_everything_has_a_name_and_fits(driver: Driver) -> None:
    assert driver.page.evaluate(AUDIT) == FINE
    driver.stub.say("Let me see: ", Tool("1+1", "2"), "\n\n| a | b |\n|--|--|\n| c | d |\n\n```python\nx = 1\n```\n",
                    "unbreakable" * 30)
    driver.stub.say("Another.")
    driver.send("A " + "long" * 60)
    driver.send("Again")
    driver.button("Edit answer", driver.last).click()
    assert driver.page.evaluate(AUDIT) == FINE
    driver.button("Cancel").click()
    driver.colour()
    driver.answers.first.locator(".token").nth(1).click()
    driver.page.locator(".token-card").wait_for()
    assert driver.page.evaluate(AUDIT) == FINE
    driver.page.keyboard.press("Escape")
    driver.settings()
    assert driver.page.evaluate(AUDIT) == FINE
    driver.close_drawer()
    driver.conversations()
    assert driver.page.evaluate(AUDIT) == FINE
    driver.button("New notebook").click()
    driver.page.locator(".sheet-field").wait_for()
    assert driver.page.evaluate(AUDIT) == FINE


def test_answers_are_spoken(desktop: Driver) -> None:
    status = desktop.page.get_by_role("status")
    desktop.stub.say("Slow and steady.", before=0.3)
    desktop.send("Hi", wait=False)
    assert status.inner_text() == "The model is answering."
    assert desktop.page.get_by_role("log").get_attribute("aria-busy") == "true"
    desktop.wait()
    assert status.inner_text() == "Answer: Slow and steady."
    assert desktop.page.get_by_role("heading").all_inner_texts()[-2:] == ["Message 1", "Answer 1"]


def test_focus_goes_through_the_page_in_order(desktop: Driver) -> None:
    desktop.send("Hi")
    desktop.page.locator(".skip").focus()
    names = []
    for _ in range(20):
        names.append(desktop.page.evaluate(
            "document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent.trim()"))
        desktop.page.keyboard.press("Tab")
    expected = ["Go to the text field", "New chat", "New notebook", "Hi", "Import", "Conversations", "Tokens",
                "Settings", "Copy message", "Edit message", "Copy answer", "Regenerate", "Message to story5m"]
    places = [names.index(name) for name in expected]
    assert places == sorted(places)


def test_drawers_hold_the_focus_and_give_it_back(driver: Driver) -> None:
    if driver.size != "phone":
        return
    driver.button("Settings").focus()
    driver.page.keyboard.press("Enter")
    assert driver.page.evaluate("document.activeElement.closest('#panel') !== null")
    assert driver.page.evaluate("document.querySelector('main').inert") is True
    driver.page.keyboard.press("Escape")
    assert driver.page.evaluate("document.activeElement.getAttribute('aria-label')") == "Settings"
    assert driver.page.evaluate("document.querySelector('main').inert") is False


def test_little_motion(desktop: Driver) -> None:
    desktop.page.emulate_media(reduced_motion="reduce")
    desktop.stub.say("x", before=0.4)
    desktop.send("Hi", wait=False)
    waiting = desktop.page.locator(".waiting span").first
    assert waiting.evaluate("one => getComputedStyle(one).animationDuration") == "0.001s"
    desktop.wait()


def test_two_hundred_per_cent_zoom_has_room(desktop: Driver) -> None:
    desktop.page.set_viewport_size({"width": 640, "height": 400})
    desktop.send("Hi")
    assert desktop.field.is_visible()
    assert desktop.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
