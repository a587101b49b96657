"""The loop of a contestant: one JSON command a line on stdin, one JSON answer a line on stdout.

{"command": "decode", "tokens": 32} is answered with {"seconds": [of each step]}, and so are "prefill" and "batch"; the
first line says that the contestant is ready, or why it cannot take part. Runs under any Python, with nothing installed.
"""

import json
import os
import sys
import time

PROMPT = 64  # tokens that decode finds in the cache


def serve(start):
    """Answer commands with the methods of `start()` until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever a library prints is no answer

    def answer(document):
        print(json.dumps(document), file=answers, flush=True)

    try:
        contestant = start()
    except Exception as error:
        answer({"error": f"{type(error).__name__}: {error}"})
        return
    answer({"ready": contestant.facts})
    for line in sys.stdin:
        command = json.loads(line)
        seconds = getattr(contestant, command.pop("command"))(**command)
        answer({"seconds": seconds})


def seconds_of(step, times):
    """The seconds of each of `times` calls of step(i)."""
    found = []
    for i in range(times):
        start = time.perf_counter()
        step(i)
        found.append(time.perf_counter() - start)
    return found
