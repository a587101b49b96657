"""The engine over a runner whose memory holds tokens: nothing leaks or is shared wrongly, every sample ends once."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from fake_runner import CONFIG, FakeRunner, next_logits
from fuzzing import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from pynanochat.engine.engine import Engine
from pynanochat.engine.prefix import Node
from pynanochat.engine.request import Event, Request
from pynanochat.errors import ContextError, RequestError
from pynanochat.sampling import History, Sampler, SamplingPolicy

END = 63


def expected(request: Request, sample: int, limit: int) -> tuple[list[int], str]:
    """What a sample must give, from its own tokens alone."""
    tokens = list(request.prompt)
    sampler = Sampler(request.policy, request.policy.seed, sample)
    history = History(CONFIG.vocab_size, request.prompt)
    while len(tokens) < limit:
        token = sampler.draw(next_logits(CONFIG, tokens), history, len(tokens) - len(request.prompt))
        if token in request.end_tokens:
            return tokens[len(request.prompt):], "stop"
        tokens.append(token)
        history.append(token)
    return tokens[len(request.prompt):], "length"


def make(pages: tuple[int, ...] = (40, 40), **options: int) -> tuple[Engine, FakeRunner]:
    runner = FakeRunner(CONFIG, pages)
    return Engine(runner, CONFIG, **options), runner


def run(engine: Engine) -> list[Event]:
    events = []
    while not engine.idle:
        events += engine.step()
    return events


def texts(events: list[Event]) -> dict[tuple[int, int], list[int]]:
    found: dict[tuple[int, int], list[int]] = defaultdict(list)
    for event in events:
        if event.token is not None:
            found[event.request_id, event.sample].append(event.token)
    return found


def all_free(engine: Engine) -> bool:
    """Whether nobody holds a page but the prefix cache, which gives all of them back when it is cleared."""
    pools = engine.scheduler.pools
    unused = all(pool.used == 0 for pool in pools)
    engine.scheduler.prefixes.clear()
    return unused and all(pool.holders(page) == 0 for pool in pools for page in range(pool.capacity))


prompts = st.one_of(  # many with a beginning that others have, too
    st.lists(st.integers(0, 62), min_size=1, max_size=70),
    st.builds(lambda shared, kind, rest: [*([kind, 7, 8] * 20)[:shared], *rest],
              st.integers(0, 60), st.integers(1, 2), st.lists(st.integers(0, 62), min_size=1, max_size=10)),
)
requests = st.builds(
    Request,
    prompt=prompts.map(tuple),
    salt=st.sampled_from(["", "", "other"]),
    policy=st.builds(SamplingPolicy, temperature=st.sampled_from([0.0, 1.0]), seed=st.integers(0, 9),
                     n=st.sampled_from([1, 1, 2, 3])),
    max_tokens=st.one_of(st.none(), st.integers(0, 40)),
    end_tokens=st.just((END,)),
)


@given(st.lists(requests, min_size=1, max_size=6), st.integers(1, 40), st.integers(3, 12))
@settings(deadline=None, max_examples=examples(60))
def test_every_request_gets_what_it_would_get_alone(asked: list[Request], step_tokens: int, max_sequences: int) -> None:
    engine, _ = make((60, 60), step_tokens=step_tokens, max_sequences=max_sequences)
    ids = {engine.submit(request): request for request in asked}
    events = run(engine)
    tokens = texts(events)
    ends = [(e.request_id, e.sample, e.finish_reason) for e in events if e.finish_reason]
    assert len(ends) == sum(request.policy.n for request in asked) == len({end[:2] for end in ends})
    for request_id, sample, reason in ends:
        request = ids[request_id]
        room = CONFIG.sequence_len - len(request.prompt)
        limit = len(request.prompt) + (room if request.max_tokens is None else min(request.max_tokens, room))
        assert (tokens[request_id, sample], reason) == expected(request, sample, limit)
    assert all_free(engine)


def nodes_of(engine: Engine) -> list[Node]:
    """All pages of the prefix cache."""
    nodes: list[Node] = []
    level = list(engine.scheduler.prefixes._roots.values())
    while level:
        below = [child for node in level for child in node.children.values()]
        assert all(node.children for node in level if node.parent is None), "a root without anything below"
        assert all(node.pages[0] >= 0 for node in level if node.parent is not None), "a node that nothing gives away"
        nodes += below
        level = below
    return nodes


class Histories(RuleBasedStateMachine):
    """Requests come, run, are cancelled whole or by sample, and fail, in any order."""

    running = Bundle("running")

    @initialize(step_tokens=st.integers(1, 30), pages=st.integers(6, 30))
    def start(self, step_tokens: int, pages: int) -> None:
        self.engine, self.runner = make((pages, pages), step_tokens=step_tokens, max_sequences=5)
        self.asked: dict[int, Request] = {}
        self.events: list[Event] = []

    @rule(target=running, request=requests)
    def submit(self, request: Request) -> int:
        try:
            request_id = self.engine.submit(request)
        except RequestError:
            return -1
        self.asked[request_id] = request
        return request_id

    @rule(steps=st.integers(1, 5))
    def step(self, steps: int) -> None:
        for _ in range(steps):
            self.events += self.engine.step()

    @rule(request_id=consumes(running))
    def cancel(self, request_id: int) -> None:
        self.engine.cancel(request_id)

    @rule(request_id=running, sample=st.integers(0, 3))
    def cancel_sample(self, request_id: int, sample: int) -> None:
        self.engine.cancel(request_id, sample)

    @rule()
    def fail(self) -> None:
        self.runner.fail_at = self.runner.steps + 1

    @invariant()
    def pages_are_counted(self) -> None:
        if not hasattr(self, "engine"):
            return
        scheduler = self.engine.scheduler
        for group, pool in enumerate(scheduler.pools):
            held = defaultdict(int)
            for sequence in scheduler.admitted():
                for page in sequence.pages[group] if sequence.pages else ():
                    if page >= 0:
                        held[page] += 1
            assert pool.used == len(held)
            cached = {node.pages[group] for node in nodes_of(self.engine)} - {-1}
            assert cached == {page for page in range(pool.capacity) if pool.is_cached(page)}
            for page in cached:
                held[page] += 1
            assert {p: pool.holders(p) for p in range(pool.capacity) if pool.holders(p)} == dict(held)

    def teardown(self) -> None:
        if not hasattr(self, "engine"):
            return
        self.runner.fail_at = None
        self.events += run(self.engine)
        ends = [(e.request_id, e.sample) for e in self.events if e.finish_reason]
        assert sorted(ends) == sorted((i, s) for i, r in self.asked.items() for s in range(r.policy.n))
        finished = {(e.request_id, e.sample): e.finish_reason for e in self.events if e.finish_reason}
        tokens = texts(self.events)
        for (request_id, sample), reason in finished.items():
            request = self.asked[request_id]
            room = CONFIG.sequence_len - len(request.prompt)
            limit = len(request.prompt) + (room if request.max_tokens is None else min(request.max_tokens, room))
            whole, natural = expected(request, sample, limit)
            if reason in ("stop", "length"):
                assert (tokens[request_id, sample], reason) == (whole, natural)
            else:
                assert tokens[request_id, sample] == whole[: len(tokens[request_id, sample])]
        assert all_free(self.engine)
        assert self.engine.idle


TestHistories = Histories.TestCase
TestHistories.settings = settings(deadline=None, max_examples=examples(60), stateful_step_count=30)


@pytest.mark.soak
def test_histories_for_long() -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(Histories, settings=settings(deadline=None, max_examples=5_000, stateful_step_count=50))


def test_samples_share_one_prefill() -> None:
    engine, runner = make()
    prompt = tuple(range(50))
    engine.submit(Request(prompt=prompt, policy=SamplingPolicy(n=4, seed=1), max_tokens=3))
    run(engine)
    assert runner.rows == len(prompt) + 4 * 2  # the last token of a sample never runs


def test_tokens_that_are_let_go_make_room() -> None:
    """A windowed layer group holds its window, not the sequence."""
    engine, _ = make((6, 4), step_tokens=16)
    engine.submit(Request(prompt=tuple(range(60)), policy=SamplingPolicy.greedy(), max_tokens=30))
    assert len(texts(run(engine))[0, 0]) == 30
    assert all_free(engine)


def test_a_request_that_can_never_fit_is_refused() -> None:
    engine, _ = make((3, 3))
    with pytest.raises(RequestError, match="needs 5 pages"):
        engine.submit(Request(prompt=tuple(range(60)), max_tokens=20))
    with pytest.raises(ContextError, match="the prompt has 97 tokens, the context holds 96"):
        engine.submit(Request(prompt=(1,) * 97))
    with pytest.raises(RequestError, match="holds no token"):
        engine.submit(Request(prompt=()))
    with pytest.raises(RequestError, match="token 64 is not in the vocabulary"):
        engine.submit(Request(prompt=(1, 64), max_tokens=1))
    assert engine.idle


def test_nobody_starves_behind_a_stream_of_small_requests() -> None:
    engine, _ = make((6, 6), max_sequences=3)
    small = Request(prompt=(1, 2), policy=SamplingPolicy.greedy(), max_tokens=5)
    large = engine.submit(Request(prompt=tuple(range(60)), policy=SamplingPolicy.greedy(), max_tokens=20))
    for _ in range(60):
        engine.submit(small)
        engine.step()
    assert large not in {s.request_id for s in engine.scheduler.admitted()}, "the large one is done by now"


def test_a_failing_step_ends_what_runs_and_nothing_else() -> None:
    engine, runner = make((40, 40), max_sequences=2)
    running = [engine.submit(Request(prompt=(i,), policy=SamplingPolicy.greedy(), max_tokens=9)) for i in range(2)]
    waiting = engine.submit(Request(prompt=(7,), policy=SamplingPolicy.greedy(), max_tokens=9))
    runner.fail_at = 3
    events = run(engine)
    ends = {e.request_id: e for e in events if e.finish_reason}
    assert [ends[i].finish_reason for i in (*running, waiting)] == ["error", "error", "length"]
    assert isinstance(ends[running[0]].error, MemoryError)
    assert all_free(engine)


def test_a_processor_that_fails_ends_its_own_request_only() -> None:
    def broken(logits: np.ndarray, tokens: object) -> np.ndarray:
        raise ZeroDivisionError

    engine, _ = make()
    bad = engine.submit(Request(prompt=(1,), policy=SamplingPolicy(processors=[broken]), max_tokens=5))
    good = engine.submit(Request(prompt=(1,), policy=SamplingPolicy.greedy(), max_tokens=5))
    ends = {e.request_id: e for e in run(engine) if e.finish_reason}
    assert isinstance(ends[bad].error, ZeroDivisionError)
    assert ends[good].finish_reason == "length"


class OddThenEven:
    """A constraint: tokens alternate between odd and even."""

    def __init__(self, odd: bool = True) -> None:
        self.odd = odd

    def mask(self) -> np.ndarray:
        return np.arange(CONFIG.vocab_size) % 2 == self.odd

    def push(self, token: int) -> None:
        self.odd = not self.odd

    def copy(self) -> OddThenEven:
        return OddThenEven(self.odd)


def test_a_constraint_rules_every_sample() -> None:
    engine, _ = make()
    engine.submit(Request(prompt=(1,), policy=SamplingPolicy(seed=3, n=3), max_tokens=12, constraint=OddThenEven()))
    for tokens in texts(run(engine)).values():
        assert [token % 2 for token in tokens] == [1, 0] * 6


def test_an_output_may_begin_with_forced_tokens() -> None:
    engine, _ = make()
    prompt, forced = tuple(range(20)), (7, 8, 9)
    asked = engine.submit(Request(prompt=prompt, forced=forced, policy=SamplingPolicy.greedy(n=2), max_tokens=5))
    short = engine.submit(Request(prompt=prompt, forced=forced, policy=SamplingPolicy.greedy(), max_tokens=2))
    events = run(engine)
    for sample in range(2):
        tokens = [*prompt, *forced]
        while len(tokens) < 25:
            tokens.append(int(next_logits(CONFIG, tokens).argmax()))
        assert texts(events)[asked, sample] == tokens[20:]
    assert [event.forced for event in events if event.token is not None and event.request_id == asked].count(True) == 6
    assert texts(events)[short, 0] == [7, 8]
    assert [e.finish_reason for e in events if e.finish_reason] == ["length"] * 3
    with pytest.raises(RequestError, match="token 64 is not in the vocabulary"):
        engine.submit(Request(prompt=prompt, forced=(64,), max_tokens=5))
    assert all_free(engine)


def test_prompt_logits_come_in_order_whatever_the_chunks() -> None:
    prompt = tuple(range(50))
    for step_tokens in (1, 7, 64):
        engine, _ = make(step_tokens=step_tokens)
        chunks: list[tuple[int, np.ndarray]] = []
        engine.submit(Request(prompt=prompt, max_tokens=0, on_prompt_logits=lambda *chunk, to=chunks: to.append(chunk)))
        events = run(engine)
        assert [e.finish_reason for e in events] == ["length"]
        assert [first for first, _ in chunks] == list(range(0, 50, step_tokens))
        rows = np.concatenate([logits for _, logits in chunks])
        assert np.array_equal(rows, [next_logits(CONFIG, prompt[: i + 1]) for i in range(50)])


class Faulty(OddThenEven):
    """A constraint that fails at its third token."""

    def push(self, token: int) -> None:
        super().push(token)
        self.count = getattr(self, "count", 0) + 1
        if self.count == 3:
            raise ZeroDivisionError

    def copy(self) -> Faulty:
        return Faulty(self.odd)


def test_a_constraint_or_callback_that_fails_ends_its_own_request_only() -> None:
    def refuse(first: int, logits: np.ndarray) -> None:
        raise ZeroDivisionError

    engine, _ = make()
    greedy = SamplingPolicy.greedy(n=2)
    bad = engine.submit(Request(prompt=(1,), policy=greedy, max_tokens=9, constraint=Faulty()))
    worse = engine.submit(Request(prompt=(1, 2), policy=greedy, max_tokens=9, on_prompt_logits=refuse))
    good = engine.submit(Request(prompt=(1,), policy=greedy, max_tokens=9))
    events = run(engine)
    ends = {(e.request_id, e.sample): e.finish_reason for e in events if e.finish_reason}
    assert ends == {(bad, 0): "error", (bad, 1): "error", (worse, 0): "error", (worse, 1): "error",
                    (good, 0): "length", (good, 1): "length"}
    assert len(texts(events)[bad, 0]) == 3  # the token that it failed on has come
    assert all_free(engine)


@pytest.mark.parametrize("place", ["forward", "copy_page", "commit"])
def test_an_interrupt_ends_what_runs_and_goes_up(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    engine, runner = make(max_sequences=4)
    running = engine.submit(Request(prompt=tuple(range(20)), policy=SamplingPolicy(seed=1, n=3), max_tokens=30))
    policy = SamplingPolicy(processors=[interrupt]) if place == "commit" else SamplingPolicy.greedy()
    other = engine.submit(Request(prompt=(7,), policy=policy, max_tokens=9))
    if place != "commit":
        monkeypatch.setattr(runner, place, interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(engine)
    monkeypatch.undo()
    events = run(engine)
    ends = [(e.request_id, e.sample) for e in events if e.finish_reason]
    assert sorted(ends) == [(running, 0), (running, 1), (running, 2), (other, 0)]
    assert all_free(engine)
    again = Request(prompt=(1, 2), policy=SamplingPolicy.greedy(seed=1), max_tokens=5)
    request_id = engine.submit(again)
    assert texts(run(engine))[request_id, 0] == expected(again, 0, 7)[0]


def test_a_sample_of_a_waiting_request_can_be_cancelled() -> None:
    engine, _ = make(max_sequences=2)
    first = engine.submit(Request(prompt=(1,), policy=SamplingPolicy.greedy(), max_tokens=5))
    waiting = engine.submit(Request(prompt=(2,), policy=SamplingPolicy(seed=1, n=2), max_tokens=5))
    gone = engine.submit(Request(prompt=(3,), policy=SamplingPolicy(seed=1, n=2), max_tokens=5))
    engine.cancel(waiting, 0)
    engine.cancel(gone)
    ends = {(e.request_id, e.sample): e.finish_reason for e in run(engine) if e.finish_reason}
    assert ends == {(first, 0): "length", (waiting, 0): "cancelled", (waiting, 1): "length",
                    (gone, 0): "cancelled", (gone, 1): "cancelled"}
    assert all_free(engine)


def test_decode_takes_turns_where_a_step_is_too_small_for_all() -> None:
    engine, _ = make(step_tokens=2)
    ids = [engine.submit(Request(prompt=(i,), policy=SamplingPolicy.greedy(), max_tokens=12)) for i in range(5)]
    came: list[int] = []
    while not engine.idle:
        came += [e.request_id for e in engine.step() if e.token is not None]
    assert max(came[20:40].count(i) for i in ids) <= 5  # in any stretch nobody has much more than a fifth
    with pytest.raises(RequestError, match="expected 1 or more"):
        make(step_tokens=0)
