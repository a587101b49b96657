"""Scheduler: which tokens of which sequences run in the next step, and which pages hold them.

Nothing here touches numbers: pages are page numbers, and the order of work changes no result.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from pynanochat.batch import NO_TOKEN, PAGE_TOKENS, Span
from pynanochat.config import GPTConfig
from pynanochat.engine.pages import PagePool
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
class Group:
    """The samples of one request that wait or run together, and the pages promised to them."""

    sequences: list[Sequence]
    promise: tuple[int, ...]  # per layer group
    forked: bool = False  # whether all samples run; before, the first that has not ended runs the prompt for all


class Scheduler:
    """Admits by worst case, mixes decode with chunks of prefill, keeps to `step_tokens` rows a step."""

    def __init__(
        self, cfg: GPTConfig, pages: tuple[int, ...], *, step_tokens: int = 256, max_sequences: int = 256
    ) -> None:
        if step_tokens < 1 or max_sequences < 1:
            raise RequestError(f"step_tokens is {step_tokens} and max_sequences {max_sequences}; expected 1 or more")
        self.step_tokens = step_tokens
        self.max_sequences = max_sequences
        self.pools = [PagePool(capacity) for capacity in pages]
        self.waiting: deque[Group] = deque()
        self.running: list[Sequence] = []
        self._cfg = cfg
        self._windows = [window for window, _ in cfg.layer_groups()]
        self._groups: dict[int, Group] = {}

    def add(self, sequences: list[Sequence]) -> None:
        """Queue the samples of a request; `RequestError` if they can never fit."""
        promise = self._worst(sequences)
        for need, pool in zip(promise, self.pools, strict=True):
            if need > pool.capacity:
                raise RequestError(f"the request needs {need} pages of {PAGE_TOKENS} tokens, the cache has "
                                   f"{pool.capacity}; ask for fewer samples or tokens, or load with a larger cache")
        if len(sequences) > self.max_sequences:
            raise RequestError(f"{len(sequences)} samples asked for; at most {self.max_sequences} run at once")
        self.waiting.append(Group(sequences, promise))

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
        for item in work:
            self._hold(item, copies)
        return work, copies

    def span(self, work: Work) -> Span:
        """The rows of a work item as the batch lays them down."""
        sequence, start = work.sequence, work.sequence.computed
        previous = sequence.tokens[start - 1] if start else NO_TOKEN
        return Span(sequence.tokens[start : start + work.rows], previous, start, sequence.pages, work.sampled)

    def advance(self, work: Work) -> None:
        """The rows have run: count them, and let go of pages that every window has passed."""
        sequence = work.sequence
        sequence.computed += work.rows
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
        group = self._groups[leader.request_id]
        siblings = [] if group.forked else [s for s in group.sequences if s is not leader and not s.finish_reason]
        group.forked = True
        for sibling in siblings:
            sibling.computed = leader.computed
            sibling.pages = [[page if page < 0 else pool.share(page) for page in pages]
                             for pool, pages in zip(self.pools, leader.pages, strict=True)]
        at = self.running.index(leader) + 1
        self.running[at:at] = siblings
        return siblings

    def release(self, sequence: Sequence) -> None:
        """The sequence has ended: give back its pages, and the promise when it was the last of its request."""
        group = self._groups.get(sequence.request_id)
        if group is None:
            self.waiting = deque(g for g in self.waiting if not all(s.finish_reason for s in g.sequences))
            return
        if sequence in self.running:
            heirs = [] if group.forked else [s for s in group.sequences if not s.finish_reason]
            if heirs:  # the next sample goes on with the prompt
                heirs[0].computed, heirs[0].pages, sequence.pages = sequence.computed, sequence.pages, []
                self.running[self.running.index(sequence)] = heirs[0]
            else:
                self.running.remove(sequence)
        for pool, pages in zip(self.pools, sequence.pages, strict=False):
            for page in pages:
                if page >= 0:
                    pool.release(page)
        sequence.pages = []
        if all(s.finish_reason for s in group.sequences):
            del self._groups[sequence.request_id]
            for pool, pages_promised in zip(self.pools, group.promise, strict=True):
                pool.promised -= pages_promised

    def samples(self, request_id: int) -> list[Sequence]:
        """The samples of a request that waits or runs; none of one that has ended or is unknown."""
        if request_id in self._groups:
            return self._groups[request_id].sequences
        return next((g.sequences for g in self.waiting if g.sequences[0].request_id == request_id), [])

    def admitted(self) -> list[Sequence]:
        """The samples of all requests that have been admitted."""
        return [sequence for group in self._groups.values() for sequence in group.sequences]

    def _admit(self) -> None:
        while self.waiting:
            group = self.waiting[0]
            places = sum(len(g.sequences) for g in self._groups.values())
            fits = all(pool.promised + need <= pool.capacity
                       for pool, need in zip(self.pools, group.promise, strict=True))
            if not fits or places + len(group.sequences) > self.max_sequences:
                return  # strictly in order of arrival: nobody starves
            self.waiting.popleft()
            for pool, need in zip(self.pools, group.promise, strict=True):
                pool.promised += need
            leader = next(s for s in group.sequences if not s.finish_reason)
            leader.pages = [[] for _ in self.pools]
            self._groups[leader.request_id] = group
            self.running.append(leader)

    def _worst(self, sequences: list[Sequence]) -> tuple[int, ...]:
        """The most pages that the samples hold together; a prompt's full pages count once where none is let go."""
        leader = sequences[0]
        each = sequence_pages(self._cfg, leader.limit, self.step_tokens)
        shared = len(leader.request.prompt) // PAGE_TOKENS
        once = [shared if window is None or leader.limit <= window else 0 for window in self._windows]
        return tuple(common + len(sequences) * (most - common) for most, common in zip(each, once, strict=True))

    def _hold(self, work: Work, copies: Copies) -> None:
        """Give the sequence pages of its own for every row it writes; a shared page is copied first."""
        sequence, start = work.sequence, work.sequence.computed
        for group, (pool, pages) in enumerate(zip(self.pools, sequence.pages, strict=True)):
            for index in range(start // PAGE_TOKENS, (start + work.rows - 1) // PAGE_TOKENS + 1):
                if index == len(pages):
                    pages.append(pool.take())
                elif pool.holders(pages[index]) > 1:
                    page = pool.take()
                    copies.append((group, pages[index], page))
                    pool.release(pages[index])
                    pages[index] = page
