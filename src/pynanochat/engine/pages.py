"""PagePool: who holds which page of a layer group. The backend owns the memory, the pool only the numbers."""

from __future__ import annotations


class PagePool:
    """Pages 0 .. capacity - 1 with a count of holders each.

    Every sequence promises the most pages it will ever hold before it starts; the promises together never exceed the
    capacity, so `take` cannot fail while sequences keep to them.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.promised = 0
        self._free = list(range(capacity - 1, -1, -1))  # the lowest number comes first
        self._holders = [0] * capacity

    @property
    def free(self) -> int:
        """Pages that nobody holds."""
        return len(self._free)

    def holders(self, page: int) -> int:
        """How many sequences hold a page."""
        return self._holders[page]

    def take(self) -> int:
        """A free page, now held once."""
        page = self._free.pop()
        self._holders[page] = 1
        return page

    def share(self, page: int) -> int:
        """The same page, held once more; whoever writes into it must have it alone."""
        assert self._holders[page] > 0
        self._holders[page] += 1
        return page

    def release(self, page: int) -> None:
        """Let go of a page; the last holder frees it."""
        assert self._holders[page] > 0
        self._holders[page] -= 1
        if not self._holders[page]:
            self._free.append(page)
