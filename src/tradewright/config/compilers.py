"""What ``torch.compile`` needs of the machine, asked before it fails with a page of its own."""

import os
import shutil

from tradewright.errors import ConfigError

COMPILERS = ("g++", "clang++", "cl")


def require_cpp_compiler(key: str) -> None:
    """Check that there is a C++ compiler: ``$CXX``, or one of ``COMPILERS``.

    Args:
        key: The key that asks for it.

    Raises:
        ConfigError: There is none.
    """
    compilers = (os.environ["CXX"],) if "CXX" in os.environ else COMPILERS
    if not any(map(shutil.which, compilers)):
        raise ConfigError(
            f"{key} needs a C++ compiler, found none of {', '.join(compilers)}; install one, set CXX to it, or use"
            f" {key}=false"
        )
