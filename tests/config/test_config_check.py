"""The signature check: every row of the table of inputs, all faults at once, interpolations, what must be given."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tradewright.config.check import check, require_valid
from tradewright.config.compose import Composer, open_hydra
from tradewright.errors import ConfigError


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def faults(composer: Composer, *overrides: str) -> list[str]:
    """Return what a user would see, from composing or from the check."""
    try:
        return check(composer.compose(list(overrides)))
    except ConfigError as error:
        return str(error).splitlines()


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["algorithm=pppo"], "algorithm=pppo: no such option; did you mean 'ppo'?; options: dqn, ppo"),
        (["algorithm=transformer"], "algorithm=transformer: no such option; options: dqn, ppo"),
        (["lora=r16", "lora.r=abc"], "lora.r: expected int, was 'abc' (str)"),
        (["lora=r16", "lora.r=1.5"], "lora.r: expected int, was 1.5 (float)"),
        (["lora=r16", "lora.r=true"], "lora.r: expected int, was True (bool)"),
        (["lora=r16", "lora.r=null"], "lora.r: expected int, was null"),
        (["lora=r16", "lora.rr=3"], "lora.rr: no such key; did you mean 'r'?"),
        (["lora=r16", "+lora.rr=3"], "lora.rr: Adapter takes no 'rr'; did you mean 'r'?"),
        (["lora=r16", "++lora.rr=3"], "lora.rr: Adapter takes no 'rr'; did you mean 'r'?"),
        (["lora=r16", "lora.targets=[1]"], "lora.targets: expected str | list[str] | None, was [1] (list)"),
        (["lora=r16", "~lora.r"], "lora.r: must be given, Adapter has no default for it"),
        (["lora=r16", "lora.r=???"], "lora.r: must be given, it is '???'"),
        (["lora=r16", "lora._target_=mini.Adaptor"], "lora._target_: mini has no 'Adaptor'; did you mean 'Adapter'?"),
        (["lora=r16", "lora._target_=miny.Adapter"], "lora._target_: 'miny.Adapter' is outside the allowed packages"),
        (["lora=r16", "lora._target_=os.getcwd"], "lora._target_: 'os.getcwd' is outside the allowed packages"),
        (["lora=r16", "lora._target_=mini"], "lora._target_: 'mini' is outside the allowed packages"),
        (["lora=r16", "lora._target_=3"], "lora._target_: expected a dotted path, was 3"),
        (
            ["backtest.sizing=fil"],
            "backtest.sizing: expected 'fill' or 'decision', was 'fil' (str); did you mean 'fill'?",
        ),
        (["backtest.costs.fee_bps=x"], "backtest.costs.fee_bps: expected float, was 'x' (str)"),
        (["++backtest.costs.fee=1"], "backtest.costs.fee: Costs takes no 'fee'; did you mean 'fee_bps'?"),
        (["+model.num_features=3"], "model.num_features: is supplied by the run and cannot be configured"),
        (["model.hidden=[4,x]"], "model.hidden: expected list[int], was [4, 'x'] (list)"),
        (["seed=abc"], "seed: Value 'abc' of type 'str' could not be converted to Integer"),
        (["seeed=3"], "seeed: no such key; did you mean 'seed'?"),
        (["+seeed=3"], "seeed: no such key; did you mean 'seed'?"),
        (["name=${nam}"], "name: cannot resolve '${nam}': Interpolation key 'nam' not found"),
        (["lora.r=${lora.r}"], "lora.r: cannot resolve '${lora.r}': Recursive interpolation detected"),
        (["seed=1,2"], "seed=1,2: several values need -m (one run each), [...] (a list) or quotes (a text)"),
        (["seed"], "'seed' is not key=value"),
    ],
)
def test_faulty_override_is_reported_by_its_key(composer: Composer, overrides: list[str], expected: str) -> None:
    found = faults(composer, *overrides)
    assert len(found) == 1
    assert found[0].startswith(expected)


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["lora=r16"],
        ["lora=r16", "lora.alpha=3"],  # an int where a float is expected
        ["lora=r16", "lora.targets=q_proj"],
        ["lora=r16", "lora.targets=[q_proj,v_proj]"],
        ["backtest.costs=null"],
        ["backtest.sizing=decision"],
        ["lora.r=${seed}"],
        ["model=language"],
    ],
)
def test_sound_override_passes(composer: Composer, overrides: list[str]) -> None:
    assert faults(composer, *overrides) == []


def test_all_faults_are_reported_at_once_and_sorted(composer: Composer) -> None:
    found = faults(composer, "lora=r16", "lora.r=abc", "++lora.rr=3", "backtest.cash=x", "model.name=3")
    assert [line.partition(":")[0] for line in found] == ["backtest.cash", "lora.r", "lora.rr", "model.name"]


def test_require_valid_raises_every_fault_on_its_own_line(composer: Composer) -> None:
    cfg = composer.compose(["lora=r16", "lora.r=abc", "backtest.cash=x"])
    with pytest.raises(ConfigError, match=r"^backtest\.cash: .*\nlora\.r: .*$"):
        require_valid(cfg)


def test_unknown_key_in_experiment_is_rejected_with_hint(mini: Path) -> None:
    write(mini / "experiments" / "mine.yaml", "defaults:\n  - override /lora: r16\nlora:\n  rr: 3\n")
    assert faults(open_hydra(conf=mini / "conf"), "experiment=mine") == [
        "lora.rr: Adapter takes no 'rr'; did you mean 'r'?"
    ]


def test_stray_root_key_in_experiment_names_the_file(mini: Path) -> None:
    write(mini / "experiments" / "mine.yaml", "seeed: 3\n")
    assert faults(open_hydra(conf=mini / "conf"), "experiment=mine") == [
        "experiments/mine.yaml: seeed: no such key; did you mean 'seed'?"
    ]


def test_wrong_root_type_in_experiment_names_the_file(mini: Path) -> None:
    write(mini / "experiments" / "mine.yaml", "seed: abc\n")
    (found,) = faults(open_hydra(conf=mini / "conf"), "experiment=mine")
    assert found.startswith("experiments/mine.yaml: seed: Value 'abc'")


def test_wrong_option_in_experiment_names_the_file(mini: Path) -> None:
    write(mini / "experiments" / "mine.yaml", "defaults:\n  - override /algorithm: pppo\n")
    assert faults(open_hydra(conf=mini / "conf"), "experiment=mine") == [
        "experiments/mine.yaml: algorithm=pppo: no such option; did you mean 'ppo'?; options: dqn, ppo"
    ]


def test_override_of_unknown_group_in_experiment_names_the_file(mini: Path) -> None:
    write(mini / "experiments" / "mine.yaml", "defaults:\n  - override /algoritm: ppo\n")
    (found,) = faults(open_hydra(conf=mini / "conf"), "experiment=mine")
    assert found.startswith("experiments/mine.yaml: defaults override group 'algoritm'")


def test_broken_option_file_is_named_with_its_line(mini: Path) -> None:
    write(mini / "conf" / "lora" / "bad.yaml", "r: 1\n  x: [\n")
    (found,) = faults(open_hydra(conf=mini / "conf"), "lora=bad")
    assert "lora/bad.yaml: line 2: " in found


def test_nodes_in_lists_and_partial_nodes_are_checked(mini: Path) -> None:
    cfg = OmegaConf.create(
        {
            "allow": ["mini"],
            "callbacks": [{"_target_": "mini.Adapter"}, {"_target_": "mini.Adapter", "_partial_": True}],
            "model": {"_target_": "mini.Adapter", "_partial_": True, "r": "???"},
            "lora": {"_target_": "mini.Backtest", "costs": {"inner": [{"_target_": "mini.Costs", "fee": 1}]}},
        }
    )
    assert check(cfg) == [
        "callbacks[0].r: must be given, Adapter has no default for it",
        "lora.costs.inner[0].fee: Costs takes no 'fee'; did you mean 'fee_bps'?",
    ]


def test_arguments_inside_an_unrecursed_node_are_left_to_its_class(mini: Path) -> None:
    node = {"_target_": "mini.Backtest", "_recursive_": False, "costs": {"_target_": "mini.Adapter", "r": "x"}}
    cfg = OmegaConf.create({"allow": ["mini"], "backtest": node})
    assert check(cfg) == ["backtest.costs.r: expected int, was 'x' (str)"]
    del cfg.backtest.costs["r"]
    assert check(cfg) == []


def test_every_unresolvable_interpolation_is_named() -> None:
    cfg = OmegaConf.create({"name": "${a}", "seed": "${b.c}", "allow": []})
    assert [line.split(":")[0] for line in check(cfg)] == ["name", "seed"]
