"""What a run happens in: source, installed packages, repository and machine.

Nothing heavy is imported to find out, and no process is started but git: a backtest of a rule takes half a second.
"""

import ctypes
import hashlib
import importlib.util
import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

PACKAGES = (
    "tradewright",
    "torch",
    "torchrl",
    "tensordict",
    "lightning",
    "numpy",
    "duckdb",
    "hydra-core",
    "omegaconf",
    "transformers",
    "peft",
)
DIFF = "git.diff"
"""File of a run directory with the uncommitted changes of its start."""
DIFF_LIMIT = 1_000_000
"""Characters of an uncommitted diff that are kept."""
NVML = "libnvidia-ml.so.1"
"""NVIDIA's management library; it lists devices without opening one, which would take a second and hold memory."""
NAME_BYTES = 96
"""NVML_DEVICE_NAME_V2_BUFFER_SIZE."""


def code_digests(allow: list[str]) -> dict[str, str]:
    """Return a digest of the source of our package and of every allowed one; git may not know where they lie."""
    return _digests(("tradewright", *_packages(allow)))


def own_code_digests(allow: list[str]) -> dict[str, str]:
    """Return a digest of the source of every package that the configuration allows besides ours."""
    return _digests([name for name in _packages(allow) if name != "tradewright"])


def _packages(allow: list[str]) -> list[str]:
    return [entry.rstrip(".").partition(".")[0] for entry in allow]


def _digests(names: Iterable[str]) -> dict[str, str]:
    found = {}
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin)
        root = origin.parent if origin.name == "__init__.py" else origin
        digest = hashlib.sha256()
        for path in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
            digest.update(str(path.relative_to(origin.parent)).encode() + b"\0" + path.read_bytes())
        found[name] = digest.hexdigest()[:16]
    return found


def package_versions() -> dict[str, str | None]:
    """Return the installed version of each package, from the names of the dist-info folders on the path.

    Parsing their metadata, as importlib does, would take as long as a backtest of a rule computes.
    """
    found: dict[str, str] = {}
    for folder in filter(os.path.isdir, sys.path):
        for entry in os.listdir(folder):
            if entry.endswith(".dist-info"):
                name, _, version = entry.removesuffix(".dist-info").partition("-")
                found.setdefault(name.lower().replace("_", "-"), version)
    return {name: found.get(name) for name in PACKAGES}


def machine() -> dict[str, Any]:
    """Return what of the machine can change a number: system, processor, cores and GPUs."""
    return {
        "system": platform.platform(),
        "processor": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "cpu": _cpu(),
        **_gpus(),
    }


def _cpu() -> str:
    """Return the model of the processor; what Python knows where the system has no ``/proc``."""
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key.strip() in ("model name", "Model"):
                    return value.strip()
    except OSError:
        pass
    return platform.processor()


def _gpus() -> dict[str, Any]:
    """Return the names of the NVIDIA devices and the version of their driver; no names where there are none."""
    none: dict[str, Any] = {"gpus": [], "gpu_driver": None}
    try:
        library = ctypes.CDLL(NVML)
    except OSError:
        return none
    if library.nvmlInit_v2() != 0:
        return none
    try:
        num, text = ctypes.c_uint(), ctypes.create_string_buffer(NAME_BYTES)
        library.nvmlDeviceGetCount_v2(ctypes.byref(num))
        names = []
        for place in range(num.value):
            device = ctypes.c_void_p()
            library.nvmlDeviceGetHandleByIndex_v2(place, ctypes.byref(device))
            library.nvmlDeviceGetName(device, text, NAME_BYTES)
            names.append(text.value.decode(errors="replace"))
        library.nvmlSystemGetDriverVersion(text, NAME_BYTES)
        return {"gpus": names, "gpu_driver": text.value.decode(errors="replace")}
    finally:
        library.nvmlShutdown()


def git_state() -> tuple[dict[str, Any] | None, str]:
    """Return the commit of the working directory's repository, and its uncommitted changes.

    Returns:
        ``None`` and an empty text where there is no repository or no git; the text is cut at ``DIFF_LIMIT``.
    """
    sha = _run_git("rev-parse", "HEAD")
    if sha is None:
        return None, ""
    diff = _run_git("diff", "HEAD") or ""
    return {"sha": sha.strip(), "is_dirty": bool(diff), "is_diff_cut": len(diff) > DIFF_LIMIT}, diff[:DIFF_LIMIT]


def _run_git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], capture_output=True, text=True, errors="replace", timeout=10, check=False
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
