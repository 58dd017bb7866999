"""Fine-tuning against a raw loop and TRL's SFTTrainer: one adapter, tokens and batch, in processes that run in turns.

``TRADEWRIGHT_TRL_PYTHON=/path/to/trl/bin/python pytest -m benchmark -s -n 0 tests/benchmark/test_sft_speed.py``

CPU time of one thread, which a busy machine disturbs least; the fastest round of each engine counts. Packing is
compared with padding of random lengths, where it should pay.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.benchmark

HERE = Path(__file__).parent
PEER = "TRADEWRIGHT_TRL_PYTHON"
INSTALL = "python -m venv trl && trl/bin/pip install 'torch>=2.11,<2.14' 'trl==1.16.*' transformers peft datasets"
ROUNDS = 2
LEAST = {1_700: 1.3, 50_000: 2.5}
"""Times TRL's speed, by vocabulary."""
LEAST_PACKED = 1.5
NUM_STEPS = {1_700: 20, 50_000: 10}
BATCH = 8


def write_task(folder: Path, *, vocabulary: int, spread: float) -> None:
    """Write a model of two layers of 192 and examples of about 160 tokens, a third of them prompt.

    Args:
        folder: Target.
        vocabulary: Rows of the head.
        spread: Standard deviation of the logarithm of lengths.
    """
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from tradewright.model.tokenizer import train_tokenizer

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=vocabulary, hidden_size=192, intermediate_size=512, num_hidden_layers=2, num_attention_heads=6,
        num_key_value_heads=6, max_position_embeddings=4096, tie_word_embeddings=True, pad_token_id=0, bos_token_id=1,
        eos_token_id=2,
    )  # fmt: skip
    Qwen2ForCausalLM(config).save_pretrained(str(folder / "model"))
    train_tokenizer(["buy sell"], kind="byte", vocabulary=300).save_pretrained(str(folder / "model"))
    rng = np.random.default_rng(0)
    lengths = np.clip(160 * np.exp(rng.normal(-0.5 * spread**2, spread, NUM_STEPS[vocabulary] * BATCH)), 12, 1500)
    rows = [(rng.integers(3, vocabulary, int(n)).tolist(), int(n) // 3) for n in lengths]
    (folder / "tokens.json").write_text(json.dumps(rows))


def measure(engines: dict[str, str], folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Return tokens per second and first loss of every engine, given its interpreter."""
    speeds, losses = dict.fromkeys(engines, 0.0), {}
    names = ("OMP", "MKL", "OPENBLAS")
    environment = {**os.environ, **{f"{name}_NUM_THREADS": "1" for name in names}, "HF_HUB_OFFLINE": "1"}
    for _ in range(ROUNDS):
        for engine, interpreter in engines.items():
            result = folder / "result.json"
            words = [interpreter, "-W", "ignore", str(HERE / "sft_engines.py"), engine, str(folder), str(result)]
            subprocess.run(words, check=True, env=environment, stdout=subprocess.DEVNULL)
            found = json.loads(result.read_text())
            speeds[engine], losses[engine] = max(speeds[engine], found["tokens_per_s"]), found["loss"]
    for engine, speed in speeds.items():
        print(f"{engine:12} {speed:10,.0f} tokens/CPU-s  loss {losses[engine]:.4f}")
    return speeds, losses


@pytest.mark.parametrize("vocabulary", [1_700, 50_000])
def test_tokens_per_second_beside_a_raw_loop_and_the_peer(vocabulary: int, tmp_path: Path) -> None:
    write_task(tmp_path, vocabulary=vocabulary, spread=0.2)
    engines = dict.fromkeys(("tradewright", "packed", "raw"), sys.executable)
    if PEER in os.environ:
        engines["trl"] = os.environ[PEER]
    print(f"\nvocabulary {vocabulary:,}")
    speeds, losses = measure(engines, tmp_path)
    assert losses["tradewright"] == pytest.approx(np.log(vocabulary), rel=0.05)
    assert losses["packed"] == pytest.approx(losses["tradewright"], rel=1e-4)
    assert speeds["tradewright"] >= 0.95 * speeds["raw"]
    if PEER not in os.environ:
        pytest.skip(f"{PEER} is not set to an interpreter that has the peer; install it: {INSTALL}")
    ratio = max(speeds["tradewright"], speeds["packed"]) / speeds["trl"]
    print(f"best / trl {ratio:.2f} x (at least {LEAST[vocabulary]})")
    assert ratio >= LEAST[vocabulary]


def test_packing_beside_padding_of_random_lengths(tmp_path: Path) -> None:
    write_task(tmp_path, vocabulary=1_700, spread=0.8)
    print("\nlengths spread by 0.8")
    speeds, _ = measure(dict.fromkeys(("tradewright", "packed"), sys.executable), tmp_path)
    print(f"packed / padded {speeds['packed'] / speeds['tradewright']:.2f} x (at least {LEAST_PACKED})")
    assert speeds["packed"] >= LEAST_PACKED * speeds["tradewright"]
