"""Settings of every test process."""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # test processes share the cores; spinning threads do not
    os.environ.setdefault(variable, "1")
