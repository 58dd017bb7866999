"""Every algorithm keeps its weights in float32: under mixed precision, and where a key is a whole number."""

import inspect
from functools import partial
from pathlib import Path

import lightning
import pytest
import torch
from agents import a2c_of, ppo_of, trainer_of
from off_policy_cases import ALGORITHMS, agent_of
from test_apg import apg_of
from test_offline import DISCRETE, offline_of

from tradewright.algorithm.bc import BC
from tradewright.algorithm.cql import CQL
from tradewright.algorithm.data_module import AgentDataModule
from tradewright.algorithm.iql import IQL

MAKERS = {
    "ppo": lambda setting_of, **keys: ppo_of(setting_of(), **keys),
    "a2c": lambda setting_of, **keys: a2c_of(setting_of(), **keys),
    "apg": lambda setting_of, **keys: apg_of(setting_of(), **keys),
    "bc": lambda setting_of, **keys: offline_of(BC, setting_of(), **keys),
    "iql": lambda setting_of, **keys: offline_of(IQL, setting_of(), **keys),
    "cql": lambda setting_of, **keys: offline_of(CQL, setting_of(env=DISCRETE), **keys),
    **{name: partial(agent_of, name) for name in ALGORITHMS},
    "dqn-prioritised": partial(agent_of, "dqn", is_prioritised=True, n_step=2),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_bf16_mixed_precision_trains_with_clipped_gradients(setting_of, tmp_path: Path, make) -> None:
    lightning.seed_everything(0, verbose=False)
    agent = make(setting_of)
    before = [p.detach().clone() for p in agent.parameters()]
    trainer = trainer_of(tmp_path, 1, precision="bf16-mixed", gradient_clip_val=0.5)
    trainer.fit(agent, AgentDataModule(agent))
    assert all(p.dtype == torch.float32 and torch.isfinite(p).all() for p in agent.parameters())
    assert any(not torch.equal(p, q) for p, q in zip(agent.parameters(), before, strict=True))


def is_in_range(build, keys: dict[str, int]) -> bool:
    """Whether the algorithm accepts the keys."""
    try:
        build(keys)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_whole_numbers_are_as_good_as_fractions(setting_of, tmp_path: Path, make) -> None:
    """Every key that takes a fraction is 1 or 0, whichever it may be; two gradient steps leave float32 weights."""
    keys: dict[str, int] = {}
    for name, key in inspect.signature(type(make(setting_of)).__init__).parameters.items():
        for value in (1, 0) if key.annotation in (float, float | None) else ():
            if name not in keys and is_in_range(lambda chosen: make(setting_of, **chosen), {**keys, name: value}):
                keys[name] = value
    assert {"lr", "gamma"} <= keys.keys()
    agent = make(setting_of, **keys)
    trainer = trainer_of(tmp_path, 1, limit_train_batches=2, limit_val_batches=0)
    trainer.fit(agent, AgentDataModule(agent))
    assert all(p.dtype == torch.float32 for p in agent.parameters())
