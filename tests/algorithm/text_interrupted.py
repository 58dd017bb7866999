"""Trains for minutes until it is interrupted: ``python text_interrupted.py <folder>``; exit code 130 then."""

import sys
from pathlib import Path

import torch
from text_cases import fit, model_of, sets_of, sft_of, tokenizer_of, trainer_of

from tradewright.callbacks.checkpoints import LastCheckpoint


def main(folder: Path) -> int:
    """Train; return whether it was interrupted, as the command's exit code says."""
    torch.set_num_threads(1)
    tokenizer = tokenizer_of()
    module = sft_of(model_of("qwen2", vocabulary=len(tokenizer)), tokenizer, sets_of(800), epochs=1)
    trainer = trainer_of(folder, max_epochs=1, callbacks=[LastCheckpoint(directory=folder, every_n_steps=2)])
    try:
        fit(module, trainer)
    except SystemExit:  # Lightning turns Ctrl-C into an exit
        if not trainer.interrupted:
            raise
    return 130 if trainer.interrupted else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
