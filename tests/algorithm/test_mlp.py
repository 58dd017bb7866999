"""Initial weights of the multilayer perceptron."""

import math

import pytest
import torch

from tradewright.model.mlp import MLP


def test_orthogonal_weights_have_gain_root_two_and_no_biases() -> None:
    first, second = (
        layer for layer in MLP(in_features=4, hidden=[32, 16]).layers if isinstance(layer, torch.nn.Linear)
    )
    torch.testing.assert_close(first.weight.T @ first.weight, 2.0 * torch.eye(4))
    torch.testing.assert_close(second.weight @ second.weight.T, 2.0 * torch.eye(16))
    assert not first.bias.any()
    assert not second.bias.any()


def test_uniform_weights_and_biases_fill_the_range_of_one_over_root_inputs() -> None:
    torch.manual_seed(0)
    model = MLP(in_features=4, hidden=[512], init="uniform")
    layer = model.layers[0]
    assert isinstance(layer, torch.nn.Linear)
    for numbers in (layer.weight.detach(), layer.bias.detach()):
        assert float(numbers.abs().max()) == pytest.approx(0.5, abs=0.01)
        assert float(numbers.abs().max()) <= 0.5
        assert float(numbers.std()) == pytest.approx(0.5 / math.sqrt(3.0), rel=0.1)


def test_unknown_initial_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="init must be one of orthogonal, uniform, was 'zero'"):
        MLP(in_features=4, hidden=[8], init="zero")
