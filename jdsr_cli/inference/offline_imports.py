"""Import of packages that report their use over the network, without that."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

_TELEMETRY = "openvino_telemetry"
"""Package by which OpenVINO, when it is imported, and NNCF send events to Google Analytics; both
work without it."""


def import_offline(name: str) -> Any:
    """Return the module `openvino` or `nncf`, whose telemetry is left out of this process.

    Raises:
        ImportError: It is not installed.

    """
    # Python takes a module of None for one that is not installed.
    sys.modules.setdefault(_TELEMETRY, None)  # type: ignore[arg-type]
    return import_module(name)
