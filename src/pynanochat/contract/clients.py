"""Clients: the programs whose needs the contract is made of, each found by leaving out one field at a time."""

from __future__ import annotations

SPECIFICATION = "OpenAI's specification"
OPENAI_PYTHON = "openai-python"
OPENAI_NPM = "openai-npm"
OPENAI_DOTNET = "openai-dotnet"
AI_SDK = "ai-sdk"
LITELLM = "litellm"
LANGCHAIN = "langchain-openai"
LLM = "llm"
LM_EVAL = "lm-eval"
GUIDELLM = "guidellm"
INSPECT = "inspect-ai"
OPENAI_AGENTS = "openai-agents"

EVERY_CHAT = (OPENAI_PYTHON, OPENAI_NPM, AI_SDK, LITELLM, LANGCHAIN, LLM, LM_EVAL, GUIDELLM, INSPECT)
STREAMING = (OPENAI_PYTHON, OPENAI_NPM, AI_SDK, LITELLM, LANGCHAIN, LLM, GUIDELLM)
