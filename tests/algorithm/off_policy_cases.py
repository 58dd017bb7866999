"""What the tests of off-policy algorithms share: small agents on a market, and batches of random transitions."""

from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from tensordict import TensorDict

from tradewright.algorithm.data_module import AgentDataModule
from tradewright.algorithm.discrete_sac import DiscreteSAC
from tradewright.algorithm.dqn import DQN
from tradewright.algorithm.off_policy import OffPolicyModule
from tradewright.algorithm.sac import SAC
from tradewright.algorithm.td3 import TD3
from tradewright.callbacks.checkpoints import AtomicCheckpointIO
from tradewright.env.continuous import Continuous
from tradewright.env.discrete9 import Discrete9
from tradewright.env.portfolio_state import PORTFOLIO
from tradewright.model.mlp import MLP

ALGORITHMS: dict[str, type[OffPolicyModule]] = {"dqn": DQN, "sac": SAC, "discrete_sac": DiscreteSAC, "td3": TD3}
SMALL = {
    "total_frames": 1_024,
    "num_envs": 4,
    "steps_per_iteration": 4,
    "updates_per_iteration": 3,
    "iterations_per_epoch": 4,
    "batch_size": 16,
    "buffer_size": 300,
    "learning_starts": 50,
}


def agent_of(name: str, setting_of, *, env=None, seed: int = 0, stage: dict[str, Any] | None = None, **keys):
    """Return a small agent on the environment that fits it."""
    kind = Discrete9 if "discrete" in ALGORITHMS[name].action_kinds else Continuous
    setting = setting_of(env=env or kind(window=2, episode_bars=20), seed=seed, validate=weight_of, **(stage or {}))
    return ALGORITHMS[name](setting=setting, model=partial(MLP, hidden=[16]), **{**SMALL, **keys})


def weight_of(agent: OffPolicyModule) -> dict[str, float]:
    """A figure to choose checkpoints by that costs no backtest, and changes with any weight."""
    return {"sharpe": sum(float(parameter.detach().sum()) for parameter in agent.parameters())}


def random_batch(agent: OffPolicyModule, num: int = 12, seed: int = 0, **more) -> dict[str, torch.Tensor]:
    """Return transitions at random bars, with noise, a third of them terminated."""
    print("seed", seed)
    rng = torch.Generator().manual_seed(seed)
    first = agent.inputs.bars.market.ready_from + 2
    is_discrete = agent.env.action_kind == "discrete"
    batch = {
        "index": torch.randint(first, 300, (num,), generator=rng),
        "next/index": torch.randint(first, 300, (num,), generator=rng),
        "portfolio": torch.randn(num, len(PORTFOLIO), generator=rng),
        "next/portfolio": torch.randn(num, len(PORTFOLIO), generator=rng),
        "action": agent.random_action(num, rng) if not is_discrete else torch.randint(9, (num,), generator=rng),
        "reward": torch.randn(num, generator=rng),
        "terminated": torch.arange(num) % 3 == 0,
        "slots": torch.arange(num),
    }
    return {**batch, **agent.noise(num, rng), **more}


def nested(batch: dict[str, torch.Tensor]) -> TensorDict:
    """The batch as TorchRL's losses expect it."""
    following = {key.removeprefix("next/"): x for key, x in batch.items() if key.startswith("next/")}
    end = {"reward": batch["reward"][:, None], **dict.fromkeys(("terminated", "done"), batch["terminated"][:, None])}
    top = {key: x for key, x in batch.items() if not key.startswith("next/") and key not in ("reward", "terminated")}
    if "steps" in top:
        top["steps_to_next_obs"] = top.pop("steps")[:, None]
    if "weight" in top:
        top["priority_weight"] = top.pop("weight")
    return TensorDict({**top, "next": {**following, **end}}, batch_size=[len(batch["reward"])])


@torch.no_grad()
def shake(agent: OffPolicyModule, seed: int = 1) -> None:
    """Move every weight, so that targets and what they follow differ and no head is near zero."""
    rng = torch.Generator().manual_seed(seed)
    for parameter in agent.parameters():
        parameter.add_(0.3 * torch.randn(parameter.shape, generator=rng))


def trainer_of(directory: Path, epochs: int, callbacks=(), **keys) -> lightning.Trainer:
    """Return a quiet trainer on the CPU."""
    known = {
        "max_epochs": epochs,
        "accelerator": "cpu",
        "default_root_dir": directory,
        "callbacks": list(callbacks),
        "plugins": [AtomicCheckpointIO()],
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": bool(callbacks),
        "num_sanity_val_steps": 0,
    }
    return lightning.Trainer(**{**known, **keys})


def train(agent: OffPolicyModule, directory: Path, max_epochs: int | None = None, **keys) -> AgentDataModule:
    """Train to the end, or so many epochs; return the data module."""
    data = AgentDataModule(agent)
    trainer_of(directory, max_epochs or agent.max_epochs, **keys).fit(agent, data)
    return data
