"""``algorithm=multitask`` learns what is planted, each head from its own loss, and resumes to the bit."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from killing import Kill, KilledError
from label_cases import HORIZON, READY, fit, multitask_of, planted_market, trainer_of

from tradewright.algorithm.label_batches import LabelBatch, LabelDataModule
from tradewright.algorithm.multitask import Multitask
from tradewright.callbacks.checkpoints import BestCheckpoint, LastCheckpoint, newest_checkpoint
from tradewright.callbacks.curves import Curves
from tradewright.callbacks.health import TrainHealth
from tradewright.callbacks.progress import TrainingProgress
from tradewright.callbacks.throughput import Throughput
from tradewright.data.ranges import Range
from tradewright.errors import DataError, RunError
from tradewright.evaluate.forecasts import forecast_figures
from tradewright.model.mlp import MLP
from tradewright.model.tcn import TCN
from tradewright.target.label_sets import LabelledMarket
from tradewright.target.labels import ACTIONS

PARTS = ("side", "size", "horizon")
ENCODERS = {
    "lstm": None,
    "mlp": lambda **widths: MLP(hidden=[32], **widths),
    "tcn": lambda **widths: TCN(channels=16, hidden=[32], **widths),
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def market() -> LabelledMarket:
    return planted_market()


@pytest.fixture
def batch(market: LabelledMarket) -> LabelBatch:
    return next(iter(multitask_of(market).batches))


# Learning


@pytest.mark.row("R30")
@pytest.mark.row("R31")
@pytest.mark.parametrize("encoder", ENCODERS)
def test_planted_side_size_and_return_are_learnt(encoder: str, tmp_path) -> None:
    keys = {} if ENCODERS[encoder] is None else {"model": ENCODERS[encoder]}
    market = planted_market(4_000)
    module = fit(multitask_of(market, epochs=15, lr=1e-2, lr_schedule="linear", **keys), tmp_path)
    sets = module.sets
    figures = forecast_figures(sets, sets.test, module.predict(market.features, sets.test.row_B))
    assert figures["side_balanced_accuracy"] > 0.9
    assert figures["side_accuracy"] > figures["side_majority_accuracy"] + 0.2
    assert figures["size_mse"] < 0.3 * figures["size_mse_of_mean"]
    assert figures["horizon_mse"] < 0.3 * figures["horizon_mse_of_mean"]


def test_labels_of_nothing_are_not_learnt(tmp_path) -> None:
    """The control: with features in random order nothing beats the baselines on the test bars."""
    market = planted_market()
    x_TNF = np.array(market.features.x_TNF)
    x_TNF[READY:] = np.random.default_rng(5).permutation(x_TNF[READY:])
    market = replace(market, features=replace(market.features, x_TNF=x_TNF))
    module = fit(multitask_of(market, epochs=2), tmp_path)
    sets = module.sets
    figures = forecast_figures(sets, sets.test, module.predict(market.features, sets.test.row_B))
    assert figures["side_balanced_accuracy"] < 0.45
    assert figures["horizon_skill"] < 0.05


# Loss


@pytest.mark.row("R29")
def test_parts_of_the_loss_are_those_of_their_formulas_and_add_up(market, batch) -> None:
    module = multitask_of(market, side_weight=0.5, size_weight=2.0, horizon_weight=3.0)
    with torch.no_grad():
        said = module(batch.window_BWF)
        found = {name: float(value) for name, value in module.losses(module.parts(said, batch)).items()}
    logits_BL, right_B = said.logits_BL.double().numpy(), batch.side_B.numpy()
    log_sum_B = np.log(np.exp(logits_BL).sum(axis=1))
    side = float(np.mean(log_sum_B - logits_BL[np.arange(len(right_B)), right_B]))
    train = module.sets.train
    has_side_B = right_B != ACTIONS.index("HOLD")
    entries = train.size_B[train.side_B != ACTIONS.index("HOLD")]
    size_B = (said.size_B.double().numpy() - batch.size_B.double().numpy())[has_side_B] / entries.std()
    right_horizon_B = (batch.horizon_B.double().numpy() - train.horizon_B.mean()) / train.horizon_B.std()
    horizon = float(np.mean((said.horizon_B.double().numpy() - right_horizon_B) ** 2))
    expected = {"side_loss": side, "size_loss": float(np.mean(size_B**2)), "horizon_loss": horizon}
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-5), name
    total = 0.5 * expected["side_loss"] + 2.0 * expected["size_loss"] + 3.0 * expected["horizon_loss"]
    assert found["loss"] == pytest.approx(total, rel=1e-5)


@pytest.mark.row("R29")
@pytest.mark.parametrize("part", PARTS)
def test_each_part_reaches_the_encoder_and_its_own_head_alone(market, batch, part: str) -> None:
    weights = {f"{name}_weight": float(name == part) for name in PARTS}
    module = multitask_of(market, **weights)
    module.losses(module.parts(module(batch.window_BWF), batch))["loss"].backward()
    for name in PARTS:
        grads = [one.grad for one in module.heads[name].parameters()]
        has_gradient = any(one is not None and bool((one != 0).any()) for one in grads)
        assert has_gradient == (name == part), name
    assert all(bool((one.grad != 0).any()) for one in module.model.parameters())


def test_batch_of_holds_has_no_size_loss_and_finite_gradients(market, batch) -> None:
    module = multitask_of(market)
    hold = torch.full_like(batch.side_B, ACTIONS.index("HOLD"))
    holds = batch._replace(side_B=hold, size_B=torch.full_like(batch.size_B, torch.nan))
    losses = module.losses(module.parts(module(holds.window_BWF), holds))
    assert float(losses["size_loss"].detach()) == 0.0
    losses["loss"].backward()
    assert all(bool(torch.isfinite(one.grad).all()) for one in module.parameters())


def test_heads_start_at_the_mean_size(market, batch) -> None:
    module = multitask_of(market)
    with torch.no_grad():
        size_B = module(batch.window_BWF).size_B
    assert float(size_B.mean()) == pytest.approx(module.sets.size[0], rel=0.3)


# Examples


def test_rows_have_their_window_and_targets_that_end_in_their_own_range(market) -> None:
    window = 4
    sets = market.sets(window=window, horizon_bars=HORIZON)
    for name in ("train", "validation", "test"):
        row_B, rows = getattr(sets, name).row_B, getattr(market.ranges, name)
        assert row_B.min() == max(rows.start, READY + window - 1)
        assert row_B.max() == rows.stop - HORIZON - 1
        assert len(row_B) == row_B.max() - row_B.min() + 1
    close_T, open_T = market.panel.close_TN[:, 0], market.panel.open_TN[:, 0]
    row = int(sets.train.row_B[100])
    assert sets.train.horizon_B[100] == pytest.approx(close_T[row + HORIZON] / open_T[row + 1] - 1.0)


def test_prices_after_a_range_say_nothing_of_its_labels(market) -> None:
    stop = market.ranges.train.stop
    before = market.sets(window=4, horizon_bars=HORIZON).train
    prices = {name: np.array(getattr(market.panel, name)) for name in ("open_TN", "high_TN", "low_TN", "close_TN")}
    for price_TN in prices.values():
        price_TN[stop:] *= 3.0
    after = replace(market, panel=replace(market.panel, **prices)).sets(window=4, horizon_bars=HORIZON).train
    assert np.array_equal(after.horizon_B, before.horizon_B)
    assert np.array_equal(after.row_B, before.row_B)


def test_labels_that_look_ahead_shorten_every_range_by_their_reach(market) -> None:
    ahead = replace(market, target=replace(market.target, horizon_bars=20))
    sets = ahead.sets(window=4, horizon_bars=HORIZON)
    assert sets.validation.row_B.max() == market.ranges.validation.stop - 21


def test_range_without_labelled_bars_is_refused_in_one_line(market) -> None:
    short = replace(market, ranges=replace(market.ranges, validation=Range(1_000, 1_004)))
    with pytest.raises(DataError, match=r"target: no bar of the validation range of 'test pool' has 4 known bars"):
        short.sets(window=4, horizon_bars=HORIZON)


def test_forecasts_of_bars_without_a_window_are_undefined(market) -> None:
    module = multitask_of(market)
    said = module.forecast(market.features, Range(5, 40))
    first = READY + 3 - 5
    assert np.isnan(said.probabilities_RL[:first]).all()
    assert np.isnan(said.size_R[:first]).all()
    np.testing.assert_allclose(said.probabilities_RL[first:].sum(axis=1), 1.0)
    one = module.forecast(market.features, Range(30, 31))
    np.testing.assert_allclose(one.probabilities_RL[0], said.probabilities_RL[25], rtol=1e-5)
    assert np.isnan(module.forecast(market.features, Range(2, 6)).horizon_R).all()


def test_forecast_does_not_see_later_features(market) -> None:
    module = multitask_of(market)
    x_TNF = np.array(market.features.x_TNF)
    x_TNF[301:] = 9.0
    changed = replace(market.features, x_TNF=x_TNF)
    before, after = (module.forecast(features, Range(250, 301)) for features in (market.features, changed))
    assert np.array_equal(before.probabilities_RL, after.probabilities_RL)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"window": 0}, "window must be >= 1, was 0"),
        ({"batch_size": 0}, "batch_size must be >= 1, was 0"),
        ({"lr": 0.0}, "lr must be > 0, was 0.0"),
        ({"lr_schedule": "step"}, "lr_schedule must be one of cosine, linear, constant, was 'step'"),
        ({"weight_decay": -0.1}, "weight_decay must be >= 0, was -0.1"),
        ({"size_weight": -1.0}, "size_weight must be >= 0, was -1.0"),
        ({"side_weight": 0, "size_weight": 0, "horizon_weight": 0}, "must not all be 0"),
    ],
)
def test_value_out_of_range_is_refused(market, keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        multitask_of(market, **keys)


# Curves and checkpoints


def trained(
    module: Multitask, folder: Path, *, is_resumed: bool = False, kill: int | None = None
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Train with every callback of a run; return the state and the curves."""
    curves = Curves()
    callbacks = [
        BestCheckpoint(directory=folder, monitor="validation/loss", mode="min"),
        LastCheckpoint(directory=folder, every_n_steps=4), TrainHealth(monitor="validation/loss", mode="min"),
        TrainingProgress(monitor="validation/loss"), Throughput(), curves,
        *([] if kill is None else [Kill(kill)]),
    ]  # fmt: skip
    checkpoint = newest_checkpoint(folder) if is_resumed else None
    assert is_resumed == (checkpoint is not None)
    try:
        fit(module, folder, checkpoint, callbacks=callbacks)
    except KilledError:
        assert kill is not None
    return {name: one.clone() for name, one in module.state_dict().items()}, curves.curves


@pytest.fixture(scope="module")
def small() -> LabelledMarket:
    return planted_market(num_swaps=700)


@pytest.mark.row("R29")
def test_every_part_of_the_loss_has_a_curve(small, tmp_path) -> None:
    module = multitask_of(small)
    _, curves = trained(module, tmp_path)
    for span in ("train", "validation"):
        for name in ("loss", "side_loss", "size_loss", "horizon_loss"):
            steps, values = curves[f"{span}/{name}"]
            assert steps[-1] == 2 * module.frames_per_epoch, name
            assert np.isfinite(values).all()
        total = sum(np.array(curves[f"{span}/{name}_loss"][1]) for name in PARTS)
        np.testing.assert_allclose(curves[f"{span}/loss"][1], total, rtol=1e-6)


@pytest.mark.parametrize("where", ["at the end of an epoch", "within an epoch"])
def test_resumed_training_equals_the_one_that_was_not_killed(small, where: str, tmp_path) -> None:
    """Within an epoch the last checkpoint, of every fourth step, lies between two points of the curves."""
    num = multitask_of(small).frames_per_epoch
    assert num >= 6
    kill = num if where == "at the end of an epoch" else num + (4 - num % 4) + 1
    expected = trained(multitask_of(small, log_every=3), tmp_path / "whole")
    trained(multitask_of(small, log_every=3), tmp_path / "killed", kill=kill)
    found = trained(multitask_of(small, log_every=3), tmp_path / "killed", is_resumed=True)
    for name, one in expected[0].items():
        assert torch.equal(found[0][name], one), name
    assert found[1] == expected[1]


def test_same_seed_is_bit_equal_and_another_is_not(small, tmp_path) -> None:
    states = [fit(multitask_of(small, epochs=1, seed=seed), tmp_path).state_dict() for seed in (1, 1, 2)]
    assert all(torch.equal(one, states[1][name]) for name, one in states[0].items())
    assert not torch.equal(states[0]["heads.side.weight"], states[2]["heads.side.weight"])


def test_calibration_travels_with_the_weights(small, tmp_path) -> None:
    module = fit(multitask_of(small), tmp_path)
    assert module.calibration != 1.0
    again = multitask_of(small, seed=3)
    again.load_state_dict(module.state_dict())
    assert again.calibration == module.calibration


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 32}, r"was trained with batch_size=64, now it is 32; resume with the same data"),
        ({"window": 6}, r"was trained with num_examples=\d+, now it is \d+"),
    ],
)
def test_checkpoint_of_other_data_is_refused(small, change: dict[str, Any], message: str, tmp_path) -> None:
    trained(multitask_of(small, epochs=1), tmp_path)
    with pytest.raises(RunError, match=message):
        fit(multitask_of(small, **change), tmp_path, tmp_path / "last.ckpt")


def test_trainer_that_gathers_batches_is_refused(small, tmp_path) -> None:
    module = multitask_of(small)
    trainer = trainer_of(tmp_path, max_epochs=1, accumulate_grad_batches=2)
    with pytest.raises(Exception, match=r"trainer.accumulate_grad_batches must be 1 for algorithm=multitask"):
        trainer.fit(module, LabelDataModule(module))
