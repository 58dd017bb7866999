"""A small package and a small configuration tree, so that these tests do not depend on the shipped ones."""

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig

from tradewright.config.compose import Composer, open_hydra

CLASSES = '''
    """Classes that the small configuration names."""
    from dataclasses import dataclass, field
    from typing import Any, ClassVar, Literal

    from tradewright.config.runtime import Runtime
    from tradewright.errors import DataError


    @dataclass(kw_only=True)
    class Costs:
        fee_bps: float = 0.0
        kinds: list[str] = field(default_factory=list)

        def __post_init__(self) -> None:
            if self.fee_bps < 0:
                raise ValueError(f"fee_bps must be >= 0, was {self.fee_bps}")


    class Backtest:
        def __init__(self, *, costs: Any = None, sizing: Literal["fill", "decision"] = "fill", cash: int = 1) -> None:
            self.costs, self.sizing, self.cash = costs, sizing, cash


    class Adapter:
        def __init__(self, *, r: int, alpha: float = 1.0, targets: str | list[str] | None = None) -> None:
            if r < 1:
                raise ValueError(f"r must be >= 1, was {r}")
            self.r, self.alpha, self.targets = r, alpha, targets


    class Holder:
        def __init__(self, *, make: Runtime[Any]) -> None:
            self.adapter = make(r=0)


    class Model:
        def __init__(self, *, num_features: Runtime[int], hidden: list[int], name: str = "m") -> None:
            self.num_features, self.hidden, self.name = num_features, hidden, name


    class LanguageModel(Model):
        is_language_model = True


    class Discrete:
        action_kind: ClassVar[str] = "discrete"


    class Continuous:
        action_kind: ClassVar[str] = "continuous"


    class Ppo:
        action_kinds: ClassVar[tuple[str, ...]] = ("continuous", "discrete")

        def __init__(self, *, lr: float = 1e-3) -> None:
            self.lr = lr


    class Dqn(Ppo):
        action_kinds: ClassVar[tuple[str, ...]] = ("discrete",)


    class Broken:
        def __init__(self, *, how: str) -> None:
            if how == "data":
                raise DataError("bars.csv row 3: high < low")
            raise {"zero": ZeroDivisionError, "type": TypeError, "import": ImportError}[how]("went wrong")
'''

TREE = {
    "config.yaml": """
        defaults:
          - root
          - model: small
          - lora: none
          - backtest: plain
          - algorithm: ppo
          - env: continuous
          - _self_
          - experiment: default
        allow: [mini]
        hydra:
          run: {dir: "${output_dir}/${name}/${run_id:}"}
          sweep: {dir: "${output_dir}/${name}/${run_id:}", subdir: "${hydra.job.num}"}
        """,
    "model/small.yaml": "# a model\n_target_: mini.Model\n_partial_: true\nhidden: [4, 4]\nname: m\n",
    "model/language.yaml": "_target_: mini.LanguageModel\n_partial_: true\nhidden: [4]\nname: l\n",
    "lora/none.yaml": "r: 16\nalpha: 1.0\ntargets: null\n",
    "lora/r16.yaml": "_target_: mini.Adapter\nr: 16\nalpha: 32\ntargets: null\n",
    "backtest/plain.yaml": "_target_: mini.Backtest\ncosts:\n  _target_: mini.Costs\n  fee_bps: 1\n  kinds: []\n"
    "sizing: fill\ncash: 5\n",
    "algorithm/ppo.yaml": "_target_: mini.Ppo\nlr: 1e-3\n",
    "algorithm/dqn.yaml": "_target_: mini.Dqn\nlr: 1e-3\n",
    "env/continuous.yaml": "_target_: mini.Continuous\n",
    "env/discrete.yaml": "_target_: mini.Discrete\n",
}


def write(path: Path, text: str) -> Path:
    """Write a text with its indentation removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text).lstrip("\n"))
    return path


@pytest.fixture
def mini(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder with package ``mini``, ``conf/`` and ``experiments/``, current and importable."""
    write(tmp_path / "mini.py", CLASSES)
    for name, text in TREE.items():
        write(tmp_path / "conf" / name, text)
    (tmp_path / "experiments").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("mini", None)
    GlobalHydra.instance().clear()
    HydraConfig.instance().cfg = None


@pytest.fixture
def composer(mini: Path) -> Composer:
    """Return the small tree, ready to compose."""
    return open_hydra(conf=mini / "conf")
