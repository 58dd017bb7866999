"""The options of group ``reward``, built from their files as a run builds them."""

from typing import Any

from omegaconf import OmegaConf

from tradewright.config.build import build
from tradewright.paths import shipped
from tradewright.reward.reward import Reward

FOLDER = shipped("conf") / "reward"
OPTIONS = sorted({path.stem for path in FOLDER.glob("*.yaml")} - {"none"})


def option(name: str, **keys: Any) -> Reward:
    """Build an option with some keys replaced."""
    return build(OmegaConf.merge(OmegaConf.load(FOLDER / f"{name}.yaml"), keys), key="reward")
