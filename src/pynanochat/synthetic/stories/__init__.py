"""Stories of a tracked world: told on request, asked about with exact answers, and judged for what stays the same."""

from pynanochat.synthetic.stories.conversation import Prompt, conversation, document, prompts
from pynanochat.synthetic.stories.questions import questions

__all__ = ["Prompt", "conversation", "document", "prompts", "questions"]
