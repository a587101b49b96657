"""A chat's prompt against its plain definition, and which turns stay when an answer fails or is left."""

from __future__ import annotations

import random
from types import SimpleNamespace

import pytest
from fixture_files import STORY5M

import pynanochat as nc
from pynanochat import session
from pynanochat.chat import user_turn
from pynanochat.session import Chat, Turn

WORDS = ("Once", " upon", " a time", "\n", "\n\n", "  ", "12*3", " it's", "", "Ärger", " 🙂", "kite. ")


@pytest.fixture(scope="module")
def llm() -> nc.LLM:
    return nc.load(STORY5M, backend="reference")


def talk(llm: nc.LLM, context: int, policy: str, system: str | None = None, max_tokens: int | None = None) -> Chat:
    """A chat with a model of that context, which is never run."""
    model = SimpleNamespace(need_tokenizer=llm.need_tokenizer, context=context, context_policy=policy)
    return Chat(model, system=system, max_tokens=max_tokens, policy=nc.SamplingPolicy())


def plainly(chat: Chat, text: str) -> tuple[list[int], int] | int:
    """Tokens and how many turns they leave out, or the number of tokens that do not fit: turn after turn is tried."""
    words, context, policy = chat.llm.need_tokenizer(), chat.llm.context, chat.llm.context_policy
    wanted = context if chat.max_tokens is None else chat.max_tokens
    room = {"drop": min(wanted, context // 2), "stop": 1, "error": wanted}[policy]
    turns = [*chat.turns, Turn(text)]
    for first in range(len(turns)):
        tokens = [words.bos]
        for place in range(first, len(turns)):
            user = turns[place].user
            tokens += user_turn(words, f"{chat.system}\n\n{user}" if chat.system and place == first else user)
            if place < len(turns) - 1:
                tokens += [*turns[place].answer, words.encode_special("<|assistant_end|>")]
        alone = policy == "drop" and first == len(turns) - 1 and len(tokens) < context
        if len(tokens) + room <= context or alone:
            return tokens, first
        if policy != "drop":
            break
    return len(tokens)


@pytest.mark.parametrize("policy", ["drop", "stop", "error"])
def test_the_prompt_is_that_of_the_plain_definition(llm: nc.LLM, policy: str) -> None:
    dice = random.Random(1)
    dropped = refused = 0

    def text(most: int) -> str:
        return "".join(dice.choices(WORDS, k=dice.randint(0, most)))

    for _ in range(400):
        chat = talk(llm, dice.randint(1, 200), policy, dice.choice([None, "", text(12)]),
                    dice.choice([None, 0, 1, 10, 60, 300]))
        chat.turns += [Turn(text(9), [7] * dice.randint(0, 30)) for _ in range(dice.randint(0, 12))]
        message, before = text(20), chat.dropped
        wanted = plainly(chat, message)
        if isinstance(wanted, int):
            with pytest.raises(nc.ContextError, match=f"^{wanted} tokens of conversation"):
                chat.prompt(message)
            assert chat.dropped == before
            refused += 1
        else:
            assert (chat.prompt(message), chat.dropped) == wanted
            dropped += chat.dropped > 0
    assert refused > 20
    assert dropped > 50 or policy != "drop"


@pytest.mark.parametrize(("policy", "room"), [("drop", 9), ("stop", 1), ("error", 9)])
def test_a_prompt_fits_to_the_last_token(llm: nc.LLM, policy: str, room: int) -> None:
    chat = talk(llm, 1000, policy, max_tokens=9)
    chat.turns += [Turn("Hi", [7] * 15), Turn("Hi", [7] * 15)]
    whole = chat.prompt("Hi")
    chat.llm.context = len(whole) + room
    assert chat.prompt("Hi") == whole
    chat.llm.context -= 1
    if policy == "drop":
        assert len(chat.prompt("Hi")) < len(whole)
        assert chat.dropped == 1
    else:
        with pytest.raises(nc.ContextError):
            chat.prompt("Hi")


def test_no_turn_is_encoded_again_for_every_turn(llm: nc.LLM, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[str] = []
    monkeypatch.setattr(session, "user_turn", lambda words, text: encoded.append(text) or user_turn(words, text))
    for policy, context in (("drop", 400), ("drop", 10**6), ("stop", 10**6)):
        encoded.clear()
        chat = talk(llm, context, policy, "Be brief.", 20)
        chat.turns += [Turn(f"What is {i} plus {i}?", [7] * 9) for i in range(300)]
        chat.prompt("And then?")
        kept = len(chat.turns) + 1 - chat.dropped
        assert len(encoded) <= kept + 4
    assert kept == 301


def test_dropping_leaves_room_for_the_answer(llm: nc.LLM) -> None:
    for max_tokens, room in ((40, 40), (None, 100), (150, 100)):
        chat = talk(llm, 200, "drop", max_tokens=max_tokens)
        chat.turns += [Turn("Hi", [7] * 15) for _ in range(20)]
        assert 150 - room < len(chat.prompt("Hi")) <= 200 - room
        assert 0 < chat.dropped < 20


def test_a_turn_left_early_keeps_every_token_that_came(llm: nc.LLM) -> None:
    whole = llm.chat(temperature=0).send("What is 12 times 3?").tokens
    for count in (1, 2, len(whole) // 2, len(whole) - 1):
        chat = llm.chat(temperature=0)
        pieces, came = chat.stream("What is 12 times 3?"), []
        while len(came) < count:
            came += next(pieces).tokens
        pieces.close()
        assert chat.turns[0].answer == chat.output.tokens == came == whole[:count]
        answer = chat.prompt("And?")
        assert answer[: answer.index(llm.need_tokenizer().encode_special("<|assistant_end|>"))][-count:] == came


def broken_after(count: int):
    calls = []

    def processor(logits, tokens):
        calls.append(1)
        if len(calls) > count:
            raise ZeroDivisionError("mine")
        return logits

    return processor


def test_a_failed_turn_is_kept_only_if_something_was_said(llm: nc.LLM) -> None:
    chat = llm.chat(max_tokens=4, temperature=0)
    chat.send("Hi")
    for count in (0, 2):
        chat.policy = chat.policy.replace(processors=[broken_after(count)])
        with pytest.raises(ZeroDivisionError):
            chat.send("Hi")
        assert len(chat.turns) == 1 + (count > 0)
        assert chat.output.finish_reason not in ("stop", "length")
    assert [len(turn.answer) for turn in chat.turns] == [4, 2]


def test_an_answer_that_ends_by_itself_without_a_token_is_kept(llm: nc.LLM) -> None:
    chat = llm.chat(max_tokens=0)
    assert chat.send("Hi").finish_reason == "length"
    assert chat.turns == [Turn("Hi", [], "")]
    token = llm.chat(temperature=0).send("Hi").tokens[0]
    chat = llm.chat(temperature=0, stop_tokens=[token])
    assert chat.send("Hi").finish_reason == "stop"
    assert [turn.answer for turn in chat.turns] == [[]]


def test_the_turn_that_is_not_kept_is_the_one_that_failed(llm: nc.LLM) -> None:
    chat = llm.chat(max_tokens=0)
    chat.send("Hi")
    equal = chat.turns[0]
    chat.max_tokens, chat.policy = 4, chat.policy.replace(processors=[broken_after(0)])
    with pytest.raises(ZeroDivisionError):
        chat.send("Hi")
    assert chat.turns[0] is equal


def test_a_stream_asks_when_its_first_piece_is_asked_for(llm: nc.LLM) -> None:
    chat = llm.chat(max_tokens=4)
    pieces = chat.stream("Hi")
    assert llm._shared.engine.idle
    assert chat.turns == []
    next(pieces)
    assert not llm._shared.engine.idle
    assert len(chat.turns) == 1
    pieces.close()
    chat.stream("never asked").close()
    assert [turn.user for turn in chat.turns] == ["Hi"]


@pytest.mark.parametrize(("settings", "text", "error", "words"), [
    ({}, "x " * 600, nc.ContextError, "leave no room"),
    ({}, 3, nc.ConversationError, "expected str"),
    ({"max_tokens": -1}, "Hi", nc.RequestError, "max_tokens is -1"),
    ({"max_tokens": True}, "Hi", nc.RequestError, "max_tokens is True"),
    ({"max_tokens": "9"}, "Hi", nc.RequestError, "max_tokens is '9'"),
    ({"logit_bias": {9999: 1}}, "Hi", nc.PolicyError, "9999"),
])
def test_what_cannot_be_asked_is_refused_by_the_call(llm: nc.LLM, settings, text, error, words) -> None:
    chat = llm.chat(**settings)
    with pytest.raises(error, match=words):
        chat.stream(text)
    assert chat.turns == []
