"""Faults in words: which place of which answer is changed, which field of a request is ignored or refused."""

import itertools

import fake_answers as answers
from fake_server import Fault

from pynanochat.contract import CHECKS, check_server

CHAT, COMPLETIONS, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
DROP = object()
LEAVING = {"clients that leave make room", "nothing runs on for clients that left"}  # slow


def edited(document, path, value):
    """The document with one place changed or dropped; `*` is every item, a function gives the new value."""
    name, _, rest = path.partition(".")
    for place in range(len(document)) if name == "*" else [int(name) if name.isdigit() else name]:
        if (value is DROP or rest) and not (place in document if isinstance(document, dict)
                                            else isinstance(document, list) and place < len(document)):
            continue
        if rest:
            edited(document[place], rest, value)
        elif value is DROP:
            del document[place]
        else:
            document[place] = value(document[place]) if callable(value) else value
    return document


def answer(where, path, value=DROP, when=lambda document: True):
    """A place of a good answer."""
    return Fault(answer=lambda document, at, status: edited(document, path, value)
                 if at == where and status == 200 and document and when(document) else document)


def chunk(where, path, value=DROP, when=lambda one: True):
    """A place of the chunks of a stream."""
    return Fault(chunk=lambda one, at: edited(one, path, value) if at == where and when(one) else one)


def dropped(where, when):
    """Chunks that never come."""
    return Fault(chunk=lambda one, at: None if at == where and when(one) else one)


def sent(where, change):
    """What is done to the list of events."""
    return Fault(events=lambda events, at: change(events) if at == where else events)


def asked(where, change, when=lambda document: True):
    """How a request is misunderstood."""
    return Fault(request=lambda document, at: change(document)
                 if at == where and isinstance(document, dict) and when(document) else document)


def ignoring(name, kind, where=CHAT):
    """A field of a request that is read and forgotten."""
    return asked(where, lambda document: {one: value for one, value in document.items() if one != name},
                 lambda document: isinstance(document.get(name), kind))


def refusing(when, where=CHAT, status=400):
    """A request that is no error, and refused."""
    def refuse(document):
        raise answers.RefusalError(status, "not here")

    return asked(where, refuse, when)


def refusal(change, status=None):
    """What becomes of error answers; `status` picks those of one status."""
    return Fault(answer=lambda document, at, found: change(document)
                 if found >= 400 and status in (None, found) else document)


def reseeded():
    """Each request has a seed of its own, whatever it says."""
    calls = itertools.count()
    return asked(CHAT, lambda document: {**document, "seed": next(calls)},
                 lambda document: isinstance(document.get("seed"), int))


def restless(path, value):
    """A place of chat answers that is changed in all but the first."""
    calls = itertools.count()
    return answer(CHAT, path, lambda old: value(old, next(calls)))


def names(*areas):
    """The names of all checks of some areas, but for the slow ones."""
    return [check.name for check in CHECKS if check.area in areas and check.name not in LEAVING]


def failures(server, fault, only):
    """What the checks say that fail, by name."""
    server.fault = fault
    report = check_server(server.url, only=only, timeout=5)
    return {result.name: result.reason for result in report.results if result.status == "FAIL"}
