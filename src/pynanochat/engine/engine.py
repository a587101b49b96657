"""Engine: submit requests, step, read events. A step is schedule, run, commit; one thread at a time owns it."""

from __future__ import annotations

from itertools import count

import numpy as np
from numpy.typing import NDArray

from pynanochat.batch import Batch
from pynanochat.config import GPTConfig
from pynanochat.engine.request import Event, FinishReason, Request, Sequence, TokenLogprobs
from pynanochat.engine.scheduler import Scheduler, Work
from pynanochat.errors import ContextError, RequestError
from pynanochat.runner import Runner
from pynanochat.sampling import Sampler, check_tokens, top_logprobs


class Engine:
    """Runs requests together on one runner; what a request gets does not depend on the others."""

    def __init__(
        self,
        runner: Runner,
        cfg: GPTConfig,
        *,
        context: int | None = None,
        step_tokens: int = 256,
        max_sequences: int = 256,
    ) -> None:
        self.context = context or cfg.sequence_len
        self.scheduler = Scheduler(cfg, runner.facts.pages, step_tokens=step_tokens, max_sequences=max_sequences)
        self.counters = self.scheduler.counters
        self._runner = runner
        self._cfg = cfg
        self._ids = count()
        self._events: list[Event] = []

    def submit(self, request: Request) -> int:
        """The id of the queued request; its events come from `step`. Raises `RequestError` or `ContextError`."""
        self.check(request)
        request_id = next(self._ids)
        limit = self._limit(request)
        samples = [Sequence(request_id, request, sampler, self._cfg.vocab_size, limit)
                   for sampler in Sampler.of(request.policy)]
        if limit == len(request.prompt) and request.on_prompt_logits is None:
            for sample in samples:
                self._finish(sample, "length")
        else:
            for sample in samples:
                for forced in request.forced[: limit - len(request.prompt)]:
                    self._add(sample, forced, None, forced=True)
            self.scheduler.add(samples)
        return request_id

    def step(self) -> list[Event]:
        """Run one step of everything that runs, and say what came of it; empty when nothing is left to do.

        A runner that fails ends everything that it holds with "error", and so does an interrupt, which goes on up.
        """
        try:
            self._run()
        except Exception as error:
            self._end_all(error)
        except BaseException:
            self._end_all(RequestError("the step was interrupted; ask again"))
            raise
        events, self._events = self._events, []
        return events

    def check(self, request: Request) -> None:
        """Raise `RequestError`, `ContextError` or `PolicyError` for a request that `submit` would refuse unseen."""
        if not request.prompt:
            raise RequestError("the prompt holds no token; give at least one, such as <|bos|>")
        check_tokens((*request.prompt, *request.forced), self._cfg.vocab_size)
        request.policy.check_vocab(self._cfg.vocab_size)
        wanted = request.max_tokens
        if wanted is not None and (type(wanted) is not int or wanted < 0):
            raise RequestError(f"max_tokens is {wanted!r}; expected a whole number from 0 on")
        if len(request.prompt) > self.context:
            raise ContextError(f"the prompt has {len(request.prompt)} tokens, the context holds {self.context}; "
                               "shorten it, or load the model with a larger context")
        self.scheduler.check(self._limit(request), request.policy.n)

    def cancel(self, request_id: int, sample: int | None = None) -> None:
        """End a request, or one sample of it, now; what has ended already or is unknown is left alone."""
        for sequence in list(self.scheduler.samples(request_id)):
            if sample in (None, sequence.sample):
                self._finish(sequence, "cancelled")

    @property
    def idle(self) -> bool:
        """Whether `step` would have nothing to do and nothing to say."""
        return not (self.scheduler.running or self.scheduler.waiting or self._events)

    def _limit(self, request: Request) -> int:
        room = self.context - len(request.prompt)
        return len(request.prompt) + (room if request.max_tokens is None else min(request.max_tokens, room))

    def _run(self) -> None:
        work, copies = self.scheduler.schedule()
        for group, source, target in copies:
            self._runner.copy_page(group, source, target)
        if not work:
            return
        self.counters.steps += 1
        logits = self._runner.forward(Batch.of([self.scheduler.span(item) for item in work])).numpy()
        row = 0
        for item in work:
            self._commit(item, logits[row : row + item.sampled])
            row += item.sampled

    def _commit(self, work: Work, logits: NDArray[np.float32]) -> None:
        """Count the rows that ran; where a sequence has no missing token left, sample the next one."""
        sequence, request = work.sequence, work.sequence.request
        first, prompt_length = sequence.computed, len(request.prompt)
        self.scheduler.advance(work)
        last = min(sequence.computed, prompt_length)
        self.counters.prompt_tokens_computed += max(0, last - first)
        if request.on_prompt_logits is not None and sequence.reported < last:
            first, sequence.reported = sequence.reported, last
            try:
                request.on_prompt_logits(first, logits[: last - first])
            except Exception as error:  # the samples share the prompt
                for sample in list(self.scheduler.samples(sequence.request_id)):
                    self._finish(sample, "error", error=error)
                return
        if not sequence.missing:
            for sample in (sequence, *self.scheduler.fork(sequence)):
                try:
                    self._extend(sample, logits[-1])
                except Exception as error:  # logits that are no numbers; a processor, constraint or tool that fails
                    self._finish(sample, "error", error=error)

    def _extend(self, sequence: Sequence, logits: NDArray[np.float32]) -> None:
        """Sample a token (V,) and follow it with what the tool forces."""
        if len(sequence.tokens) >= sequence.limit:
            self._finish(sequence, "length")
            return
        mask = sequence.constraint.mask() if sequence.constraint else None
        token = sequence.sampler.draw(logits, sequence.history, sequence.n_output, mask)
        if sequence.ends_with(token):
            self._finish(sequence, "stop", end_token=token)
            return
        wanted = sequence.request.policy.logprobs
        self._add(sequence, token, None if wanted is None else TokenLogprobs(*top_logprobs(logits, token, wanted)))
        for forced in sequence.tool.push(token) if sequence.tool else ():
            if len(sequence.tokens) >= sequence.limit:
                break
            self._add(sequence, forced, None, forced=True)
        if len(sequence.tokens) >= sequence.limit:
            self._finish(sequence, "length")

    def _add(self, sequence: Sequence, token: int, logprobs: TokenLogprobs | None, *, forced: bool = False) -> None:
        self.counters.generated_tokens += 1
        self._events.append(Event(sequence.request_id, sequence.sample, token, forced=forced, logprobs=logprobs,
                                  cached_tokens=sequence.cached_tokens or 0))
        sequence.append(token)

    def _end_all(self, error: BaseException) -> None:
        """End everything that has been admitted: the cache, or what is counted of it, is in an unknown state."""
        for sequence in self.scheduler.admitted():
            self._finish(sequence, "error", error=error)
        self.scheduler.prefixes.clear()

    def _finish(
        self,
        sequence: Sequence,
        reason: FinishReason,
        *,
        end_token: int | None = None,
        error: BaseException | None = None,
    ) -> None:
        if sequence.finish_reason:
            return
        sequence.finish_reason = reason
        self.scheduler.release(sequence)
        self._events.append(Event(sequence.request_id, sequence.sample, finish_reason=reason,
                                  end_token=end_token, error=error, cached_tokens=sequence.cached_tokens or 0))
