"""Markdown on a terminal while it comes in.

`document` turns text into styled lines, and tells those that stand from those that may still change; `screen` draws
them, and draws again what has changed. Lines stay as the model wrote them: a paragraph without Markdown comes out
letter by letter, as if it were printed, and the terminal wraps it.
"""
