"""The losses of the first 20 optimizer steps of tiny models, kept as data: ``python sft_golden.py`` writes them.

In single precision on one thread, packed and accumulated, so that a change in the arithmetic of any part (tokens,
order, attention, head, loss, gradient, optimizer, schedule) shows as a number.
"""

import json
import sys
import tempfile
from pathlib import Path

import torch
from text_cases import fit, model_of, sets_of, sft_of, tokenizer_of, trainer_of

from tradewright.callbacks.curves import Curves

GOLDEN = Path(__file__).parents[1] / "golden" / "sft_losses.json"
ARCHITECTURES = ("qwen2", "gpt2", "mistral")
NUM_STEPS = 20


def losses(architecture: str, folder: Path) -> list[float]:
    """Train for 20 steps of 5 examples in packs of at most 160 tokens; return the loss of each."""
    torch.set_num_threads(1)
    tokenizer, curves = tokenizer_of(), Curves()
    model = model_of(architecture, vocabulary=len(tokenizer))
    options = {
        "epochs": 5,
        "batch_size": 5,
        "accumulation": 1,
        "tokens_per_batch": 160,
        "weight_decay": 0.1,
        "lr": 3e-3,
    }
    module = sft_of(model, tokenizer, sets_of(20), **options)
    fit(module, trainer_of(folder, max_epochs=5, callbacks=[curves]))
    values = curves.curves["train/loss"][1]
    assert len(values) == NUM_STEPS
    return values


def main() -> int:
    """Write the file."""
    with tempfile.TemporaryDirectory() as folder:
        found = {name: [round(value, 6) for value in losses(name, Path(folder))] for name in ARCHITECTURES}
    GOLDEN.write_text(json.dumps({"relative_tolerance": 1e-3, "losses": found}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
