"""Run as `python -m jdsr_train.lease`."""

import sys

from jdsr_train.lease.cli import main

sys.exit(main())
