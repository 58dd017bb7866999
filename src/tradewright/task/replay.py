"""``task=replay``: run a finished run again from its own configuration and require the same numbers."""

import math
from pathlib import Path
from typing import ClassVar

from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from tradewright.config.root import new_run_id
from tradewright.errors import RunError
from tradewright.output import CONFIG, METRICS, PROVENANCE, read_json, read_metrics
from tradewright.provenance import run_origin
from tradewright.task.context import has_market, read_market
from tradewright.task.trained import require_run_directory

SHOWN = 5


class Replay:
    """Repeats ``run`` in a new directory beside it and compares every figure of ``metrics.json``.

    Args:
        run: A finished run directory.
        rtol: Largest relative difference that counts as equal; 0: to the bit, which a CPU run reaches.

    Raises:
        ValueError: ``rtol`` is negative.
    """

    needs_run_directory: ClassVar[bool] = False

    def __init__(self, *, run: str, rtol: float = 0.0) -> None:
        if not rtol >= 0:
            raise ValueError(f"rtol must be >= 0, was {rtol}")
        self.directory = Path(run)
        require_run_directory(self.directory)
        self.rtol = rtol

    def execute(self, cfg: DictConfig) -> dict[str, float]:
        """Run again.

        Raises:
            RunError: The directory holds no finished run, the data have changed, or a figure differs.
        """
        from tradewright.run import run

        if not (self.directory / CONFIG).is_file() or not (self.directory / METRICS).is_file():
            raise RunError(f"{self.directory}: no finished run; expected {CONFIG} and {METRICS}")
        recorded = OmegaConf.load(self.directory / CONFIG)
        assert isinstance(recorded, DictConfig)
        expected = read_metrics(self.directory)
        fingerprint = _fingerprint(recorded)
        if fingerprint != read_json(self.directory / PROVENANCE)["data"]["fingerprint"]:
            raise RunError(f"{self.directory}: the bars have changed since this run; its numbers cannot be repeated")
        target = self.directory.parent / new_run_id()
        origin = run_origin(self.directory, is_current=False)
        found = run(recorded, directory=target, origin=origin, trials_until=self.directory.name)
        differing = [name for name in {**expected, **found} if not self._is_equal(expected.get(name), found.get(name))]
        if differing:
            shown = "; ".join(f"{name} was {expected.get(name)}, is {found.get(name)}" for name in differing[:SHOWN])
            raise RunError(f"{self.directory}: {len(differing)} of {len(expected)} figures differ: {shown}")
        Console().print(f"replayed {len(expected)} figures of {self.directory}: all equal", soft_wrap=True)
        return found

    def _is_equal(self, first: float | None, second: float | None) -> bool:
        if first is None or second is None:
            return False
        if math.isnan(first) or math.isnan(second):
            return math.isnan(first) and math.isnan(second)
        return first == second or math.isclose(first, second, rel_tol=self.rtol, abs_tol=0.0)


def _fingerprint(cfg: DictConfig) -> str:
    """Return the identity of the data, or of the environment, that a configuration names now."""
    if has_market(cfg):
        return read_market(cfg, with_features=False).panel.fingerprint
    from tradewright.task.episodes import read_bench

    return read_bench(cfg).fingerprint
