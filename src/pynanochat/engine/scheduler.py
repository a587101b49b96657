"""Scheduler: which tokens of which sequences run in the next step, and which pages hold them.

Nothing here touches numbers: pages are page numbers, and the order of work changes no result.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from pynanochat.batch import NO_TOKEN, PAGE_TOKENS, Span
from pynanochat.config import GPTConfig
from pynanochat.engine.prefix import PrefixCache
from pynanochat.engine.request import Sequence, sampled_rows
from pynanochat.errors import RequestError
from pynanochat.runner import sequence_pages

Copies = list[tuple[int, int, int]]  # (layer group, source page, target page)


@dataclass(frozen=True)
class Work:
    """What one sequence runs in a step."""

    sequence: Sequence
    rows: int  # how many of its missing tokens
    sampled: int  # how many of those, from the end, need logits


@dataclass
class Counters:
    """What an engine has done since it was made."""

    steps: int = 0
    prompt_tokens_computed: int = 0  # a token that runs again after a preemption counts again
    prompt_tokens_cached: int = 0  # found in the prefix cache
    generated_tokens: int = 0  # sampled or forced
    preemptions: int = 0


class Scheduler:
    """Admits in order of arrival, mixes decode with chunks of prefill, keeps to `step_tokens` rows a step.

    A sequence is admitted when the pages for the tokens it has are there. When pages run out, the one that came last
    gives up its own and waits; it runs its tokens again later. The one that came first never does, and each fits the
    cache alone, so all come to their end.
    """

    def __init__(
        self, cfg: GPTConfig, pages: tuple[int, ...], *, step_tokens: int = 256, max_sequences: int = 256
    ) -> None:
        if step_tokens < 1 or max_sequences < 1:
            raise RequestError(f"step_tokens is {step_tokens} and max_sequences {max_sequences}; expected 1 or more")
        self.step_tokens = step_tokens
        self.max_sequences = max_sequences
        self.waiting: deque[Sequence] = deque()  # in order of arrival, all after those that run
        self.running: list[Sequence] = []
        self.counters = Counters()
        self._cfg = cfg
        self._windows = [window for window, _ in cfg.layer_groups()]
        self.prefixes = PrefixCache(pages, self._windows)
        self.pools = self.prefixes.pools
        self._samples: dict[int, list[Sequence]] = {}  # those of each request that have not ended

    def check(self, limit: int, samples: int) -> None:
        """`RequestError` for a request of so many samples of up to `limit` tokens that can never run."""
        for need, pool in zip(sequence_pages(self._cfg, limit, self.step_tokens), self.pools, strict=True):
            if need > pool.capacity:
                raise RequestError(f"the request needs {need} pages of {PAGE_TOKENS} tokens, the cache has "
                                   f"{pool.capacity}; ask for fewer tokens, or load with a larger cache")
        if samples > self.max_sequences:
            raise RequestError(f"{samples} samples asked for; at most {self.max_sequences} run at once")

    def add(self, sequences: list[Sequence]) -> None:
        """Queue the samples of a request that has been checked."""
        leader = sequences[0]
        leader.followers = sequences[1:]
        self._samples[leader.request_id] = list(sequences)
        self.waiting.append(leader)

    def schedule(self) -> tuple[list[Work], Copies]:
        """The next step: decode rows first, then prefill in order of arrival; pages are taken for every row."""
        self._admit()
        room = self.step_tokens
        work: list[Work] = []
        order = sorted(self.running, key=lambda s: s.missing > 1)
        for place, sequence in enumerate(order):
            rows = min(sequence.missing, room)
            if not rows:
                if sequence.missing == 1:  # decode that found no room comes first in the next step
                    self.running = order[place:] + order[:place]
                break
            work.append(Work(sequence, rows, sampled_rows(sequence, rows)))
            room -= rows
        copies: Copies = []
        for item in sorted(work, key=lambda item: item.sequence.arrival):  # so that who gives way holds nothing yet
            while item.sequence.pages and not self._hold(item, copies):
                self._preempt(max(self.running, key=lambda s: s.arrival))
        return [item for item in work if item.sequence.pages], copies

    def span(self, work: Work) -> Span:
        """The rows of a work item as the batch lays them down."""
        sequence, start = work.sequence, work.sequence.computed
        previous = sequence.tokens[start - 1] if start else NO_TOKEN
        return Span(sequence.tokens[start : start + work.rows], previous, start, sequence.pages, work.sampled)

    def advance(self, work: Work) -> None:
        """The rows have run: count them, show whole pages to the prefix cache, let go of those that windows passed."""
        sequence = work.sequence
        kept = sequence.computed // PAGE_TOKENS
        sequence.computed += work.rows
        for place in range(kept, sequence.computed // PAGE_TOKENS):
            self._keep(sequence, place, PAGE_TOKENS)
        for pool, window, pages in zip(self.pools, self._windows, sequence.pages, strict=True):
            if window is None:
                continue
            for index in range(max(0, sequence.computed - window) // PAGE_TOKENS - 1, -1, -1):
                if pages[index] < 0:
                    break
                pool.release(pages[index])
                pages[index] = -1

    def fork(self, leader: Sequence) -> list[Sequence]:
        """The request's other samples, now running from the leader's pages; none if they run already."""
        followers, leader.followers = leader.followers, []
        for follower in followers:
            follower.follow(leader)
            follower.pages = [[page if page < 0 else pool.share(page) for page in pages]
                              for pool, pages in zip(self.pools, leader.pages, strict=True)]
        at = self.running.index(leader) + 1
        self.running[at:at] = followers
        return followers

    def release(self, sequence: Sequence) -> None:
        """The sequence has ended: give back its place and its pages, which the prefix cache may keep."""
        samples = self._samples.get(sequence.request_id, [])
        if sequence not in samples:
            return
        samples.remove(sequence)
        if not samples:
            del self._samples[sequence.request_id]
        place = self.running if sequence in self.running else self.waiting
        if sequence not in place:  # it follows another one
            next(s for s in samples if sequence in s.followers).followers.remove(sequence)
        elif sequence.followers:  # the next sample goes on with the prompt
            heir, *heir.followers = sequence.followers
            heir.follow(sequence)
            heir.pages, sequence.pages, sequence.followers = sequence.pages, [], []
            place[place.index(sequence)] = heir
        else:
            place.remove(sequence)
            self._give_up_pages(sequence)

    def samples(self, request_id: int) -> list[Sequence]:
        """The samples of a request that have not ended."""
        return self._samples.get(request_id, [])

    def admitted(self) -> list[Sequence]:
        """All samples that run, and those that wait for these to run their prompt."""
        return [one for sequence in self.running for one in (sequence, *sequence.followers)]

    def _admit(self) -> None:
        while self.waiting:
            sequence = self.waiting[0]
            places = sum(1 + len(s.followers) for s in self.running)
            if places + 1 + len(sequence.followers) > self.max_sequences or not self._find_pages(sequence):
                return  # strictly in order of arrival: nobody starves
            self.waiting.popleft()
            self.running.append(sequence)

    def _find_pages(self, sequence: Sequence) -> bool:
        """Take what the prefix cache has of the tokens; False, with nothing taken, if there is no room for the rest."""
        if sequence.request.on_prompt_logits is None:
            found, node, pages = self.prefixes.find(sequence.request.salt, sequence.tokens)
        else:  # every row has to run
            found, node, pages = 0, None, [[] for _ in self.pools]
        together = (*self.running, sequence)
        growth = sum(1 + len(one.followers) for one in together)  # a page for each, until pages are looked for again
        for group, pool in enumerate(self.pools):
            held = [len(one.pages[group]) for one in self.running] + [len(pages[group])]
            need = growth + sum(self._lacks(one, group, count) for one, count in zip(together, held, strict=True))
            if self.running and need > pool.available:
                self._release_all(pages)
                return False
        sequence.computed, sequence.node, sequence.pages = found, node, pages
        if sequence.cached_tokens is None:
            sequence.cached_tokens = found
            self.counters.prompt_tokens_cached += found
        return True

    def _lacks(self, sequence: Sequence, group: int, held: int) -> int:
        """Pages of a group that a sequence which holds so many still takes for the tokens that it has."""
        window = self._windows[group]
        lacks = -(-len(sequence.tokens) // PAGE_TOKENS) - held
        return lacks if window is None else min(lacks, (window + self.step_tokens) // PAGE_TOKENS + 2)

    def _preempt(self, sequence: Sequence) -> None:
        """The sequence gives up its pages and waits, before all that wait already."""
        self.counters.preemptions += 1
        self.running.remove(sequence)
        self._give_up_pages(sequence)
        sequence.computed, sequence.node = 0, None
        self.waiting.appendleft(sequence)

    def _keep(self, sequence: Sequence, place: int, count: int) -> None:
        tokens = sequence.tokens[place * PAGE_TOKENS : place * PAGE_TOKENS + count]
        sequence.node = self.prefixes.keep(sequence.request.salt, sequence.node, tokens, sequence.pages, place)

    def _give_up_pages(self, sequence: Sequence) -> None:
        rest = sequence.computed % PAGE_TOKENS
        if rest and sequence.pages:
            self._keep(sequence, sequence.computed // PAGE_TOKENS, rest)
        self._release_all(sequence.pages)
        sequence.pages = []

    def _release_all(self, pages: list[list[int]]) -> None:
        """The last pages first, so that the prefix cache gives away ends before what they begin with."""
        for pool, some in zip(self.pools, pages, strict=False):
            for page in reversed(some):
                if page >= 0:
                    pool.release(page)

    def _hold(self, work: Work, copies: Copies) -> bool:
        """Give the sequence pages of its own for every row it writes; a shared page is copied first.

        False if there is no page left; what it got until then it keeps.
        """
        sequence, start = work.sequence, work.sequence.computed
        for group, (pool, pages) in enumerate(zip(self.pools, sequence.pages, strict=True)):
            for index in range(start // PAGE_TOKENS, (start + work.rows - 1) // PAGE_TOKENS + 1):
                if index < len(pages) and pool.holders(pages[index]) == 1:
                    continue
                page = pool.take()
                if index < len(pages) and page is None and pool.is_cached(pages[index]):
                    self.prefixes.forget(group, pages[index])  # the prefix cache gives way
                    if pool.holders(pages[index]) == 1:
                        continue
                if page is None:
                    return False
                if index == len(pages):
                    pages.append(page)
                else:
                    copies.append((group, pages[index], page))
                    pool.release(pages[index])
                    pages[index] = page
        return True
