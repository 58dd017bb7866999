"""A sweep over algorithms is repeated over five seeds, unless it names its own."""

import pytest

from tradewright.config.seeds import seeds_of_comparison


@pytest.mark.parametrize("text", ["algorithm=ppo,a2c", "algorithm=choice(ppo,a2c)", "algorithm=glob(*)"])
def test_sweep_over_algorithms_gets_five_seeds(text: str) -> None:
    assert seeds_of_comparison([text, "env=discrete9"]) == ["seed=0,1,2,3,4"]


@pytest.mark.parametrize(
    "texts", [["algorithm=ppo,a2c", "seed=7"], ["algorithm=ppo"], ["algorithm.lr=1e-3,1e-4"], ["reward=log_return"], []]
)
def test_other_sweeps_are_left_alone(texts: list[str]) -> None:
    assert seeds_of_comparison(texts) == []
