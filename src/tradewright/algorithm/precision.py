"""Which number format a training really uses: what the device lacks is replaced with a warning, never silently.

Lightning turns ``16-mixed`` on a CPU into ``bf16-mixed``, which a CPU without bfloat16 instructions only emulates.
"""

import logging
from typing import Any

import torch

from tradewright.errors import ConfigError

log = logging.getLogger(__name__)

HALF_ON_CPU = {"16-mixed", "16-true", "16"}
BF16 = {"bf16-mixed", "bf16-true", "bf16"}


def fitting_precision(precision: Any, *, device: str) -> str:
    """Return the precision to train with.

    Args:
        precision: Lightning's name, e.g. ``16-mixed``.
        device: ``cpu`` or ``cuda``; ``auto`` is what Lightning will choose.

    Raises:
        ConfigError: The weights themselves should be in 16 bits on a device that cannot train them.
    """
    wanted = str(precision)
    is_cuda = device in {"cuda", "gpu"} or (device == "auto" and torch.cuda.is_available())
    if not is_cuda and wanted in HALF_ON_CPU:
        if wanted == "16-true":
            raise ConfigError("trainer.precision must not be 16-true on a CPU; use 32-true, or bf16-mixed")
        return _warned(wanted, "bf16-mixed" if has_bf16_instructions() else "32-true", "a CPU has no float16 training")
    if is_cuda and wanted in BF16 and not torch.cuda.is_bf16_supported(including_emulation=False):
        if wanted == "bf16-true":
            raise ConfigError("trainer.precision must not be bf16-true on this GPU, which lacks bfloat16; use 16-mixed")
        return _warned(wanted, "16-mixed", "this GPU has no bfloat16")
    return wanted


def has_bf16_instructions() -> bool:
    """Whether the CPU multiplies matrices in bfloat16 itself."""
    flags = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return any(bool(flags.get(name)) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def _warned(wanted: str, used: str, why: str) -> str:
    log.warning("trainer.precision=%s: %s; training in %s instead", wanted, why, used)
    return used
