"""Every algorithm trains under mixed precision with clipped gradients, and keeps its weights in float32."""

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
    "ppo": lambda setting_of: ppo_of(setting_of()),
    "a2c": lambda setting_of: a2c_of(setting_of()),
    "apg": lambda setting_of: apg_of(setting_of()),
    "bc": lambda setting_of: offline_of(BC, setting_of()),
    "iql": lambda setting_of: offline_of(IQL, setting_of()),
    "cql": lambda setting_of: offline_of(CQL, setting_of(env=DISCRETE)),
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
