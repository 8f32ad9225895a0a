"""What `torch.compile` needs of a machine, asked before it is used."""

from __future__ import annotations

import importlib.util
import os
import shutil

from vivace.errors import VivaceError


def check_compiler(device: str) -> None:
    """Raises VivaceError where kernels for this kind of device cannot be compiled."""
    if device == "cuda" and importlib.util.find_spec("triton") is None:
        raise VivaceError("Compiling for the GPU needs the package triton; install it, or leave compiling out.")
    if not any(shutil.which(name) for name in (os.environ.get("CXX") or "c++", "g++", "clang++", "cl")):
        raise VivaceError("Compiling needs a C++ compiler such as g++; install one, or leave compiling out.")
