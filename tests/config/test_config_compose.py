"""Experiments, run ids and the typed root: what composing adds to Hydra."""

import re
from pathlib import Path

import pytest
from hydra.types import RunMode
from omegaconf import OmegaConf

from tradewright.config import compose as compose_module
from tradewright.config.compose import choices, compose, open_hydra
from tradewright.config.experiments import find_experiments
from tradewright.config.root import RUN_ID_VARIABLE, new_run_id, root_keys
from tradewright.errors import ConfigError


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_experiment_sets_its_name_and_the_command_line_wins(mini: Path) -> None:
    write(mini / "experiments" / "mine.yaml", "defaults:\n  - override /algorithm: dqn\nseed: 3\n")
    composer = open_hydra(conf=mini / "conf")
    cfg = composer.compose(["experiment=mine"])
    assert (cfg.name, cfg.seed, cfg.algorithm._target_) == ("mine", 3, "mini.Dqn")
    cfg = composer.compose(["experiment=mine", "seed=5", "algorithm=ppo", "name=other"])
    assert (cfg.name, cfg.seed, cfg.algorithm._target_) == ("other", 5, "mini.Ppo")
    assert composer.compose([]).name == "default"


def test_experiment_inherits_another_and_overrides_the_same_group(mini: Path) -> None:
    write(mini / "experiments" / "base.yaml", "defaults:\n  - override /algorithm: dqn\nseed: 3\noutput_dir: here\n")
    write(
        mini / "experiments" / "child.yaml",
        "defaults:\n  - base\n  - override /algorithm: ppo\n  - _self_\nseed: 4\nalgorithm:\n  lr: 0.5\n",
    )
    cfg = open_hydra(conf=mini / "conf").compose(["experiment=child"])
    assert (cfg.name, cfg.seed, cfg.output_dir) == ("child", 4, "here")
    assert cfg.algorithm == {"_target_": "mini.Ppo", "lr": 0.5}


def test_experiment_that_names_itself_keeps_the_name(mini: Path) -> None:
    write(mini / "experiments" / "mine.yaml", "name: shared\n")
    assert open_hydra(conf=mini / "conf").compose(["experiment=mine"]).name == "shared"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [1\nb: 2\n", "line 2: "),
        ("- a\n- b\n", "expected keys and values, found a list"),
        ("defaults:\n  - _self_\n  - default\n", "defaults: 'default' must stand before _self_"),
        ("a: 1\na: 2\n", "line 2: found duplicate key a"),
    ],
)
def test_broken_experiment_raises_only_when_chosen(mini: Path, text: str, reason: str) -> None:
    write(mini / "experiments" / "bad.yaml", text)
    write(mini / "experiments" / "good.yaml", "seed: 2\n")
    composer = open_hydra(conf=mini / "conf")
    assert list(composer.experiments.broken) == ["bad"]
    assert composer.compose(["experiment=good"]).seed == 2
    with pytest.raises(ConfigError, match=rf"^experiments/bad\.yaml: {re.escape(reason)}"):
        composer.compose(["experiment=bad"])


def test_experiment_that_inherits_a_broken_one_names_the_broken_file(mini: Path) -> None:
    write(mini / "experiments" / "bad.yaml", "a: [1\n")
    write(mini / "experiments" / "child.yaml", "defaults:\n  - bad\n")
    with pytest.raises(ConfigError, match=r"^experiments/bad\.yaml: line 2: "):
        open_hydra(conf=mini / "conf").compose(["experiment=child"])


def test_experiment_that_inherits_an_absent_one_names_its_file(mini: Path) -> None:
    write(mini / "experiments" / "child.yaml", "defaults:\n  - absent\n")
    with pytest.raises(ConfigError, match=r"^experiments/child\.yaml: experiment=absent: no such option"):
        open_hydra(conf=mini / "conf").compose(["experiment=child"])


def test_experiments_of_another_folder_are_forgotten(mini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(mini / "experiments" / "mine.yaml", "seed: 2\n")
    open_hydra(conf=mini / "conf").compose(["experiment=mine"])
    (mini / "elsewhere").mkdir()
    monkeypatch.chdir(mini / "elsewhere")
    with pytest.raises(ConfigError, match=r"^experiment=mine: no such option"):
        open_hydra(conf=mini / "conf").compose(["experiment=mine"])


def test_two_composers_keep_their_own_experiments(mini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(mini / "experiments" / "mine.yaml", "seed: 2\n")
    first = open_hydra(conf=mini / "conf")
    (mini / "elsewhere").mkdir()
    monkeypatch.chdir(mini / "elsewhere")
    open_hydra(conf=mini / "conf")
    assert first.compose(["experiment=mine"]).seed == 2


def test_own_experiment_wins_over_a_shipped_one(mini: Path) -> None:
    write(mini / "experiments" / "default.yaml", "seed: 9\n")
    assert find_experiments().files["default"] == mini / "experiments" / "default.yaml"
    assert open_hydra(conf=mini / "conf").compose([]).seed == 9


def test_extra_folder_adds_groups_options_and_is_required_to_exist(mini: Path) -> None:
    write(mini / "my" / "algorithm" / "sac.yaml", "_target_: mini.Ppo\nlr: 0.25\n")
    assert open_hydra(conf=mini / "conf", extra="my").compose(["algorithm=sac"]).algorithm.lr == 0.25
    with pytest.raises(ConfigError, match=r"^--config-dir: no folder missing"):
        open_hydra(conf=mini / "conf", extra="missing")


def test_run_id_is_stable_within_a_run_and_distinct_between_runs(mini: Path) -> None:
    composer = open_hydra(conf=mini / "conf")
    first, second = composer.compose([]), composer.compose([])
    assert first.hydra.run.dir == first.hydra.run.dir == first.hydra.sweep.dir
    assert first.hydra.run.dir != second.hydra.run.dir
    assert re.fullmatch(r"outputs/default/\d{8}-\d{6}-[0-9a-f]{6}", first.hydra.run.dir)


def test_run_id_comes_from_the_environment_where_processes_must_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUN_ID_VARIABLE, "20260101-000000-abcdef")
    assert new_run_id() == "20260101-000000-abcdef"


def test_a_thousand_run_ids_of_one_second_are_distinct() -> None:
    assert len({new_run_id() for _ in range(1000)}) >= 999


def test_compose_gives_the_shipped_tree_without_hydra(mini: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compose_module.paths, "shipped", lambda folder: mini / folder)
    write(mini / "experiments" / "default.yaml", "# nothing\n")
    cfg = compose(["seed=3"])
    assert cfg.seed == 3
    assert "hydra" not in cfg
    assert set(cfg) <= set(root_keys())
    assert OmegaConf.is_struct(cfg)
    assert choices() == {}


def test_sweep_over_all_experiments_finds_every_readable_one(mini: Path) -> None:
    for name in ("a", "b"):
        write(mini / "experiments" / f"{name}.yaml", "seed: 1\n")
    composer = open_hydra(conf=mini / "conf")
    cfg = composer.compose(["experiment=glob(*)"], mode=RunMode.MULTIRUN)
    assert cfg.hydra.overrides.task == ["experiment=glob(*)"]
    assert sorted(composer.hydra.config_loader.get_group_options("experiment")) == sorted(composer.experiments.bodies)
    assert {"a", "b", "default"} <= set(composer.experiments.bodies)
