"""The tasks generate, serve and bench on a model's folder, through the real loading code, and their options."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from omegaconf import DictConfig, OmegaConf

from tiny_writers import tiny_folder
from tradewright.backend.local import LocalBackend
from tradewright.config.build import build
from tradewright.errors import ConfigError, DataError, RunError
from tradewright.generate.decoding import Decoding
from tradewright.model.language_model import LanguageModel
from tradewright.paths import shipped
from tradewright.task.bench import Bench, project_hours
from tradewright.task.generate import Generate, read_prompts
from tradewright.task.language_model import load_model
from tradewright.task.serve import Serve, require_packages

QUESTIONS = ["What is the trend?", "price 101.5, volume 2300 -> buy or sell?"]


def options(**changes: dict[str, Any]) -> DictConfig:
    """Return the part of a configuration that the tasks read, for the tiny folder; groups may be changed."""

    def option(group: str, name: str) -> dict[str, Any]:
        content = yaml.safe_load((shipped("conf") / group / f"{name}.yaml").read_text())
        return {**content, **changes.get(group, {})}

    return OmegaConf.create(
        {
            "seed": 0,
            "model": {**option("model", "local"), "name": str(tiny_folder()), "max_length": 256},
            "lora": option("lora", "none"),
            "quant": option("quant", "none"),
            "generate": {**option("generate", "default"), "max_new_tokens": 8, **changes.get("generate", {})},
            "backend": option("backend", "local"),
        }
    )


def task(name: str, **keys: Any) -> Any:
    return build({**yaml.safe_load((shipped("conf") / "task" / f"{name}.yaml").read_text()), **keys}, key="task")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.row("L21")
def test_answers_are_written_with_their_settings(tmp_path, capsys):
    to = tmp_path / "out" / "generated.jsonl"
    to.parent.mkdir()
    figures = task("generate", prompts=QUESTIONS, system="Be brief.", to=str(to)).execute(options())
    loaded = LanguageModel(name=str(tiny_folder()), max_length=256).load()
    decoding = Decoding(max_new_tokens=8)
    for record, question in zip(lines(to), QUESTIONS, strict=True):
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": question}]
        expected = LocalBackend(loaded=loaded).complete(tuple(messages), decoding)
        assert record["messages"] == messages
        assert (record["text"], record["finish"], record["num_tokens"]) == (
            expected.text,
            expected.finish,
            expected.num_tokens,
        )
        assert record["generate"]["temperature"] == 0.7
        assert record["generate"]["top_k"] == 0
        assert record["model"] == str(tiny_folder())
    assert figures["generate/num_answers"] == 2.0
    out = capsys.readouterr().out
    assert f"2 answers ({figures['generate/num_cut_off']:.0f} cut off)" in out


@pytest.mark.row("L22")
def test_streamed_answers_are_the_same(tmp_path, capsys):
    records = []
    for is_stream in (False, True):
        to = tmp_path / f"{is_stream}.jsonl"
        task("generate", prompts=QUESTIONS, to=str(to)).execute(options(generate={"stream": is_stream}))
        records.append([{**record, "generate": None} for record in lines(to)])
        assert records[-1][0]["text"] in capsys.readouterr().out
    for whole, streamed in zip(*records, strict=True):
        assert whole.pop("log_probability") == pytest.approx(streamed.pop("log_probability"), abs=1e-3)
        assert whole == streamed


def test_prompts_come_from_files(tmp_path):
    text = tmp_path / "questions.txt"
    text.write_text("One?\n\nTwo?\n")
    assert [(one.id, one.messages[0]["content"]) for one in read_prompts(text)] == [
        ("questions.txt:1", "One?"),
        ("questions.txt:3", "Two?"),
    ]
    records = tmp_path / "questions.jsonl"
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    records.write_text(json.dumps({"id": "a", "prompt": "One?"}) + "\n" + json.dumps({"messages": messages}) + "\n")
    first, second = read_prompts(records)
    assert (first.id, first.messages) == ("a", ({"role": "user", "content": "One?"},))
    assert (second.id, second.messages) == ("questions.jsonl:2", tuple(messages))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1: not valid JSON"),
        ("[]", "line 1: expected an object with either 'prompt' or 'messages'"),
        ('{"prompt": "a", "messages": []}', "line 1: expected an object with either"),
        ('{"prompt": " "}', "line 1: prompt must be a text that is not empty"),
        ('{"messages": []}', "line 1: messages must be a list of role and content"),
        ('{"messages": [{"role": "tool", "content": "x"}]}', "line 1: a message must have role"),
        ("", "has no prompts"),
    ],
)
def test_file_without_prompts_is_refused_with_its_line(tmp_path, line, message):
    path = tmp_path / "questions.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(DataError, match=re.escape(message)):
        read_prompts(path)


def test_nothing_to_answer_is_refused():
    with pytest.raises(ConfigError, match=r"^task\.prompts must be given, or file"):
        task("generate")
    with pytest.raises(DataError, match="cannot be read"):
        Generate(file="absent.txt")


def test_model_that_is_none_is_refused():
    cfg = options()
    cfg.model = yaml.safe_load((shipped("conf") / "model" / "mlp.yaml").read_text())
    with pytest.raises(ConfigError, match=r"^model: is not a language model"):
        load_model(cfg)


def test_model_of_a_run_is_its_folder_or_its_adapter(tmp_path):
    run = tmp_path / "run"
    with pytest.raises(RunError, match=r"no config\.yaml"):
        load_model(options(), str(run))
    run.mkdir()
    cfg = options()
    (run / "config.yaml").write_text(OmegaConf.to_yaml(cfg))
    with pytest.raises(RunError, match=r"keeps no language model in model/ and no adapter in adapter/"):
        load_model(cfg, str(run))
    trained = options(lora=yaml.safe_load((shipped("conf") / "lora" / "all_linear.yaml").read_text()))
    load_model(trained, for_training=True).model.save_pretrained(run / "adapter")
    assert load_model(cfg, str(run)).facts["lora"] is not None
    (run / "model").symlink_to(tiny_folder())
    assert load_model(cfg, str(run)).facts["name"] == str(run / "model")


@pytest.mark.row("T15")
@pytest.mark.row("T16")
def test_bench_measures_and_projects(tmp_path, capsys):
    to = tmp_path / "bench.json"
    keys = {"num_requests": 3, "train_steps": 2, "batch_size": 2, "tokens_per_sample": 32, "num_samples": 1000}
    figures = task("bench", **keys, to=str(to)).execute(options())
    assert all(value > 0 for value in figures.values())
    assert figures["bench/latency_p95_s"] >= figures["bench/latency_p50_s"]
    expected = 1000 * 32 * 3 / figures["bench/trained_tokens_per_s"] / 3600
    assert figures["bench/projected_hours"] == pytest.approx(expected)
    assert figures["bench/peak_memory_gib"] > 0.1
    content = json.loads(to.read_text())
    assert (content["findings"], content["figures"].keys()) == ([], figures.keys())
    assert "1,000 examples of 32 tokens, 3 times: about" in capsys.readouterr().out


def test_projection_is_tokens_over_speed():
    assert (
        project_hours(num_samples=10_000, tokens_per_sample=512, num_epochs=3, tokens_per_s=1024) == 10_000 * 1.5 / 3600
    )


@pytest.mark.row("T38")
def test_what_is_over_a_budget_is_a_finding(capsys):
    bench = Bench(num_requests=2, train_steps=0, latency_budget_s=1e-6, memory_budget_gib=1e-3)
    figures = bench.execute(options())
    assert "bench/trained_tokens_per_s" not in figures
    slow, large = bench.findings
    assert slow.startswith("slow: 95 % of answers take up to ")
    assert large.startswith("large: ")
    assert "finding: slow" in capsys.readouterr().out


def test_bench_refuses_examples_longer_than_the_context():
    with pytest.raises(ConfigError, match=r"^task\.tokens_per_sample must be <= 256"):
        Bench(num_requests=2, tokens_per_sample=300).execute(options())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Bench(num_requests=1), "num_requests must be >= 2"),
        (lambda: Bench(train_steps=-1), "train_steps must be >= 0"),
        (lambda: Bench(latency_budget_s=0.0), "latency_budget_s must be > 0 or null"),
        (lambda: Serve(labels=["a", "b"], port=70_000), r"port must be in \[0, 65535\]"),
        (lambda: Serve(labels=["a"]), "labels must be at least 2 different texts"),
        (lambda: Serve(labels=["a", "b"], guard="strict"), "guard must be one of injection, none"),
    ],
)
def test_values_out_of_range_are_refused_with_their_name(make, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


def test_missing_package_is_one_line_that_names_the_extra(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "uvicorn" else find(name, *a))
    with pytest.raises(
        ConfigError, match=r"^task=serve: the package uvicorn is not installed; pip install 'tradewright\["
    ):
        require_packages()


def test_serving_other_machines_without_a_token_is_refused_before_the_model_is_loaded(monkeypatch):
    monkeypatch.delenv("TRADEWRIGHT_TOKEN", raising=False)
    with pytest.raises(ConfigError, match=r"^task\.host: 0\.0\.0\.0 is reachable from other machines"):
        task("serve", host="0.0.0.0").execute(OmegaConf.create({}))


@pytest.mark.row("N56")
def test_served_process_prints_its_address_answers_and_ends_at_a_signal(tmp_path):
    """A process of its own: port 0, one decision, SIGTERM."""
    OmegaConf.save(options(), tmp_path / "cfg.yaml")
    code = (
        "import yaml\nfrom omegaconf import OmegaConf\nfrom tradewright.config.build import build\n"
        "from tradewright.paths import shipped\n"
        "node = yaml.safe_load((shipped('conf') / 'task' / 'serve.yaml').read_text())\n"
        "node |= {'log': 'log.jsonl'}\n"
        "build(node, key='task').execute(OmegaConf.load('cfg.yaml'))\n"
    )
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    environment.pop("TRADEWRIGHT_TOKEN", None)
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        first = process.stdout.readline()
        found = re.fullmatch(r"serving at (http://127\.0\.0\.1:\d+) \(this machine only, no token\)\n", first)
        assert found, first + process.stderr.read()
        url = found.group(1)
        decision = httpx.post(f"{url}/decide", json={"prompt": QUESTIONS[1]}, timeout=60, trust_env=False).json()
        assert decision["label"] in {"BUY", "SELL", "HOLD"}
        assert decision["model"] == "qwen2"
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert errors == ""
    assert process.returncode in {0, -signal.SIGTERM}
    assert lines(tmp_path / "log.jsonl")[0]["status"] == 200
