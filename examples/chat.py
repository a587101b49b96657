"""A conversation; the model's calculator is at work in it."""

import pynanochat as nc

chat = nc.load().chat(temperature=0)
for question in ("What is 123 times 45?", "Who are you?"):
    print(f"> {question}")
    print(chat.send(question))
    for part in chat.output.parts if isinstance(chat.output.parts, list) else ():
        print(f"  {part['type']}: {part['text']}")
