"""The tasks ingest and inspect, and the options of group data."""

import copy
from pathlib import Path

import pytest
from bar_files import GOOD, write_csv
from mini_lean import build_mini_lean
from omegaconf import DictConfig, OmegaConf, open_dict

from tradewright.config.check import check
from tradewright.config.compose import open_hydra
from tradewright.data.source import Source
from tradewright.errors import DataError
from tradewright.paths import shipped
from tradewright.task.ingest import Ingest
from tradewright.task.inspect import Inspect

OPTIONS = sorted(path.stem for path in (shipped("conf") / "data").glob("*.yaml"))
OURS = {"csv", "duckdb", "lean", "nasdaq", "parquet", "synthetic", "universe"}


@pytest.fixture(scope="module")
def composed():
    """Every option's configuration as a run would see it."""
    composer = open_hydra()
    return {option: composer.compose([f"data={option}"]) for option in OPTIONS}


@pytest.fixture
def data_config(composed):
    """Configurations by option, with keys of ``data`` replaced."""

    def change(option: str, store: Path, **keys: object) -> DictConfig:
        cfg = copy.deepcopy(composed[option])
        with open_dict(cfg):
            cfg.store = str(store)
            cfg.data = OmegaConf.merge(cfg.data, keys)
        return cfg

    return change


def test_the_options_of_the_group_are_there():
    assert set(OPTIONS) >= OURS


@pytest.mark.parametrize("option", sorted(set(OPTIONS) - {"none"}))
def test_every_option_carries_the_shared_keys(composed, option):
    node = composed[option].data
    shared = [name for name in Source.__dataclass_fields__ if name != "kind"]
    assert set(shared) <= set(node)
    assert set(node.split) == {"_target_", "train", "validation", "embargo_bars"}


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_composes_and_passes_the_check(composed, option):
    assert check(composed[option]) == []


@pytest.mark.row("N64")
@pytest.mark.row("N29")
def test_ingest_loads_and_says_what_came_in(data_config, tmp_path, capsys):
    path = write_csv(tmp_path / "SPY.csv", header="Date,Open,High,Low,Close,Volume")
    cfg = data_config("csv", tmp_path / "store", path=str(path), dataset="mine")
    Ingest().execute(cfg)
    text = capsys.readouterr().out
    assert "mine: loaded; 4 bars of 1 symbol, 1d each" in text
    assert "SPY" in text
    assert "2020-01-02" in text
    assert "tradewright data=duckdb data.dataset=mine" in text
    Ingest().execute(cfg)
    assert "already in the store, unchanged" in capsys.readouterr().out
    Ingest(force=True).execute(cfg)
    assert "mine: loaded" in capsys.readouterr().out


def test_ingest_names_unused_columns_and_cuts_long_lists(data_config, tmp_path, capsys):
    for number in range(5):
        write_csv(
            tmp_path / "in" / f"S{number}.csv", [row + ",x" for row in GOOD], "date,open,high,low,close,volume,who"
        )
    Ingest(max_rows=2).execute(data_config("csv", tmp_path / "store", path=str(tmp_path / "in")))
    text = capsys.readouterr().out
    assert "and 3 more symbols" in text
    assert "columns not used: who" in text


def test_a_failed_ingest_prints_no_table(data_config, tmp_path, capsys):
    path = write_csv(tmp_path / "SPY.csv", [GOOD[0], GOOD[0]])
    with pytest.raises(DataError, match=r"SPY.csv row 2"):
        Ingest().execute(data_config("csv", tmp_path / "store", path=str(path)))
    assert "SPY" not in capsys.readouterr().out


def test_inspect_shows_symbols_gaps_actions_rows_and_ranges(data_config, tmp_path, capsys):
    root = build_mini_lean(tmp_path / "lean")
    cfg = data_config("lean", tmp_path / "store", path=str(root), symbols=["XYZ"])
    cfg.data.split.embargo_bars = 0
    cfg.data.split.train = 0.5
    cfg.data.split.validation = 0.25
    Inspect(rows=3).execute(cfg)
    text = capsys.readouterr().out
    for part in (
        "Symbols",
        "XYZ",
        "equity",
        "Splits and dividends",
        "split",
        "dividend",
        "0.99",
        "First bars",
        "2020-01-06",
    ):
        assert part in text
    assert "Longest gaps" not in text
    assert text.count("2020-01-03") == 1  # the second of three first rows
    assert "validation" in text


def test_inspect_of_too_short_data_still_shows_the_rest(data_config, tmp_path, capsys):
    path = write_csv(tmp_path / "SPY.csv")
    Inspect().execute(data_config("csv", tmp_path / "store", path=str(path)))
    text = capsys.readouterr().out
    assert "First bars" in text
    assert "data.split: validation has 0 bars" in text.replace("\n", " ")


def test_inspect_of_a_synthetic_universe_is_labelled(data_config, tmp_path, capsys):
    Inspect(rows=1, max_rows=3).execute(data_config("universe", tmp_path / "store", num_symbols=5, num_bars=60))
    text = capsys.readouterr().out
    assert "Synthetic bars from a seeded generator" in text
    assert "and 2 more symbols" in text


@pytest.mark.parametrize(
    ("task", "keys"), [(Ingest, {"max_rows": 0}), (Inspect, {"rows": -1}), (Inspect, {"max_rows": 0})]
)
def test_a_wrong_argument_of_a_task_is_named(task, keys):
    with pytest.raises(ValueError, match=f"^{next(iter(keys))} must be >= "):
        task(**keys)
