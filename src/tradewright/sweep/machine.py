"""What this machine can give to jobs: cores, memory and GPUs, after the limits of containers and of the scheduler.

A container may see every core and all memory of its host and still be stopped at its own limits, so affinity and
cgroups (both versions) are read. GPUs are taken by lock files: two sweeps on one machine never share one.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tradewright.errors import ConfigError

if TYPE_CHECKING:
    from filelock import FileLock

VISIBLE = "CUDA_VISIBLE_DEVICES"
BYTES_PER_GB = 1_000_000_000
QUERY_S = 30
"""How long ``nvidia-smi`` may take; it is slow where no daemon keeps the driver awake."""
NO_LIMIT = 1 << 60
"""Version 1 writes a number near 2^63 where there is no limit."""


def num_cores(root: Path = Path("/")) -> int:
    """Return how many processors this process may keep busy, >= 1.

    Args:
        root: Where ``proc`` and ``sys`` lie.
    """
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return max(1, min([cores, *(int(quota) for quota in _cpu_quotas(root))]))


def _cpu_quotas(root: Path) -> Iterator[float]:
    """Yield the processors that each control group grants."""
    for folder in _groups(root, ""):
        words = _words(folder / "cpu.max")
        if len(words) == 2 and words[0] != "max":
            yield int(words[0]) / int(words[1])
    for folder in _groups(root, "cpu"):
        quota, period = _words(folder / "cpu.cfs_quota_us"), _words(folder / "cpu.cfs_period_us")
        if quota and period and int(quota[0]) > 0:
            yield int(quota[0]) / int(period[0])


def free_memory_gb(root: Path = Path("/")) -> float | None:
    """Return the memory that new processes can take, in 1e9 bytes; None where the system does not tell.

    Args:
        root: Where ``proc`` and ``sys`` lie.
    """
    table = root / "proc/meminfo"
    if not table.is_file():
        return None
    lines = dict(line.split(":", 1) for line in table.read_text().splitlines() if ":" in line)
    free = [int(lines["MemAvailable"].split()[0]) * 1024, *_free_in_groups(root)]
    return max(0, min(free)) / BYTES_PER_GB


def _free_in_groups(root: Path) -> Iterator[int]:
    """Yield limit less use of each control group in bytes; cached files that can be dropped count as free."""
    names = [("", "memory.max", "memory.current", "inactive_file")]
    names += [("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")]
    for controller, limit_name, usage_name, cache_name in names:
        for folder in _groups(root, controller):
            limit, usage = _words(folder / limit_name), _words(folder / usage_name)
            if not limit or not usage or limit[0] == "max" or int(limit[0]) >= NO_LIMIT:
                continue
            stat = _words(folder / "memory.stat")
            cache = dict(zip(stat[::2], stat[1::2], strict=False)).get(cache_name, "0")
            yield int(limit[0]) - int(usage[0]) + int(cache)


def _groups(root: Path, controller: str) -> list[Path]:
    """Return the folders of this process's control group and of those above it, as far as they are mounted.

    Args:
        root: Where ``proc`` and ``sys`` lie.
        controller: Of version 1; empty for the unified tree of version 2.
    """
    table, mount = root / "proc/self/cgroup", root / "sys/fs/cgroup"
    for line in table.read_text().splitlines() if table.is_file() else []:
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            top = mount / controller if controller else mount
            inner = top / path.lstrip("/")
            return [folder for folder in (inner, *inner.parents) if folder.is_relative_to(top) and folder.is_dir()]
    return []


def _words(path: Path) -> list[str]:
    return path.read_text().split() if path.is_file() else []


def take_gpus(num_per_job: int) -> "tuple[list[str], list[FileLock]]":
    """Take every GPU that no other sweep on this machine holds and on which nothing computes.

    Args:
        num_per_job: At least so many are needed.

    Returns:
        Their names as ``CUDA_VISIBLE_DEVICES`` takes them, and the locks that hold them.

    Raises:
        ConfigError: Fewer are free.
    """
    from filelock import FileLock, Timeout

    names = os.environ.get(VISIBLE)
    visible = _idle_gpus() if names is None else [name.strip() for name in names.split(",") if name.strip()]
    taken, locks = [], []
    for name in visible:
        lock = FileLock(Path(tempfile.gettempdir()) / f"tradewright-gpu-{name.replace('/', '-')}.lock", mode=0o666)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        taken.append(name)
        locks.append(lock)
    if len(taken) < num_per_job:
        for lock in locks:
            lock.release()
        raise ConfigError(
            f"launcher.gpus_per_job: {num_per_job} needed, {len(taken)} free ({len(visible)} idle CUDA devices, the"
            " others held by another sweep); lower it, or wait until more are free"
        )
    return taken, locks


def _idle_gpus() -> list[str]:
    """Return the UUIDs of the GPUs without a computing process, from the driver's own tool: CUDA is not started."""
    if shutil.which("nvidia-smi") is None:
        return []
    busy = set(_query("--query-compute-apps=gpu_uuid"))
    return [uuid for uuid in _query("--query-gpu=uuid") if uuid not in busy]


def _query(question: str) -> list[str]:
    command = ["nvidia-smi", question, "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=QUERY_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError(f"launcher.gpus_per_job: nvidia-smi does not answer ({error}); set {VISIBLE}") from error
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]
