"""The operations that `model.py` is written in; what each one means is defined by `ops/reference.py`.

N rows, C channels of the stream, H/G query/key-value heads, D head_dim, V rows of a table.
"""

from __future__ import annotations

from typing import Any, Protocol

Array = Any  # an array of the backend: NumPy's, torch's, or a recorder's buffer


class Ops(Protocol):
    """A backend's operations. A module of functions is one, too."""

    def embed(self, table: Array, ids: Array) -> Array:
        """(V, C), (N,) -> (N, C), the rows of a table; zeros for a negative id."""

    def bigram_ids(self, tokens: Array, prev_tokens: Array, rows: int) -> Array:
        """(N,), (N,) -> (N,), the hash of each token with the one before it, below `rows`."""

    def rms_norm(self, x: Array, eps: float, scale: float = 1.0) -> Array:
        """scale * x / sqrt(mean(x^2) + eps) over the last dimension; no learned weight."""

    def linear(self, x: Array, w: Array) -> Array:
        """(N, in), (out, in) -> (N, out)."""

    def gate(self, x: Array, w: Array, gain: Array) -> Array:
        """(N, C), (rows, width) -> (N, rows): gain * sigmoid of w times the first channels of x."""

    def add(self, x: Array, y: Array, a: Array = 1.0, b: Array = 1.0) -> Array:
        """a x + b y; a gate (N, G) spreads over the last dimension of y (N, G, D), a gate (N, 1) over all of (N, C)."""

    def relu2(self, x: Array) -> Array:
        """max(x, 0)^2."""

    def clip(self, x: Array, limit: float) -> Array:
        """x limited to +-limit."""

    def softcap(self, x: Array, cap: float) -> Array:
        """cap * tanh(x / cap), in float32 at least."""

    def rope(self, x: Array, positions: Array, cos: Array, sin: Array) -> Array:
        """(N, heads, D) turned by each row's position: halves rotate as pairs, by minus the angle (upstream's sign)."""

    def attention(self, q: Array, k: Array, v: Array, batch: Any, cache: Any, layer: int, window: int | None) -> Array:
        """(N, H, D): keeps k and v (N, G, D) in `cache`, then softmax(q k / sqrt(D)) v over the keys a row sees."""

    def take(self, x: Array, rows: Array) -> Array:
        """(N, C), (M,) -> (M, C)."""

    def heads(self, x: Array, n: int) -> Array:
        """(N, n D) -> (N, n, D), a view."""

    def merge(self, x: Array) -> Array:
        """(N, n, D) -> (N, n D), a view."""
