"""M10: the bundled model speaks, and its calculator works."""

from __future__ import annotations

from pynanochat.check.demo import Demo
from pynanochat.check.result import Check, Measure, skipped
from pynanochat.errors import BackendError
from pynanochat.llm import load


def answers(demo: Demo) -> Measure:
    """A greedy answer that needs the calculator."""
    try:
        llm = load(backend=demo.backend)
    except BackendError as error:
        return skipped(str(error))
    chat = llm.chat(temperature=0)
    output = chat.send("What is 12 times 3?")
    return Measure(" ".join(output.text.split()), "says 36, after a calculator call",
                   "36" in output.text and any(output.forced) and output.finish_reason == "stop",
                   f"{output.usage.tokens_per_second:.0f} tokens/s on {llm.backend.name}")


CHECKS = (Check("M10", "the bundled model answers", answers),)
