"""`python -m pynanochat` is `nanochat`."""

import sys

from pynanochat.cli import main

sys.exit(main())
