"""``logger=wandb``: refused with the extra's name where the package is missing, offline files where it is there."""

import importlib.util
from pathlib import Path

import pytest

from tradewright.callbacks.weights_and_biases import WeightsAndBiases, require_package
from tradewright.cli import main
from tradewright.errors import ConfigError

HAS_PACKAGE = importlib.util.find_spec("wandb") is not None
RULE = ("backtest", "strategy=buy_and_hold", "data=synthetic", "data.num_bars=300", "report=none")


@pytest.mark.row("L52")
def test_missing_package_is_one_line_that_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "wandb" else find(name, *a))
    with pytest.raises(ConfigError, match=r"^logger.wandb: .* pip install 'tradewright\[wandb\]', or use logger="):
        require_package()
    with pytest.raises(ConfigError, match="not installed"):
        WeightsAndBiases(directory=tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main((*RULE, "logger=wandb")) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: logger.wandb: the package wandb is not installed; pip install 'tradewright[wandb]'")


@pytest.mark.row("L52")
@pytest.mark.skipif(not HAS_PACKAGE, reason="wandb is not installed: pip install 'tradewright[wandb]'")
def test_offline_run_writes_its_files_below_the_run_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main((*RULE, "logger=wandb", "logger.wandb.project=proof")) == 0
    (record,) = tmp_path.glob("outputs/default/*/wandb/offline-run-*/*.wandb")
    content = record.read_bytes()
    for words in (b"proof", b"test/sharpe", b"BuyAndHold"):
        assert words in content, words
    assert len(list(tmp_path.glob("outputs/default/*/result/events*"))) == 1  # TensorBoard's events stay
