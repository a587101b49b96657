"""The likelihood of continuations: what llm.logits gives, however they share a prompt or a batch."""

import numpy as np
import pytest

from pynanochat.errors import ContextError
from pynanochat.eval.continuations import Continuation, Judged, choose, judge, likeliest
from pynanochat.sampling import log_softmax


def directly(llm, one):
    logits = llm.logits((*one.prompt, *one.tokens))[len(one.prompt) - 1:-1]
    nats = [-log_softmax(row)[token] for row, token in zip(logits, one.tokens, strict=True)]
    return nats, [int(row.argmax()) == token for row, token in zip(logits, one.tokens, strict=True)]


def spoken(llm, prompt, *texts):
    words = llm.tokenizer
    return [Continuation(tuple(words.encode_with_bos(prompt)), tuple(words.encode(text))) for text in texts]


@pytest.mark.parametrize("model", ["story", "tiny"])
def test_what_the_logits_say(model, request):
    llm = request.getfixturevalue(model)
    asked = spoken(llm, "Tell me a story. Once there was a", " dog", " cat who lived by the sea", " dog", " 12 + 30")
    for one, judged in zip(asked, judge(llm, asked), strict=True):
        nats, best = directly(llm, one)
        assert judged.nats == pytest.approx(nats, rel=1e-6)
        assert list(judged.best) == best
        assert judged.mean == pytest.approx(np.mean(nats), rel=1e-6)


def test_sharing_a_prompt_or_a_batch_changes_nothing(story):
    together = [*spoken(story, "One day Ben went to the", " sea", " old mill on the hill", "."),
                *spoken(story, "One day Ben went to the market and saw", " a kite", " nothing"),
                *spoken(story, "The", " end")]
    alone = [judge(story, [one])[0] for one in together]
    assert judge(story, together) == alone
    assert judge(story, together[::-1]) == alone[::-1]
    items = [together[:3], together[3:5], together[5:]]
    heard = []
    for batch in (1, 2, 8):
        found, too_long = choose(story, items, batch=batch, progress=lambda done, of: heard.append((done, of)))
        assert [one for item in found for one in item] == alone
        assert too_long == 0
    assert heard == [(1, 3), (2, 3), (3, 3), (2, 3), (3, 3), (3, 3)]


def test_the_greedy_answer_is_the_best_one(story):
    prompt = tuple(story.encode("Once upon a time"))
    said = tuple(story.generate([list(prompt)], 6, temperature=0, tools=False)[0].tokens)
    assert all(judge(story, [Continuation(prompt, said)])[0].best)


def test_special_tokens_are_tokens_like_others(tiny):
    one = Continuation((1, 2, 3), (tiny.tokenizer.bos, 5, tiny.tokenizer.bos))
    assert judge(tiny, [one])[0].nats == pytest.approx(directly(tiny, one)[0], rel=1e-6)


def test_more_continuations_than_run_at_once(tiny, monkeypatch):
    monkeypatch.setattr(tiny.engine.scheduler, "max_sequences", 3)
    asked = [Continuation((1, 2), (token,)) for token in range(8)]
    assert [one.nats for one in judge(tiny, asked)] == [
        pytest.approx(directly(tiny, one)[0], rel=1e-6) for one in asked]


def test_what_is_too_long_is_cropped_in_front_or_refused(tiny):
    one = Continuation(tuple(range(100)), (7, 8))
    assert one.cropped(96) == Continuation(tuple(range(6, 100)), (7, 8))
    assert one.cropped(102) == one
    assert Continuation((1, 2), tuple(range(10))).cropped(4) == Continuation((2,), (7, 8, 9))
    whole = one.cropped(tiny.context)
    assert judge(tiny, [whole])[0].nats == pytest.approx(directly(tiny, whole)[0], rel=1e-6)
    with pytest.raises(ContextError):
        judge(tiny, [one])
    short = Continuation((1, 2), (3,))
    assert choose(tiny, [[one, short, one], [short]]) == ([judge(tiny, [whole, short, whole]), judge(tiny, [short])], 1)


def test_the_mean_is_per_token():
    mean = Judged((1.0, 2.0, 6.0), (True, False, True))
    assert mean.mean == 3
    assert likeliest([Judged((4.0,), (True,)), mean, Judged((3.0,), (True,))]) == 1
