"""What is printed without running: help, version, configuration, completion; short forms and errors of words."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from tradewright import paths
from tradewright.config.arguments import expand, groups, options
from tradewright.config.help_page import default_options, first_comment
from tradewright.errors import ConfigError

CONF = paths.shipped("conf")
HEAVY = "{'torch', 'lightning', 'torchrl', 'transformers', 'peft', 'optuna', 'gymnasium', 'arch', 'pandas', 'plotly'}"


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"], ["algorithm=ppo", "--help"]])
def test_help_lists_every_option_of_every_group_with_its_first_comment(cli: Callable, words: list[str]) -> None:
    answer = cli(*words)
    assert (answer.code, answer.err) == (0, "")
    text = " ".join(answer.out.split())
    found = 0
    for group in groups([CONF]):
        for option, path in options([CONF], group).items():
            comment = first_comment(path)
            assert comment, f"{path}: the first line must be a comment"
            assert " ".join(comment.split()) in text, path
            assert re.search(rf"^  {re.escape(option)}\b", answer.out, re.MULTILINE), path
            found += 1
    assert found == len(list(CONF.glob("*/*.yaml"))) > 40
    for group, option in default_options(CONF).items():
        assert re.search(rf"^  {re.escape(option)} \*", answer.out, re.MULTILINE), group


def test_help_lists_own_options_and_experiments(cli: Callable, tmp_path: Path) -> None:
    for path, text in {
        "experiments/mine.yaml": "# my own experiment\nseed: 1\n",
        "extra/reward/my_reward.yaml": "# my own reward [cheap]\n_target_: a.B\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    out = cli("--help", "--config-dir", "extra").out
    assert re.search(r"^  mine +my own experiment *$", out, re.MULTILINE)
    assert re.search(r"^  my_reward +my own reward \[cheap\] *$", out, re.MULTILINE)


def test_first_comment_skips_directives(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("# @package _global_\n\n# What it is\n# more\nx: 1\n")
    assert first_comment(tmp_path / "a.yaml") == "What it is"
    (tmp_path / "a.yaml").write_text("x: 1\n# What it is\n")
    assert first_comment(tmp_path / "a.yaml") == ""


def test_version_is_the_packages(cli: Callable) -> None:
    assert cli("--version").out == f"tradewright {version('tradewright')}\n"


def test_configuration_is_printed_as_yaml(cli: Callable, tmp_path: Path) -> None:
    answer = cli("--cfg", "job", "seed=4", "lora=r32")
    assert (answer.code, answer.err) == (0, "")
    content = yaml.safe_load(answer.out)
    assert (content["seed"], content["lora"]["r"], content["name"]) == (4, 32, "default")
    assert "hydra" not in content
    assert list(tmp_path.iterdir()) == []


def test_part_of_the_configuration_is_printed(cli: Callable) -> None:
    out = cli("--cfg", "job", "-p", "reward").out
    assert out.startswith("# @package reward\n")
    assert yaml.safe_load(out)["scale"] == 100.0


def test_where_the_configuration_comes_from_is_printed(cli: Callable) -> None:
    out = cli("--info", "defaults").out
    assert "reward/log_return" in out
    assert "experiment/default" in out


def test_shell_completion_offers_options_and_experiments(
    cli: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "mine.yaml").write_text("seed: 1\n")
    (tmp_path / "experiments" / "broken.yaml").write_text("a: [\n")
    for line, expected in {"tradewright lora=": "lora=r32", "tradewright experiment=m": "experiment=mine"}.items():
        monkeypatch.setenv("COMP_LINE", line)
        monkeypatch.setenv("COMP_POINT", str(len(line)))
        answer = cli("--shell-completion", "query=bash")
        assert expected in answer.out.split()
        assert answer.err == ""
    assert "complete -o" in cli("-sc", "install=bash").out


def test_broken_experiment_warns_in_one_line_and_does_no_harm(cli: Callable, tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "broken.yaml").write_text("a: [\n")
    answer = cli("--cfg", "job")
    assert answer.code == 0
    assert len(answer.err.splitlines()) == 1
    assert answer.err.startswith("warning: skipped experiments/broken.yaml: line 2: ")
    answer = cli("--cfg", "job", "experiment=broken")
    assert answer.code == 2
    assert answer.err.splitlines()[-1].startswith("error: experiments/broken.yaml: line 2: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "error: 'trian' is no task; did you mean 'train'?; tasks: backtest, "),
        (["xyz"], "error: 'xyz' is no task; tasks: backtest, "),
        (["algorithm=pppo"], "error: algorithm=pppo: no such option; did you mean 'ppo'?; options: a2c, "),
        (["seeed=1"], "error: seeed: no such key; did you mean 'seed'?"),
        (["seed=abc"], "error: seed: Value 'abc' of type 'str' could not be converted to Integer"),
        (["--config-dir", "absent"], "error: --config-dir: no folder absent"),
        (["--config-name", "other"], "error: --config-name: "),
        (["--experimental-rerun", "x"], "error: --experimental-rerun: "),
        (["seed=1", "again"], "error: 'again' is not key=value"),
    ],
)
def test_wrong_words_give_one_line_and_exit_code_2(cli: Callable, words: list[str], message: str) -> None:
    answer = cli(*words)
    assert (answer.code, answer.out) == (2, "")
    assert len(answer.err.splitlines()) == 1
    assert answer.err.startswith(message)


def test_flags_may_stand_anywhere(cli: Callable) -> None:
    assert yaml.safe_load(cli("seed=1", "--cfg", "job", "name=x").out)["name"] == "x"


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    for name, text in {
        "task/train.yaml": "num_threads: 1\n",
        "task/compare.yaml": "# c\n_target_: a.B\nruns: ???\nname: x\nlora: 3\n",
        "lora/none.yaml": "r: 1\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return [tmp_path]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ([], []),
        (["seed=1"], ["seed=1"]),
        (["compare"], ["task=compare"]),
        (["compare", "runs=a"], ["task=compare", "task.runs=a"]),
        (["compare", "runs=[a,b]", "runs.x=1"], ["task=compare", "task.runs=[a,b]", "task.runs.x=1"]),
        (["task=compare", "runs=a"], ["task=compare", "task.runs=a"]),
        (["compare", "name=a", "lora.r=3"], ["task=compare", "name=a", "lora.r=3"]),  # root keys and groups win
        (["compare", "seeed=1", "+runs=1"], ["task=compare", "seeed=1", "+runs=1"]),
        (["runs=a"], ["runs=a"]),  # no task is named
        (["train", "runs=a"], ["task=train", "runs=a"]),
        (["~lora"], ["~lora"]),
    ],
)
def test_short_forms_become_overrides(folders: list[Path], typed: list[str], expected: list[str]) -> None:
    assert list(expand(typed, folders).texts) == expected


def test_unknown_task_is_an_error_that_lists_the_tasks(folders: list[Path]) -> None:
    with pytest.raises(ConfigError, match=r"^'comparee' is no task; did you mean 'compare'\?; tasks: compare, train$"):
        expand(["comparee"], folders)


def script(code: str, cwd: Path) -> None:
    environment = {**os.environ, "PYTHONWARNINGS": "error"}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=cwd, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("words", "also"),
    [
        (["--help"], " | {'hydra', 'omegaconf', 'numpy', 'duckdb'}"),
        (["--version"], " | {'hydra', 'omegaconf', 'numpy', 'duckdb', 'rich'}"),
        (["--cfg", "job"], " | {'numpy', 'duckdb', 'rich'}"),
        (["--cfg", "job", "experiment=default", "lora=r32", "quant=nf4"], " | {'numpy', 'duckdb', 'rich'}"),
        (["--info", "defaults"], " | {'numpy', 'duckdb', 'rich'}"),
    ],
)
def test_nothing_heavy_is_imported_to_print(words: list[str], also: str, tmp_path: Path) -> None:
    script(
        "import sys\nfrom tradewright.cli import main\n"
        f"assert main({words!r}) == 0\nfound = ({HEAVY}{also}) & set(sys.modules)\nassert not found, found\n",
        tmp_path,
    )


def test_nothing_heavy_is_imported_before_a_faulty_configuration_is_refused(tmp_path: Path) -> None:
    script(
        "import sys\nfrom tradewright.cli import main\n"
        f"assert main(['lora=r32', '++lora.rr=3']) == 2\nfound = {HEAVY} & set(sys.modules)\nassert not found, found\n",
        tmp_path,
    )


def test_module_form_and_closed_pipe(tmp_path: Path) -> None:
    done = subprocess.run(
        f"{sys.executable} -m tradewright --help | head -1", shell=True, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.startswith("usage: tradewright")
    assert done.stderr == ""
    done = subprocess.run(
        [sys.executable, "-m", "tradewright", "seeed=1"], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "error: seeed: no such key; did you mean 'seed'?\n"
