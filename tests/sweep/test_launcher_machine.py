"""What a machine can give: cgroups of both versions as trees of files, GPUs by the driver's tool."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tradewright.errors import ConfigError
from tradewright.sweep.machine import free_memory_gb, num_cores, take_gpus

AFFINITY = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def tree(root: Path, group: str, files: dict[str, str]) -> Path:
    """Write a ``proc`` and ``sys`` with 8 GB available memory."""
    content = {
        "proc/self/cgroup": group,
        "proc/meminfo": "MemTotal:       16000000 kB\nMemAvailable:    7812500 kB\n",
        **files,
    }
    for name, text in content.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, AFFINITY),
        ({"sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, AFFINITY),
        ({"sys/fs/cgroup/a/b/cpu.max": "100000 100000\n"}, 1),
        ({"sys/fs/cgroup/a/cpu.max": "199999 100000\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, 1),
        ({"sys/fs/cgroup/a/b/cpu.max": "50000 100000\n"}, 1),
        ({"sys/fs/cgroup/other/cpu.max": "10000 100000\n", "sys/fs/cgroup/a/b/cpu.stat": ""}, AFFINITY),
    ],
)
def test_cores_are_bounded_by_every_control_group_above(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    assert num_cores(tree(tmp_path, "0::/a/b\n", files)) == expected


def test_cores_are_bounded_by_version_1_and_by_affinity(tmp_path: Path) -> None:
    group = "4:memory:/x\n3:cpu,cpuacct:/x\n0::/\n"
    files = {"sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "100000\n", "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n"}
    assert num_cores(tree(tmp_path, group, files)) == 1
    (tmp_path / "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us").write_text("-1\n")
    assert num_cores(tmp_path) == AFFINITY


@pytest.mark.skipif(sys.platform != "linux", reason="affinity is Linux's")
def test_cores_follow_the_affinity_of_the_process() -> None:
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});"
    code += "from tradewright.sweep.machine import num_cores; print(num_cores())"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout == b"1\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8.0),
        ({"memory.max": "max\n", "memory.current": "1\n"}, 8.0),
        ({"memory.max": "5000000000\n", "memory.current": "3000000000\n"}, 2.0),
        (
            {
                "memory.max": "5000000000\n",
                "memory.current": "3000000000\n",
                "memory.stat": "anon 9\ninactive_file 500000000\n",
            },
            2.5,
        ),
        ({"memory.max": "1000000000\n", "memory.current": "3000000000\n"}, 0.0),
    ],
    ids=["machine", "no limit", "limit", "cache is free", "above the limit"],
)
def test_free_memory_is_bounded_by_the_control_group(tmp_path: Path, files: dict[str, str], expected: float) -> None:
    inside = {f"sys/fs/cgroup/a/{name}": text for name, text in files.items()}
    assert free_memory_gb(tree(tmp_path, "0::/a\n", inside)) == pytest.approx(expected)


def test_free_memory_is_bounded_by_version_1(tmp_path: Path) -> None:
    files = {"memory.limit_in_bytes": "3000000000", "memory.usage_in_bytes": "1000000000"}
    inside = {f"sys/fs/cgroup/memory/x/{name}": text for name, text in files.items()}
    # In a container the group's path is that of the host; the mount shows its own folder at the top.
    top = {f"sys/fs/cgroup/memory/{name}": text for name, text in files.items()}
    assert free_memory_gb(tree(tmp_path / "a", "4:memory:/x\n", inside)) == pytest.approx(2.0)
    assert free_memory_gb(tree(tmp_path / "b", "4:memory:/of/the/host\n", top)) == pytest.approx(2.0)
    unlimited = {name: "9223372036854771712" if "limit" in name else "1" for name in inside}
    assert free_memory_gb(tree(tmp_path / "c", "4:memory:/x\n", unlimited)) == pytest.approx(8.0)


def test_free_memory_is_unknown_where_the_system_does_not_tell(tmp_path: Path) -> None:
    assert free_memory_gb(tmp_path) is None


@pytest.mark.row("B41")
def test_gpu_is_held_by_one_sweep_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "80, 81")
    names, locks = take_gpus(1)
    assert names == ["80", "81"]
    with pytest.raises(ConfigError, match=r"^launcher\.gpus_per_job: 1 needed, 0 free \(2 idle CUDA devices"):
        take_gpus(1)
    locks[1].release()
    assert take_gpus(1)[0] == ["81"]
    locks[0].release()


def test_gpus_that_do_not_suffice_are_left_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "82")
    with pytest.raises(ConfigError, match="2 needed, 1 free"):
        take_gpus(2)
    assert take_gpus(1)[0] == ["82"]


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for nvidia-smi is a shell script")
def test_gpu_that_computes_is_not_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    devices = "GPU-test-a\\nGPU-test-b\\nGPU-test-c\\n"
    tool.write_text(f'#!/bin/sh\ncase "$1" in *compute-apps*) echo GPU-test-b;; *) printf "{devices}";; esac\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert take_gpus(1)[0] == ["GPU-test-a", "GPU-test-c"]
    tool.write_text("#!/bin/sh\nexit 9\n")
    with pytest.raises(ConfigError, match=r"nvidia-smi does not answer .* set CUDA_VISIBLE_DEVICES"):
        take_gpus(1)


def test_machine_without_gpus_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with pytest.raises(ConfigError, match=r"1 needed, 0 free \(0 idle CUDA devices"):
        take_gpus(1)
