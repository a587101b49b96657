"""exp and tanh of tiles: the same bits on every processor, as no library's are.

Within 2 units in the last place of float32. Source of the polynomials: S. Moshier, Cephes (expf.c and tanhf.c).
"""

from __future__ import annotations

import numpy as np

from pynanochat.backends.cpu.arithmetic import (
    absolute,
    as_float,
    choose_less,
    copy_sign,
    fma,
    maximum,
    minimum,
    nearest,
    to_whole,
)
from pynanochat.backends.cpu.lanes import ispread, spread
from pynanochat.backends.cpu.processor import kernel

F = np.float32
LOG2E, LN2_HIGH, LN2_LOW = F(1.44269504088896341), F(0.693359375), F(-2.12194440e-4)
EXP = tuple(F(c) for c in (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5))
TANH = tuple(F(c) for c in (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1,
                            -3.33332819422e-1))
LOWEST, HIGHEST = F(-87.0), F(88.0)  # where exp leaves the normal numbers
ONE, TWO = F(1), F(2)
E0, E1, E2, E3, E4, E5 = EXP
T0, T1, T2, T3, T4 = TANH
SMALL = F(0.625)
BIAS, MANTISSA_BITS = np.int32(127), np.int32(23)


@kernel
def exp(x):
    """e^x, x kept within -87 and 88."""
    x = minimum(maximum(x, spread(LOWEST)), spread(HIGHEST))
    power = nearest(x * spread(LOG2E))
    rest = fma(power, spread(-LN2_LOW), fma(power, spread(-LN2_HIGH), x))
    series = fma(spread(E0), rest, spread(E1))
    series = fma(series, rest, spread(E2))
    series = fma(series, rest, spread(E3))
    series = fma(series, rest, spread(E4))
    series = fma(series, rest, spread(E5))
    series = fma(series, rest * rest, rest + spread(ONE))
    return series * as_float((to_whole(power) + ispread(BIAS)) << ispread(MANTISSA_BITS))


@kernel
def tanh(x):
    """The hyperbolic tangent."""
    size = absolute(x)
    square = x * x
    series = fma(spread(T0), square, spread(T1))
    series = fma(series, square, spread(T2))
    series = fma(series, square, spread(T3))
    series = fma(series, square, spread(T4))
    near = fma(series * square, x, x)
    far = spread(ONE) - spread(TWO) / (exp(size + size) + spread(ONE))
    return copy_sign(choose_less(size, spread(SMALL), absolute(near), far), x)
