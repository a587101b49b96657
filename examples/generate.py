"""Load a model and let it go on from a text, in pieces and as a whole."""

import pynanochat as nc

llm = nc.load()  # the bundled model; or a path, a tag, a Hugging Face id

for piece in llm.stream("Once upon a time", max_tokens=40, temperature=0.8, top_k=50, seed=7):
    print(piece, end="", flush=True)
print()

for output in llm.generate(["The dog", "The cat"], max_tokens=12, temperature=0):  # together, answers in order
    print(output.text, output.finish_reason, output.usage.completion_tokens)
