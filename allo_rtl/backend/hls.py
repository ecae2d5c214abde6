"""Vendor HLS tools: this package has no use for them, but scripts ask whether they are there."""

from __future__ import annotations

import shutil

_COMMANDS = {
    "vivado_hls": "vivado_hls",
    "vitis_hls": "vitis_hls",
    "tapa": "tapa",
    "catapult": "catapult",
}


def is_available(backend: str = "vivado_hls") -> bool:
    """Whether the command of a vendor's tool is on PATH.

    Raises:
        ValueError: no such tool is known.
    """
    if backend not in _COMMANDS:
        raise ValueError(f"the tool {backend!r} is not one of {', '.join(_COMMANDS)}")
    return shutil.which(_COMMANDS[backend]) is not None
