"""Once-per-bar encoding: the same numbers as per window, also for gradients, other markets and several instruments."""

from functools import partial
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from agents import fit, ppo_of

from tradewright.algorithm.gather import gather_rows
from tradewright.algorithm.inputs import Bars, WindowInputs
from tradewright.algorithm.networks import Body
from tradewright.data.ranges import Range
from tradewright.env.continuous import Continuous
from tradewright.env.discrete9 import Discrete9
from tradewright.env.market_tensors import MarketTensors, gather_window
from tradewright.features.pipeline import build_features
from tradewright.features.price_volume import PriceVolume
from tradewright.model.encoder import BarModel
from tradewright.model.gru import GRU
from tradewright.model.lstm import LSTM
from tradewright.model.mlp import MLP
from tradewright.model.tcn import TCN, taps_of
from tradewright.strategy.policy import Policy

W, F, P = 20, 5, 3
MODELS = {
    "tcn": partial(TCN, channels=8, hidden=[16]),
    "mlp": partial(MLP, hidden=[16, 16]),
    "lstm": partial(LSTM, memory=16, hidden=[16]),
    "gru": partial(GRU, hidden=[16], memory=16),
}


def model_of(name: str, seed: int = 0) -> BarModel:
    torch.manual_seed(seed)
    return MODELS[name](in_features=W * F + P, window=W, num_features=F)


@pytest.mark.parametrize("window", [2, 3, 7, 11, 20, 31, 64])
@pytest.mark.parametrize("kernel", [2, 3, 5])
def test_field_is_exactly_the_window(window: int, kernel: int) -> None:
    """Every bar of the window has a say in the code, the bar before it has none."""
    assert 1 + sum((taps - 1) * dilation for taps, dilation in taps_of(window, kernel)) == window
    torch.manual_seed(0)
    model = TCN(
        in_features=window * 2, window=window, num_features=2, kernel=kernel, channels=4, hidden=[4], activation="silu"
    )
    features = torch.randn(1, window + 1, 2, requires_grad=True)
    model.encode_bars(features)[0, -1].sum().backward()
    is_seen = (features.grad[0] != 0).any(-1)
    assert not is_seen[0]
    assert is_seen[1:].all()


@pytest.mark.parametrize("window", [20, 31])
@torch.no_grad()
def test_convolution_once_per_bar_is_bit_identical_to_per_window(window: int) -> None:
    torch.manual_seed(0)
    model = TCN(in_features=window * 16, window=window, num_features=16, channels=32, hidden=[64])
    features = torch.randn(2, 700, 16)
    rows = torch.arange(window - 1, 700)
    at_once = model.encode_bars(features)
    for n in range(2):
        windows = gather_window(features[n], rows, window)
        assert torch.equal(at_once[n], model.encode(windows))
        assert torch.equal(at_once[n, :7], model.encode(windows[:7]))
        np.testing.assert_allclose(at_once[n, 5], model.encode(windows[5]), atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_once_per_bar_equals_per_window_with_its_gradients(name: str) -> None:
    features = torch.randn(1, 200, F, generator=torch.Generator().manual_seed(1))
    rows = torch.randint(W - 1, 200, (300,), generator=torch.Generator().manual_seed(2))
    others = torch.randn(300, P, generator=torch.Generator().manual_seed(3))
    found = []
    for is_at_once in (False, True):
        model = model_of(name)
        if is_at_once:
            code = model.encode_bars(features)[0][rows - W + 1]
            out = model.finish(code, others)
        else:
            out = model(torch.cat((gather_window(features[0], rows, W).flatten(-2), others), dim=-1))
        out.square().sum().backward()
        grads = [p.grad for p in model.parameters() if p.grad is not None]
        found.append([out.detach(), *grads])
    for per_window, at_once in zip(*found, strict=True):
        np.testing.assert_allclose(at_once, per_window, rtol=2e-4, atol=2e-4 * float(per_window.abs().max()))


@pytest.fixture
def market(panel_of, tmp_path: Path) -> MarketTensors:
    panel = panel_of(150, 3)
    features, _ = build_features(PriceVolume(short_window=5, long_window=12), panel, Range(0, 100), tmp_path)
    return MarketTensors.build(panel, features)


@pytest.mark.parametrize("name", ["mlp", "tcn", "lstm"])
@pytest.mark.parametrize("rows", [Range(0, 150), Range(60, 90)])
@torch.no_grad()
def test_body_finds_the_code_of_every_bar_of_every_instrument(market, name: str, rows: Range) -> None:
    """With many frames the whole range is encoded, with few each window; both see the same."""
    torch.manual_seed(0)
    body = Body(inputs=WindowInputs(env=Continuous(window=4), bars=Bars(market, rows)), model=MODELS[name])
    first = body.inputs.first
    assert first == max(rows.start, market.ready_from + 3)
    index = torch.cat([n * 150 + torch.arange(first, rows.stop) for n in range(3)])
    portfolio = torch.randn(len(index), body.inputs.num_portfolio)
    one_by_one = torch.cat([body(index[i : i + 1], portfolio[i : i + 1]) for i in range(len(index))])
    calls = []
    encode_bars = body.trunk.encode_bars
    body.trunk.encode_bars = lambda features: calls.append(features.shape) or encode_bars(features)
    many = body(index.repeat(2), portfolio.repeat(2, 1))
    assert calls == [(3, rows.stop - first + 3, market.features.shape[-1])]
    np.testing.assert_allclose(many, one_by_one.repeat(2, 1), atol=1e-5)
    with body.encoded(10_000):
        np.testing.assert_allclose(body(index[5:6], portfolio[5:6]), one_by_one[5:6], atol=1e-5)
    assert len(calls) == 2
    assert body._codes is None


@torch.no_grad()
def test_extra_value_of_a_body_joins_after_the_bars(market) -> None:
    torch.manual_seed(0)
    inputs = WindowInputs(env=Continuous(window=4), bars=Bars(market, Range(0, 150)))
    body = Body(inputs=inputs, model=MODELS["tcn"], extra_features=2)
    index, portfolio, extra = torch.arange(40, 140), torch.randn(100, inputs.num_portfolio), torch.randn(100, 2)
    at_once = body(index, portfolio, extra)
    one_by_one = torch.cat([body(index[i : i + 1], portfolio[i : i + 1], extra[i : i + 1]) for i in range(100)])
    np.testing.assert_allclose(at_once, one_by_one, atol=1e-5)


@pytest.mark.parametrize("name", ["mlp", "tcn"])
def test_training_is_the_same_with_index_and_window_observations(setting_of, tmp_path: Path, name: str) -> None:
    """The rollouts see the same bars and take the same actions; weights differ by rounding only."""
    found = []
    for observation in ("index", "window"):
        lightning.seed_everything(0, verbose=False)
        env = Discrete9(window=4, episode_bars=16, observation=observation)
        agent = ppo_of(setting_of(env=env), MODELS[name], num_envs=64, total_frames=2048)
        data = fit(agent, tmp_path)
        found.append((torch.nn.utils.parameters_to_vector(agent.parameters()).detach(), data.stream.world.bar_B))
    np.testing.assert_allclose(found[0][0], found[1][0], atol=2e-4)
    assert torch.equal(found[0][1], found[1][1])


@torch.no_grad()
def test_policy_encodes_the_judged_range_once(setting_of, panel_of, tmp_path: Path) -> None:
    """On another market, with the numbers of one decision after the other."""
    torch.manual_seed(0)
    agent = ppo_of(setting_of(), MODELS["tcn"])
    agent.actor.head.weight.mul_(100)
    panel, rows = panel_of(120, 2), Range(40, 100)
    features, _ = build_features(PriceVolume(short_window=5, long_window=12), panel, Range(0, 100), tmp_path)
    calls = []
    trunk = agent.actor.body.trunk
    encode, encode_bars = trunk.encode, trunk.encode_bars
    trunk.encode_bars = lambda x: calls.append("bars") or encode_bars(x)
    trunk.encode = lambda x: calls.append("window") or encode(x)
    positions = Policy(agent=agent).decide(panel, features, rows)
    assert calls == ["bars"]
    market = MarketTensors.build(panel, features)
    accounts = agent.env.accounts(market=market, rules=agent.rules, rows=rows, num_envs=2)
    for bar in range(5):
        weight_B = agent.env.target_weights(agent.act(accounts.observe(), market, None).action, accounts.view())
        np.testing.assert_allclose(positions.weights_TN[bar], weight_B / 2, atol=1e-6)
        accounts.step_weights(weight_B)
    assert agent.inputs.bars.market is not market


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: TCN(in_features=4, window=0, num_features=0, hidden=[4]), "env.window must be >= 2 bars"),
        (lambda: TCN(in_features=8, window=4, num_features=2, kernel=1, hidden=[4]), "kernel must be >= 2, was 1"),
        (lambda: TCN(in_features=8, window=4, num_features=2, channels=0, hidden=[4]), "channels must be >= 1, was 0"),
        (lambda: TCN(in_features=8, window=4, num_features=2, hidden=[4], activation="x"), "activation must be one of"),
        (lambda: GRU(in_features=8, hidden=[4], memory=0), "memory must be >= 1, was 0"),
    ],
)
def test_bad_models_are_refused(build, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("compiled", [False, True])
def test_gathered_rows_and_their_gradient_equal_the_lookup_of_torch(compiled: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    table, index = torch.randn(50, 7, generator=generator), torch.randint(0, 50, (4, 30), generator=generator)
    grad = torch.randn(4, 30, 7, generator=generator)

    def gathered(rows: torch.Tensor) -> torch.Tensor:
        return gather_rows(rows, index)

    found = []
    for lookup in (torch.compile(gathered, backend="aot_eager") if compiled else gathered, lambda rows: rows[index]):
        rows = table.clone().requires_grad_()
        out = lookup(rows)
        out.backward(grad)
        found.append((out.detach(), rows.grad))
    assert torch.equal(found[0][0], found[1][0])
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-5, atol=1e-6)
