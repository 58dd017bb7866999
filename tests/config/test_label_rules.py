"""What goes with ``algorithm=multitask``, and what is refused in one line before anything is read."""

import pytest

from tradewright.config.compose import Composer, open_hydra
from tradewright.config.rules import apply_rules, describe


@pytest.fixture(scope="module")
def composer() -> Composer:
    return open_hydra()


def findings(composer: Composer, *overrides: str) -> tuple[list[str], list[str]]:
    """Return errors and warnings of the experiment with changes."""
    cfg = composer.compose(["experiment=rook_multitask", *overrides])
    found = apply_rules(describe(cfg, cfg.hydra))
    return tuple([one.message for one in found if one.is_error is kind] for kind in (True, False))


@pytest.mark.row("R37")
@pytest.mark.row("X5")
def test_experiment_has_the_values_of_the_source_system(composer) -> None:
    cfg = composer.compose(["experiment=rook_multitask"])
    node = cfg.algorithm
    assert (node.batch_size, node.lr, node.epochs, node.window) == (32, 5e-4, 10, 30)
    assert (cfg.lora.r, cfg.lora.lora_alpha) == (16, 32)
    other = composer.compose(["experiment=rook"])
    assert other.algorithm._target_ != node._target_
    assert findings(composer) == ([], [])


@pytest.mark.row("R37")
def test_adapter_composes_and_is_said_to_have_no_effect(composer) -> None:
    errors, warnings = findings(composer, "lora=r16", "lora.lora_alpha=32")
    assert errors == []
    assert warnings == [
        "lora.lora_alpha has no effect: model=lstm is not a language model",
        "lora=r16 has no effect: model=lstm is not a language model",
    ]


@pytest.mark.parametrize("model", ["lstm", "tcn", "mlp"])
@pytest.mark.parametrize("target", ["data_driven", "relaxed", "direction", "return"])
def test_networks_over_windows_and_targets_pass(composer, model: str, target: str) -> None:
    assert findings(composer, f"model={model}", f"target={target}") == ([], [])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model=tiny_gpt2", "algorithm=multitask trains a network over windows of features; model=tiny_gpt2 is a lang"),
        ("model=gru", "algorithm=multitask learns from single windows and cannot train the memory between steps of"),
        ("target=none", "target=none leaves algorithm=multitask without anything to learn. Use target=breakout_rule"),
        ("strategy=policy", "algorithm=multitask forecasts side, size and return; strategy=policy cannot decide by"),
        ("strategy=language_model", "algorithm=multitask forecasts side, size and return; strategy=language_model"),
        (
            "algorithm=ppo",
            "strategy=forecast needs a network that learns labels; algorithm=ppo does not. Use algorithm=",
        ),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(composer, override: str, message: str) -> None:
    errors, _ = findings(composer, override)
    assert len(errors) == 1
    assert errors[0].startswith(message)
    assert "\n" not in errors[0]


@pytest.mark.parametrize("env", ["cartpole", "none"])
def test_environment_without_bars_is_refused(composer, env: str) -> None:
    errors, _ = findings(composer, f"env={env}")
    assert any(one.startswith(f"algorithm=multitask learns labels of bars; env={env} has none") for one in errors)


def test_advice_names_models_that_fit(composer) -> None:
    errors, _ = findings(composer, "model=gru")
    assert errors[0].endswith("Use model=lstm or model=mlp or model=tcn.")
