"""PPO: a policy ratio of one before the first update, schedules, the stop, learning, and bit-exact continuation."""

import math
from dataclasses import replace
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from agents import StopAfter, a2c_of, fit, ppo_of, trainer_of
from tensordict import TensorDict

from tradewright.algorithm.data_module import AgentDataModule
from tradewright.algorithm.ppo import PPO
from tradewright.callbacks.checkpoints import BestCheckpoint, LastCheckpoint, newest_checkpoint
from tradewright.callbacks.curves import Curves
from tradewright.callbacks.health import TrainHealth
from tradewright.data.ranges import Range
from tradewright.env.discrete9 import Discrete9
from tradewright.env.market_tensors import MarketTensors
from tradewright.env.portfolio_state import PORTFOLIO
from tradewright.errors import ConfigError
from tradewright.features.pipeline import build_features
from tradewright.features.price_volume import PriceVolume
from tradewright.strategy.policy import Policy


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


def test_minibatches_are_a_partition_of_the_rollout_in_another_order_each_pass(setting_of) -> None:
    agent = ppo_of(setting_of(), num_passes=2)
    stream = agent.stream()
    whole: list[TensorDict] = []
    collect = stream.collect
    stream.collect = lambda: whole.append(collect()) or whole[-1]
    batches = list(stream.iteration())
    assert [len(batch) for batch in batches] == [32] * 8
    rows = lambda part: sorted(map(tuple, torch.cat([part["action"], part["advantage"]], 1).tolist()))  # noqa: E731
    passes = [torch.cat([b["advantage"] for b in batches[first : first + 4]]) for first in (0, 4)]
    for first in (0, 4):
        assert rows(torch.cat(batches[first : first + 4])) == rows(whole[0])
    assert not torch.equal(*passes)
    assert not torch.equal(passes[0], whole[0]["advantage"])


def test_gradients_are_clipped_to_the_norm_of_the_trainer(setting_of, tmp_path: Path) -> None:
    norms = []

    class Norms(lightning.Callback):
        def on_before_zero_grad(self, trainer, module, optimizer) -> None:
            grads = [p.grad for p in module.parameters() if p.grad is not None]
            if grads:
                norms.append(float(torch.cat([g.flatten() for g in grads]).norm()))

    for keys in ({}, {"gradient_clip_val": 0.01}):
        lightning.seed_everything(0, verbose=False)
        fit(ppo_of(setting_of()), tmp_path, 1, [Norms()], **keys)
    free, clipped = norms[: len(norms) // 2], norms[len(norms) // 2 :]
    assert min(free) > 0.02
    assert max(clipped) == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize(("total_frames", "max_epochs"), [(512, None), (100_000, 4), (128, 4)])
def test_schedules_end_where_the_training_does(
    setting_of, tmp_path: Path, total_frames: int, max_epochs: int | None
) -> None:
    """Linear in the frames before each iteration: 4 iterations give 0, 1/4, 2/4 and 3/4 of the way.

    So they do where the trainer is told how many epochs there are, however many ``total_frames`` would need.
    """
    agent = ppo_of(
        setting_of(), total_frames=total_frames, lr=1e-3, lr_schedule="linear", entropy_coefficient=0.4,
        final_entropy_coefficient=0.0,
    )  # fmt: skip
    seen = []

    class Watch(lightning.Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
            seen.append((trainer.optimizers[0].param_groups[0]["lr"], float(module.loss.entropy_coeff)))

    fit(agent, tmp_path, max_epochs, [Watch()])
    expected = [(1e-3 * (1 - k / 4), 0.4 * (1 - k / 4)) for k in range(4) for _ in range(16)]
    np.testing.assert_allclose(seen, expected, rtol=1e-6)


def test_stop_by_divergence_skips_the_rest_of_the_iteration(setting_of, tmp_path: Path) -> None:
    """The step that is too far, and those after it, change neither weights nor moments; the next rollout learns on."""
    weights, kls = [], []

    class Watch(lightning.Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
            moments = [x for state in trainer.optimizers[0].state.values() for x in state.values()]
            weights.append(torch.cat([x.detach().flatten() for x in (*module.parameters(), *moments)]))
            kls.append(float(module._newest["kl"]))

    lightning.seed_everything(0, verbose=False)
    agent = ppo_of(setting_of(), lr=1e-2, target_kl=0.01, total_frames=256)
    data = fit(agent, tmp_path, callbacks=[Watch()])
    assert len(weights) == 32
    assert data.stream.frames == 256
    for first in (0, 16):
        part, kl = weights[first : first + 16], np.array(kls[first : first + 16])
        stop = int(np.argmax(kl > 0.01))
        assert 0 < stop < 15
        assert all(torch.equal(part[k], part[stop - 1]) for k in range(stop, 16))
        assert all(not torch.equal(part[k], part[k - 1]) for k in range(1, stop))
        assert (kl[:stop] <= 0.01).all()
        assert (kl[stop:] == kl[stop]).all()
    assert not torch.equal(weights[16], weights[15])


@pytest.mark.row("B21")
def test_option_of_the_bot_has_its_numbers() -> None:
    from omegaconf import OmegaConf

    from tradewright.paths import shipped

    node = OmegaConf.load(shipped("conf") / "algorithm" / "ppo_bot.yaml")
    assert node.num_envs * node.rollout_steps == 2048
    assert (node.gae_lambda, node.clip) == (0.95, 0.2)
    assert node.final_entropy_coefficient < node.entropy_coefficient


@pytest.mark.row("B27")
@pytest.mark.parametrize("make", [ppo_of, a2c_of])
def test_episodes_set_the_length_of_the_training(setting_of, make) -> None:
    agent = make(setting_of(), episodes=1000)
    assert agent.total_frames == 1000 * 64
    assert agent.max_epochs == math.ceil(64_000 / agent.frames_per_epoch)


@pytest.mark.row("B22")
def test_episode_returns_are_logged_as_they_end(setting_of, tmp_path: Path) -> None:
    """An episode of 16 bars ends in every rollout of 16 steps: the mean return is the mean sum of its rewards."""
    logged = []

    class Watch(lightning.Callback):
        def on_train_epoch_end(self, trainer, module) -> None:
            figures = {key: float(value) for key, value in trainer.callback_metrics.items()}
            logged.append((figures["train/episode_return"], 16 * figures["train/mean_reward"]))
            assert figures["train/episode_length"] == 16

    setting = setting_of(env=Discrete9(window=2, episode_bars=16))
    fit(ppo_of(setting), tmp_path, 2, [Watch()])
    np.testing.assert_allclose(*np.array(logged).T, rtol=1e-4)


@pytest.mark.row("N8")
def test_continuous_control_trains_on_synthetic_data(setting_of, tmp_path: Path) -> None:
    setting = setting_of(signal=0.3)
    agent = ppo_of(setting)
    fit(agent, tmp_path)
    assert setting.env.action_kind == "continuous"
    assert setting.stage.panel.is_synthetic
    positions = Policy(agent=agent).decide(setting.stage.panel, setting.stage.features, Range(400, 420))
    assert np.isfinite(positions.weights_TN).all()


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
    def train(folder: Path, epochs: int, resume: bool = False) -> tuple[PPO, Curves, Path]:
        lightning.seed_everything(0, verbose=False)
        agent = ppo_of(setting_of(), final_entropy_coefficient=0.01, lr_schedule="linear", target_kl=0.001, lr=3e-3)
        curves = Curves()
        callbacks = [BestCheckpoint(directory=folder), LastCheckpoint(directory=folder), curves, StopAfter(epochs)]
        checkpoint = newest_checkpoint(folder) if resume else None
        trainer = trainer_of(folder, 4, callbacks)
        trainer.fit(agent, AgentDataModule(agent), ckpt_path=checkpoint, weights_only=True)
        assert trainer.current_epoch == epochs
        return agent, curves, Path(callbacks[0].best_model_path)

    whole, whole_curves, whole_best = train(tmp_path / "whole", 4)
    train(tmp_path / "parts", 2)
    parts, parts_curves, parts_best = train(tmp_path / "parts", 4, resume=True)
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
        ({"lr_schedule": "cosine"}, "lr_schedule must be one of constant, linear, was 'cosine'"),
        ({"target_kl": 0.0}, "target_kl must be > 0, was 0"),
        ({"value_clip": -1.0}, "value_clip must be > 0, was -1"),
        ({"entropy_coefficient": -0.1}, "entropy_coefficient must be >= 0, was -0.1"),
        ({"final_entropy_coefficient": -0.1}, "final_entropy_coefficient must be >= 0, was -0.1"),
        ({"num_minibatches": 128}, "normalise_advantage must be false for minibatches of one frame"),
    ],
)
def test_bad_arguments_are_refused(setting_of, keys: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ppo_of(setting_of(), **keys)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # of torch 2.13, when it compiles
@pytest.mark.parametrize("make", [ppo_of, a2c_of])
def test_compiled_loss_learns_the_same_and_is_compiled_once(setting_of, tmp_path: Path, make) -> None:
    """Weights after two epochs agree to rounding; fixed shapes: nothing is compiled a second time."""
    found = []
    for is_compiled in (False, True):
        lightning.seed_everything(0, verbose=False)
        agent = make(setting_of(), compile=is_compiled, lr_schedule="linear", final_entropy_coefficient=0.1)
        with torch._dynamo.config.patch(error_on_recompile=True):
            fit(agent, tmp_path, 2, gradient_clip_val=0.5)
        found.append(torch.nn.utils.parameters_to_vector(agent.parameters()).detach())
    np.testing.assert_allclose(found[1], found[0], atol=1e-4)


def test_compiling_without_a_compiler_is_refused(setting_of, monkeypatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match=r"algorithm.compile needs a C\+\+ compiler, found none of no-such-compiler"):
        ppo_of(setting_of(), compile=True)


@pytest.mark.row("N68")
@pytest.mark.row("B22")
def test_device_is_selected_and_logged(setting_of, tmp_path: Path, caplog) -> None:
    with caplog.at_level("INFO", logger="tradewright.callbacks.health"):
        trainer = trainer_of(tmp_path, 1, [TrainHealth()])
        agent = ppo_of(setting_of())
        trainer.fit(agent, AgentDataModule(agent))
    assert "device: cpu (CPUAccelerator)" in caplog.text
