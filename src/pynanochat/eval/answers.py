"""Answers of a model to many conversations at once, with its calculator; the judged text has no tool blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from pynanochat.chat import Message, apply_chat_template
from pynanochat.llm import LLM
from pynanochat.output import Output
from pynanochat.sampling import SamplingPolicy

BATCH = 32  # conversations that are answered together

Conversation: TypeAlias = Sequence[Message]


def answers(
    llm: LLM,
    conversations: Sequence[Conversation],
    *,
    max_tokens: int,
    policy: SamplingPolicy | None = None,
    batch: int = BATCH,
    progress: Callable[[int, int], None] | None = None,
) -> list[Output | None]:
    """The answer to each conversation, in order; None where the prompt leaves no room for one in the context.

    Greedy without a policy; a policy with a seed draws other numbers for each conversation, the same ones each time.
    """
    tokenizer = llm.need_tokenizer()
    settled = policy or SamplingPolicy(temperature=0.0)
    prompts = [apply_chat_template(tokenizer, conversation) for conversation in conversations]
    found: list[Output | None] = []
    for at in range(0, len(prompts), batch):
        part = list(enumerate(prompts[at:at + batch], at))
        fitting = {place: llm.request(prompt, max_tokens, _seeded(settled, place))
                   for place, prompt in part if len(prompt) < llm.context}
        outputs = dict(zip(fitting, llm.run(list(fitting.values())).drain(), strict=True)) if fitting else {}
        found += [outputs.get(place) for place, _ in part]
        if progress is not None:
            progress(len(found), len(prompts))
    return found


def _seeded(policy: SamplingPolicy, place: int) -> SamplingPolicy:
    return policy if policy.seed is None else policy.replace(seed=policy.seed + place)
