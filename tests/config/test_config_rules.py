"""Rules between groups: keys without effect, algorithm and environment, choices on the validation range, the seed."""

import re

import pytest

from tradewright.config.compose import Composer
from tradewright.config.rules import (
    Choice,
    Finding,
    apply_rules,
    describe,
    encoder_has_bars,
    memory_fits_algorithm,
)
from tradewright.paths import shipped


def findings(composer: Composer, *overrides: str) -> list[Finding]:
    cfg = composer.compose(list(overrides))
    return apply_rules(describe(cfg, cfg.hydra))


def test_default_configuration_has_no_findings(composer: Composer) -> None:
    assert findings(composer) == []


@pytest.mark.parametrize(
    ("overrides", "given"),
    [
        (["lora.r=32"], "lora.r"),
        (["++lora.r=32"], "lora.r"),
        (["lora=r16"], "lora=r16"),
    ],
)
def test_language_model_key_without_language_model_warns_by_name(
    composer: Composer, overrides: list[str], given: str
) -> None:
    (found,) = findings(composer, *overrides)
    assert found == Finding(f"{given} has no effect: model=small is not a language model", is_error=False)


@pytest.mark.parametrize("overrides", [["model=language", "lora.r=32"], ["lora=none"], ["backtest.cash=3"]])
def test_nothing_is_said_where_the_keys_have_effect_or_are_not_set(composer: Composer, overrides: list[str]) -> None:
    assert findings(composer, *overrides) == []


def test_algorithm_that_cannot_act_in_the_environment_is_refused_with_what_fits(composer: Composer) -> None:
    (found,) = findings(composer, "algorithm=dqn")
    assert found.is_error
    assert found.message == (
        "algorithm=dqn needs a discrete env; env=continuous is continuous. Use env=discrete or algorithm=ppo."
    )
    assert findings(composer, "algorithm=dqn", "env=discrete") == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"backtest": {"costs": {"fixed_fee": 2.0}}},
            "backtest.costs.fixed_fee must be off, was 2.0: algorithm=? follows",
        ),
        ({"backtest": {"stop_loss": 0.1}}, "backtest.stop_loss must be off, was 0.1: algorithm=? follows"),
        ({"env": {"is_market": False}}, "algorithm=? needs an env that trades a market; env=? does not"),
        ({"backtest": {"stop_loss": None, "costs": {"fixed_fee": 0.0}}, "env": {"is_market": True}}, None),
        ({}, None),
    ],
)
def test_algorithm_that_differentiates_the_accounting_refuses_what_makes_it_jump(
    content: dict, message: str | None
) -> None:
    smooth = {"needs_market": True, "must_be_off": ["backtest.stop_loss", "backtest.costs.fixed_fee"]}
    found = [finding.message for finding in apply_rules(Choice(content={**content, "algorithm": smooth}))]
    assert len(found) == (message is not None)
    assert all(text.startswith(str(message)) for text in found)


def test_reward_without_effect_warns_by_name() -> None:
    choice = Choice(
        content={"algorithm": {"learns_from_reward": False}},
        options={"algorithm": "apg"},
        overridden=("reward.scale", "env.window"),
    )
    (found,) = apply_rules(choice)
    assert found == Finding("reward.scale is only logged: algorithm=apg does not learn from rewards", is_error=False)


@pytest.mark.parametrize(
    ("content", "keys"),
    [
        ({"algorithm": {"objective": "sharpe"}}, []),
        ({"task": {"objective": "test/sharpe"}}, ["task.objective"]),
        ({"task": {"objective": ["validation/sharpe", "test/cagr"]}}, ["task.objective"]),
        ({"task": {"objective": {"train/loss": "minimize"}}}, ["task.objective"]),
        ({"task": {"objective": {"validation/sharpe": "maximize"}}}, []),
        ({"callbacks": [{"monitor": "test/sharpe"}, {"monitor": "train/loss"}]}, ["callbacks[0].monitor"]),
        ({"callbacks": {"stop": {"monitor": "validation/sharpe"}}}, []),
    ],
)
def test_choices_outside_the_validation_range_are_refused(content: dict, keys: list[str]) -> None:
    found = apply_rules(Choice(content=content))
    assert [finding.message.partition(":")[0] for finding in found] == keys
    assert all(finding.is_error for finding in found)


def test_negative_seed_is_refused() -> None:
    assert [finding.message for finding in apply_rules(Choice(content={"seed": -1}))] == ["seed must be >= 0, was -1"]


def test_errors_come_before_warnings() -> None:
    choice = Choice(content={"seed": -1}, options={"model": "mlp"}, overridden=("lora.r",))
    assert [finding.is_error for finding in apply_rules(choice)] == [True, False]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"seed": 2**32}, "seed must be <= 4294967295, was 4294967296"),
        ({"name": "../evil"}, "name must be a folder below output_dir, was '../evil'"),
        ({"name": "/tmp/x"}, "name must be a folder below output_dir, was '/tmp/x'"),
        (
            {"task": {"strategy_kind": "learned"}, "strategy": {"is_learned": False}},
            "strategy=? is a rule and needs a task that judges rules, such as task=backtest; task=? trains",
        ),
        (
            {
                "task": {"learns": True},
                "trainer": {"devices": 2},
                "algorithm": {"action_kinds": ["discrete"]},
            },
            "trainer.devices must be 1, was 2: algorithm=? trains in one process",
        ),
    ],
)
def test_choices_that_would_fail_late_are_refused_early(content: dict, message: str) -> None:
    assert message in [finding.message for finding in apply_rules(Choice(content=content))]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"model": {"is_recurrent": True}}, "learns from single steps and cannot train the memory of"),
        ({"model": {"is_recurrent": True}, "algorithm": {"action_kinds": ["discrete"], "carries_memory": True}}, None),
        ({"model": {"needs_window": True}, "env": {"is_market": False}}, "encodes bars and env=. has none"),
        ({"model": {"needs_window": True}, "env": {"is_market": True}}, None),
    ],
)
def test_model_that_the_agent_cannot_use_is_refused(content: dict, message: str | None) -> None:
    choice = Choice({"algorithm": {"action_kinds": ["discrete"]}, **content})
    found = [*memory_fits_algorithm(choice), *encoder_has_bars(choice)]
    assert len(found) == (message is not None)
    if message is not None:
        assert re.search(message, found[0].message)


def shipped_errors(**options: str) -> list[str]:
    """Return what the rules refuse of shipped options, given by group."""
    choice = Choice({}, folders=(shipped("conf"),))
    content = {group: {"_target_": choice.targets(group)[option]} for group, option in options.items()}
    return [finding.message for finding in apply_rules(Choice(content, options, folders=choice.folders))]


@pytest.mark.parametrize(
    ("algorithm", "env", "model"),
    [("apg", "discrete9", "mlp"), ("apg", "cartpole", "mlp"), ("dqn", "pendulum", "mlp"), ("dqn", "continuous", "gru")],
)
def test_advice_is_itself_refused_by_nothing_new(algorithm: str, env: str, model: str) -> None:
    """A choice with two faults may keep the other one: each line advises on its own."""
    given = {"algorithm": algorithm, "env": env, "model": model}
    errors = shipped_errors(**given)
    assert len(errors) == len({error.split(" needs ")[0] for error in errors})
    for error in errors:
        advised = [word.rstrip(".").split("=") for word in error.split(" Use ")[1].split(" or ")]
        assert advised
        for group, option in advised:
            assert len(shipped_errors(**{**given, group: option})) < len(errors), (error, group, option)


def test_algorithm_that_lacks_both_its_actions_and_its_market_is_refused_once() -> None:
    (error,) = shipped_errors(algorithm="apg", env="cartpole")
    assert error.startswith(
        "algorithm=apg needs a continuous env that trades a market; env=cartpole is discrete and does"
    )
    assert "Use env=auto or env=continuous or env=portfolio or algorithm=a2c or" in error
