"""Opening the study of a sweep: first come, the same again, and something else under the same name."""

from pathlib import Path
from typing import Any

import optuna
import pytest

from tradewright.errors import ConfigError
from tradewright.sweep import study as module
from tradewright.sweep.storage import open_storage
from tradewright.sweep.study import difference, open_study

BEFORE = {
    "configuration": {"algorithm.gamma": "0.99", "algorithm.lr": "0.001"},
    "space": {"algorithm.lr": "floats 1e-05 to 0.01, logarithmic", "lora.r": "choice(8, 16)"},
    "sweep": {"sampler": "TPE", "seed": 0},
}


@pytest.fixture
def storage(tmp_path: Path) -> optuna.storages.BaseStorage:
    return open_storage(f"journal://{tmp_path}/queue")


def test_same_description_opens_the_same_study(storage: Any) -> None:
    first = open_study(storage, "s", ["maximize"], BEFORE)
    first.add_trial(optuna.trial.create_trial(value=1.0))
    assert len(open_study(storage, "s", ["maximize"], BEFORE).trials) == 1
    assert open_study(storage, "other", ["maximize"], BEFORE).trials == []


def test_other_description_is_refused_line_by_line(storage: Any) -> None:
    open_study(storage, "s", ["maximize"], BEFORE)
    now = {
        "configuration": {"algorithm.gamma": "0.9", "algorithm.lr": "0.001"},
        "space": {"algorithm.lr": "floats 1e-04 to 0.01, logarithmic", "algorithm.tau": "floats 0.0 to 1.0"},
        "sweep": {"sampler": "TPE", "seed": 1},
    }
    with pytest.raises(ConfigError) as caught:
        open_study(storage, "s", ["maximize"], now)
    lines = str(caught.value).splitlines()
    assert lines[0] == "sweep s was begun with other settings:"
    assert set(lines[1:-1]) == {
        "algorithm.gamma: was 0.99, is now 0.9",
        "algorithm.lr: was floats 1e-05 to 0.01, logarithmic, is now floats 1e-04 to 0.01, logarithmic",
        "lora.r: was choice(8, 16), is now absent",
        "algorithm.tau: was absent, is now floats 0.0 to 1.0",
        "sweep.seed: was 0, is now 1",
    }
    assert "sweep.name" in lines[-1]
    assert difference(storage.get_study_user_attrs(0)["description"], {"directions": ["maximize"], **BEFORE}) == []


def test_other_direction_is_refused(storage: Any) -> None:
    open_study(storage, "s", ["maximize"], BEFORE)
    with pytest.raises(ConfigError, match=r'directions: was \["maximize"\], is now \["minimize"\]'):
        open_study(storage, "s", ["minimize"], BEFORE)


def test_key_that_was_fixed_and_now_varies_is_one_line() -> None:
    lines = difference(
        {"configuration": {"lr": "0.1"}}, {"configuration": {"lr": "0.1"}, "space": {"lr": "choice(1, 2)"}}
    )
    assert lines == ["lr: was 0.1, is now choice(1, 2)"]


def test_long_difference_is_cut() -> None:
    lines = difference({}, {"space": {f"k{number}": "x" for number in range(100)}})
    assert len(lines) == 31
    assert lines[-1] == "and 70 more"


def test_creator_that_died_before_describing_is_replaced(storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAIT_S", 0.1)
    optuna.create_study(storage=storage, study_name="s", direction="maximize")
    open_study(storage, "s", ["maximize"], BEFORE)
    with pytest.raises(ConfigError, match=r"lora.r: was choice\(8, 16\), is now absent"):
        open_study(storage, "s", ["maximize"], {**BEFORE, "space": {"algorithm.lr": BEFORE["space"]["algorithm.lr"]}})


def test_second_worker_waits_for_the_description_of_the_first(storage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    created = optuna.create_study(storage=storage, study_name="s", direction="maximize")
    looks = []

    def pause(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            created.set_user_attr("description", {"directions": ["maximize"], "space": {"a": "theirs"}})

    monkeypatch.setattr(module.time, "sleep", pause)
    with pytest.raises(ConfigError, match="a: was theirs, is now ours"):
        open_study(storage, "s", ["maximize"], {"space": {"a": "ours"}})
