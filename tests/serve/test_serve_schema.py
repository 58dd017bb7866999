"""Schemathesis sends what the server's own documentation allows and what it forbids: clean, a small form by default."""

import os
import subprocess
import sysconfig
from pathlib import Path

import pytest
from started import started

from tradewright.generate.decoding import Decoding

TOKEN = "a-long-enough-token"
CONFIG = f"""
[generation]
deterministic = true

[headers]
Authorization = "Bearer {TOKEN}"

[checks.positive_data_acceptance]
# 400: only the model can tell that a conversation has too many tokens or control tokens, or a schema no grammar
expected-statuses = ["2xx", "400", "401", "404", "413", "429"]
"""


def schemathesis(folder: Path, *words: str) -> None:
    """Run the command against a started server and show what it found if it found something."""
    (folder / "schemathesis.toml").write_text(CONFIG)
    program = Path(sysconfig.get_path("scripts")) / "schemathesis"
    environment = {**os.environ, "NO_PROXY": "127.0.0.1", "NO_COLOR": "1"}
    with started(token=TOKEN, decoding=Decoding(max_new_tokens=2), log=folder / "log.jsonl") as running:
        command = [program, "run", f"{running.url}/openapi.json", "--seed", "1", "--no-shrink", *words]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=900)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        assert running.get("/health").json()["status"] == "ok"
    assert len((folder / "log.jsonl").read_text().splitlines()) > 20


@pytest.mark.row("N56")
def test_schemathesis_is_clean(tmp_path):
    schemathesis(tmp_path, "--phases", "fuzzing", "--max-examples", "5")


@pytest.mark.slow
@pytest.mark.row("N56")
def test_schemathesis_is_clean_in_all_its_phases(tmp_path):
    schemathesis(tmp_path, "--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "60")
