"""The CPU backend: a plan of kernels that are written in Python and compiled by Numba.

`processor` says what the machine can do, `lanes` and `tiles` are its registers, `rows`, `linear` and `attention` the
kernels, `program` binds a plan to them, `team` runs it on several threads, `runner` is what the engine sees.
"""
