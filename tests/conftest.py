"""Settings of every test process."""

import os

import hypothesis
import pytest

from pynanochat.backends.cpu import compiled, processor

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # test processes share the cores; spinning threads do not
    os.environ.setdefault(variable, "1")

# A quick run draws the same cases each time, so that it means the same each time; `make soak` draws new ones.
hypothesis.settings.register_profile("pynanochat", derandomize=not os.environ.get("NANOCHAT_SOAK"), deadline=None)
hypothesis.settings.load_profile("pynanochat")


def pytest_configure(config: pytest.Config) -> None:
    """Compile the most used kernels once, before several processes need them and say on stderr that they do."""
    if not hasattr(config, "workerinput"):
        for weights, pages in (("q8", "bfloat16"), ("bfloat16", "float32")):  # the bundled model's, and fixtures'
            compiled.loop(processor.choose_level(), weights, pages)
