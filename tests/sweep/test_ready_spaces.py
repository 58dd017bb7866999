"""The ready search spaces: each composes with its algorithm, and every point of it is one that can be trained."""

import shlex
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import optuna
import pytest
import yaml
from omegaconf import DictConfig, OmegaConf

from tradewright.cli import main
from tradewright.config.build import build
from tradewright.config.check import require_valid
from tradewright.config.compose import Composer, open_hydra
from tradewright.config.rules import apply_rules, describe
from tradewright.output import read_json
from tradewright.paths import shipped
from tradewright.sweep.parameters import Parameters
from tradewright.sweep.samplers import Random, check_fit
from tradewright.sweep.space import Space, is_setting, parse_space
from tradewright.sweep.sweep import Sweep

CONF = shipped("conf")
SPACES = sorted(path.stem for path in (CONF / "space").glob("*.yaml") if path.stem != "none")


@cache
def composed(*words: str) -> DictConfig:
    """Return a configuration, once per list of words."""
    return composer().compose(list(words))


@cache
def composer() -> Composer:
    return open_hydra()


def command(group: str, option: str) -> list[str]:
    """Return the words of the command in an option's second comment line."""
    lines = (CONF / group / f"{option}.yaml").read_text().splitlines()
    (line,) = [line for line in lines[:4] if line.startswith("# tradewright ")]
    return [word for word in shlex.split(line.removeprefix("# tradewright "), comments=True) if word != "-m"]


def space_of(name: str) -> tuple[list[str], Space]:
    """Return the overrides of a space's own command without settings of the sweep, and the space."""
    words = command("space", name)
    assert f"space={name}" in words
    ready: Any = OmegaConf.to_container(composed(*words).space)
    base = [word for word in words if not is_setting(word)]
    return base, parse_space(base, params=ready["params"], conditional=ready["conditional"])


def random_points(space: Space, num: int) -> list[list[str]]:
    """Return the overrides of some random jobs."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study, parameters = optuna.create_study(), Parameters(space, None)
    jobs = []
    for number in range(num):
        study.sampler = Random().make(number)
        jobs.append(space.overrides(parameters.choose(study.ask())))
    return jobs


def checked(words: list[str]) -> DictConfig:
    """Compose a job and require that it passes the check and the rules."""
    cfg = composed(*words)
    findings = [finding.message for finding in apply_rules(describe(cfg, cfg.hydra)) if finding.is_error]
    require_valid(cfg)
    assert findings == [], words
    return cfg


def test_every_algorithm_has_a_ready_space() -> None:
    own = {path.stem for path in (CONF / "algorithm").glob("*.yaml") if "_target_" in yaml.safe_load(path.read_text())}
    alike = {"ppo_bot"}  # ppo with other values
    assert set(SPACES) == own - alike - {
        "sft",
        "dpo",
        "multitask",
    }  # of agents; texts and labels are searched word by word


@pytest.mark.parametrize("name", SPACES)
def test_every_key_exists_and_a_random_point_passes_check_and_rules_and_can_be_built(
    name: str, panel_of: Callable[..., Any], tmp_path: Path
) -> None:
    """All jobs have the same frames per epoch: a pruner compares the same epoch of different jobs."""
    base, space = space_of(name)
    assert space.fixed == tuple(base)
    construct = constructor_of(panel_of, tmp_path)
    jobs = [base, *random_points(space, 1), *list(space.branches())[1:]]
    built = [construct(checked([*job, "env.episode_bars=64"])) for job in jobs]
    assert len({(one.frames_per_epoch, one.max_epochs) for one in built}) == 1
    assert {type(one).__name__.lower() for one in built} == {name.replace("_", "")}


def test_conditional_key_of_a_ready_space_follows_its_flag() -> None:
    _, space = space_of("dqn")
    jobs = random_points(space, 30)
    has_key = [any(word.startswith("algorithm.priority_alpha=") for word in job) for job in jobs]
    assert has_key == ["algorithm.is_prioritised=true" in job for job in jobs]
    assert 5 < sum(has_key) < 25


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_many_random_points_pass_check_and_rules_and_can_be_built(
    name: str, panel_of: Callable[..., Any], tmp_path: Path
) -> None:
    _, space = space_of(name)
    construct = constructor_of(panel_of, tmp_path)
    jobs = [*space.branches(), *random_points(space, 20)]
    built = [construct(checked([*job, "env.episode_bars=64"])) for job in jobs]
    assert len({(one.frames_per_epoch, one.max_epochs) for one in built}) == 1


@pytest.mark.parametrize("name", SPACES)
def test_the_default_of_every_key_lies_in_its_range(name: str) -> None:
    """What is shipped is a point of the space, so that a sweep can find that nothing is better."""
    base, space = space_of(name)
    cfg = composed(*base, "env.episode_bars=64")
    (rate,) = [one.distribution() for one in space.dimensions if one.name == "algorithm.lr"]
    assert isinstance(rate, optuna.distributions.FloatDistribution)
    assert rate.log
    for one in space.all_dimensions:
        default = OmegaConf.select(cfg, one.name)
        assert OmegaConf.select(cfg, one.name, default="absent") != "absent", f"{one.name} does not exist"
        plain = OmegaConf.to_container(default) if OmegaConf.is_config(default) else default
        low, high = getattr(one, "low", None), getattr(one, "high", None)
        if low is None or high is None:
            texts = [parsed_value(f"k={text}") for text in one.texts or ()]
            assert plain in texts, f"{one.name}: {plain} is not among {texts}"
        else:
            assert low <= plain <= high, f"{one.name}: {plain} is not in {one.describe()}"


def parsed_value(override: str) -> Any:
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create().parse_override(override).value()


def constructor_of(panel_of: Callable[..., Any], folder: Path) -> Callable[[DictConfig], Any]:
    """Return what builds the algorithm of a configuration on a small market."""
    from tradewright.algorithm.setting import Setting
    from tradewright.data.ranges import Range
    from tradewright.env.world import Stage
    from tradewright.features.pipeline import build_features
    from tradewright.features.price_volume import PriceVolume

    panel = panel_of(600, 1, 7)
    features, _ = build_features(PriceVolume(), panel, (Range(0, 400),), folder)

    def construct(cfg: DictConfig) -> Any:
        stage = Stage(
            panel=panel,
            features=features,
            rows=(Range(0, 400),),
            rules=build(cfg.backtest, key="backtest").rules,
            reward=build(cfg.reward, key="reward"),
        )
        env = build(cfg.env, key="env")
        setting = Setting(env=env, stage=stage, reward_name="log_return", validate=lambda agent: {}, seed=0)
        return build(cfg.algorithm, key="algorithm", setting=setting, model=build(cfg.model, key="model"))

    return construct


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_random_point_trains(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _, space = space_of(name)
    (job,) = random_points(space, 1)
    small = ["data=synthetic", "data.num_bars=600", "algorithm.iterations_per_epoch=1", "trainer.max_epochs=1"]
    small += ["evaluate.shuffled_control=false", "evaluate.analytic_reference=false", "evaluate.num_random=0"]
    print(job)
    assert main([*job, *small, "hydra.run.dir=run"]) == 0
    assert "validation/sharpe" in read_json(tmp_path / "run" / "metrics.json")


@pytest.mark.parametrize("option", sorted(path.stem for path in (CONF / "sweep").glob("*.yaml")))
def test_command_of_every_sampler_is_one_that_can_start(option: str) -> None:
    words = command("sweep", option)
    cfg = composed(*(word for word in words if not word.startswith(("algorithm.lr=", "seed="))))
    sweep: Sweep = build(cfg.sweep, key="sweep")
    assert sweep.sampler.name == option
    assert (sweep.num_trials is None) == (option == "grid")
    several = len(sweep.objective) if isinstance(sweep.objective, dict) else 1
    assert check_fit(sweep.sampler, num_objectives=several, num_trials=sweep.num_trials) == []
    assert (several > 1) == (option in ("nsga2", "nsga3"))
    assert set(cfg.sweep) == set(composed().sweep)  # the same keys whatever the sampler
    merged = {key for key in cfg.sweep.sampler if key != "_target_"}  # trap 10: an option kept keys of another one
    assert merged == set(vars(sweep.sampler))


def test_no_pruner_is_null_and_the_command_line_gives_objectives_and_constraints() -> None:
    given = ("sweep.objective={validation/cagr:maximize}", "sweep.constraints={validation/max_drawdown:'<= 0.1'}")
    cfg = composed("pruner=none", "sweep=qmc", "sweep.seed=7", *given)
    assert cfg.pruner is None
    assert cfg.sweep.constraints == {"validation/max_drawdown": "<= 0.1"}  # an empty dict would refuse new keys
    assert cfg.sweep.objective == {"validation/cagr": "maximize"}
    assert build(cfg.sweep, key="sweep").sampler.seed == 7  # of the scrambling
