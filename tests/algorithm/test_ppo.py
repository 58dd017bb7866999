"""PPO: exact advantages, a policy ratio of one before the first update, learning, and bit-exact continuation."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch

from tradewright.algorithm.data_module import AgentDataModule
from tradewright.algorithm.ppo import PPO
from tradewright.algorithm.rollout import advantages
from tradewright.callbacks.checkpoints import AtomicCheckpointIO, BestCheckpoint, LastCheckpoint, newest_checkpoint
from tradewright.callbacks.curves import Curves
from tradewright.data.ranges import Range
from tradewright.env.discrete9 import Discrete9
from tradewright.env.market_tensors import MarketTensors
from tradewright.env.portfolio_state import PORTFOLIO
from tradewright.features.pipeline import build_features
from tradewright.features.price_volume import PriceVolume
from tradewright.model.mlp import MLP
from tradewright.strategy.policy import Policy

MODEL = partial(MLP, hidden=[16])


def ppo_of(setting, **keys) -> PPO:
    known = {"total_frames": 512, "num_envs": 8, "rollout_steps": 16, "num_minibatches": 4, "iterations_per_epoch": 1}
    return PPO(setting=setting, model=MODEL, **{**known, **keys})


def trainer_of(directory: Path, epochs: int, callbacks=()) -> lightning.Trainer:
    return lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        default_root_dir=directory,
        callbacks=list(callbacks),
        plugins=[AtomicCheckpointIO()],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=bool(callbacks),
        num_sanity_val_steps=0,
    )


def gae_by_hand(value, next_value, reward, done, terminated, gamma, lam):
    """Backward recursion of Schulman et al. 2016, eq. 16, in plain floats."""
    advantage, running = [0.0] * len(value), 0.0
    for t in reversed(range(len(value))):
        delta = reward[t] + gamma * next_value[t] * (not terminated[t]) - value[t]
        running = delta + gamma * lam * (not done[t]) * running
        advantage[t] = running
    return advantage


def test_advantages_equal_the_backward_recursion() -> None:
    rng = np.random.default_rng(0)
    value, next_value, reward = (torch.tensor(rng.normal(size=(40, 3)), dtype=torch.float32) for _ in range(3))
    terminated = torch.tensor(rng.random((40, 3)) < 0.1)
    truncated = torch.tensor(rng.random((40, 3)) < 0.1) & ~terminated
    done = terminated | truncated
    advantage, target = advantages(
        value_SB=value,
        next_value_SB=next_value,
        reward_SB=reward.double(),
        terminated_SB=terminated,
        truncated_SB=truncated,
        gamma=0.97,
        gae_lambda=0.9,
    )
    for b in range(3):
        columns = [x[:, b].tolist() for x in (value, next_value, reward, done, terminated)]
        np.testing.assert_allclose(advantage[:, b], gae_by_hand(*columns, 0.97, 0.9), rtol=2e-4, atol=2e-5)
    np.testing.assert_allclose(target, advantage + value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("env", [None, Discrete9(window=2, episode_bars=64)])
@torch.no_grad()
def test_policy_ratio_is_one_before_the_first_update(setting_of, env) -> None:
    """The log-probabilities of the lean rollout are those of TorchRL's distributions."""
    torch.manual_seed(0)
    agent = ppo_of(setting_of(**({"env": env} if env else {})))
    batch = agent.stream().collect()
    terms = agent.loss(batch)
    assert float(terms["kl_approx"]) == pytest.approx(0.0, abs=1e-6)
    assert float(terms["clip_fraction"]) == 0.0
    np.testing.assert_allclose(
        batch["state_value"], agent.critic(batch["index"], batch["portfolio"]), rtol=1e-5, atol=1e-6
    )


def test_same_seed_twice_is_equal_and_another_seed_differs(setting_of, tmp_path: Path) -> None:
    def weights(seed: int) -> torch.Tensor:
        lightning.seed_everything(seed, verbose=False)
        agent = ppo_of(setting_of(seed=seed))
        trainer_of(tmp_path, 2).fit(agent, AgentDataModule(agent))
        return torch.nn.utils.parameters_to_vector(agent.parameters()).detach()

    first = weights(1)
    assert torch.equal(first, weights(1))
    assert not torch.equal(first, weights(2))


@pytest.mark.row("B46")
@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
def test_resumed_training_equals_uninterrupted_training_bit_for_bit(setting_of, tmp_path: Path) -> None:
    def fit(folder: Path, epochs: int, resume: bool = False) -> tuple[PPO, Curves, Path]:
        lightning.seed_everything(0, verbose=False)
        agent = ppo_of(setting_of())
        curves = Curves()
        callbacks = [BestCheckpoint(directory=folder), LastCheckpoint(directory=folder), curves]
        checkpoint = newest_checkpoint(folder) if resume else None
        trainer = trainer_of(folder, epochs, callbacks)
        trainer.fit(agent, AgentDataModule(agent), ckpt_path=checkpoint, weights_only=True)
        return agent, curves, Path(callbacks[0].best_model_path)

    whole, whole_curves, whole_best = fit(tmp_path / "whole", 4)
    fit(tmp_path / "parts", 2)
    parts, parts_curves, parts_best = fit(tmp_path / "parts", 4, resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[name]), name
    assert whole_curves.curves == parts_curves.curves
    assert whole_best.name == parts_best.name
    streams = [torch.load(tmp_path / f / "last.ckpt", weights_only=True)["AgentDataModule"] for f in ("whole", "parts")]
    assert str(streams[0]) == str(streams[1])


def test_agent_learns_a_market_whose_next_return_follows_from_the_last(setting_of, test_sharpe, tmp_path: Path) -> None:
    """Known optimum: side with the last return. A random policy loses its costs; the agent must beat Sharpe 2."""
    torch.set_num_threads(1)
    lightning.seed_everything(0, verbose=False)
    setting = setting_of(signal=0.6, num_bars=2000)
    agent = ppo_of(
        setting, total_frames=60_000, num_envs=32, rollout_steps=32, iterations_per_epoch=10, lr=1e-3, gamma=0.5
    )
    before = test_sharpe(agent)
    trainer_of(tmp_path, agent.max_epochs).fit(agent, AgentDataModule(agent))
    after = test_sharpe(agent)
    assert after > 2.0 > before


def test_policy_decides_alike_alone_and_in_a_batch_and_on_other_data(setting_of, panel_of, tmp_path: Path) -> None:
    """A policy on two instruments decides each as it would alone, at half the weight (row B53's batch == single)."""
    torch.manual_seed(0)
    setting = setting_of()
    agent = ppo_of(setting)
    with torch.no_grad():
        agent.actor.head.weight.mul_(100)
    both = panel_of(100, 2)
    feature_set = PriceVolume(short_window=5, long_window=12, normalise="none")
    rows = Range(20, 60)

    def decide(panel) -> np.ndarray:
        features, _ = build_features(feature_set, panel, Range(0, 50), tmp_path)
        return Policy(agent=agent).decide(panel, features, rows).weights_TN

    together = decide(both)
    for n in range(2):
        columns = {
            f"{key}_TN": getattr(both, f"{key}_TN")[:, n : n + 1]
            for key in ("open", "high", "low", "close", "volume", "tradable")
        }
        alone = replace(both, instruments=both.instruments[n : n + 1], **columns, fingerprint=f"alone{n}")
        np.testing.assert_allclose(decide(alone)[:, 0], together[:, n] * 2, atol=1e-6)


def test_acting_restores_the_features_of_the_training_market(setting_of) -> None:
    agent = ppo_of(setting_of())
    trained_on = agent.inputs.bars.features
    market = MarketTensors.build(agent.setting.stage.panel, agent.setting.stage.features)
    agent.act({"index": torch.tensor([50]), "portfolio": torch.zeros(1, len(PORTFOLIO))}, market, None)
    assert agent.inputs.bars.features is trained_on


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"lr": 0.0}, "lr must be > 0, was 0"),
        ({"num_minibatches": 3}, r"num_minibatches must divide num_envs \* rollout_steps = 128, was 3"),
        ({"gamma": 1.5}, r"gamma must be in \(0, 1\], was 1.5"),
        ({"clip": 0.0}, r"clip must be in \(0, 1\), was 0"),
        ({"rollout_steps": 0}, "rollout_steps must be > 0, was 0"),
    ],
)
def test_bad_arguments_are_refused(setting_of, keys: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ppo_of(setting_of(), **keys)
