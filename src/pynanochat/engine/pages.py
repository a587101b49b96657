"""PagePool: who holds which page of a layer group. The backend owns the memory, the pool only the numbers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable


class PagePool:
    """Pages 0 .. capacity - 1 with a count of holders each; the prefix cache is one of the holders.

    A page that only the prefix cache holds is idle: it keeps what it holds until somebody needs the memory, then the
    one that has been idle longest goes first.
    """

    def __init__(self, capacity: int, evicted: Callable[[int], None]) -> None:
        self.capacity = capacity
        self._evicted = evicted  # told of a page that is about to be given to another holder; has to `uncache` it
        self._free = list(range(capacity - 1, -1, -1))  # the lowest number comes first
        self._holders = [0] * capacity
        self._cached = bytearray(capacity)
        self._idle: OrderedDict[int, None] = OrderedDict()  # the longest idle first

    @property
    def available(self) -> int:
        """Pages that `take` can give: free or idle ones."""
        return len(self._free) + len(self._idle)

    @property
    def used(self) -> int:
        """Pages that sequences hold."""
        return self.capacity - self.available

    def holders(self, page: int) -> int:
        """How many hold a page, the prefix cache included."""
        return self._holders[page]

    def take(self) -> int | None:
        """A page, now held once; None if sequences hold all of them."""
        if not self._free and self._idle:
            self._evicted(next(iter(self._idle)))
        if not self._free:
            return None
        page = self._free.pop()
        self._holders[page] = 1
        return page

    def share(self, page: int) -> int:
        """The same page, held once more; whoever writes into it must have it alone."""
        assert self._holders[page] > 0
        self._holders[page] += 1
        self._idle.pop(page, None)
        return page

    def release(self, page: int) -> None:
        """Let go of a page; the last holder frees it."""
        assert self._holders[page] > self._cached[page]
        self._holders[page] -= 1
        if not self._holders[page]:
            self._free.append(page)
        elif self._holders[page] == 1 and self._cached[page]:
            self._idle[page] = None

    def cache(self, page: int) -> None:
        """The prefix cache holds a page, too, that somebody holds."""
        assert self._holders[page] > 0
        assert not self._cached[page]
        self._holders[page] += 1
        self._cached[page] = 1

    def uncache(self, page: int) -> None:
        """The prefix cache lets go of a page."""
        assert self._cached[page]
        self._cached[page] = 0
        self._idle.pop(page, None)
        self.release(page)

    def is_cached(self, page: int) -> bool:
        """Whether the prefix cache holds the page."""
        return bool(self._cached[page])
