"""Steps that several tests of language models share: logits, a short training, quantisations."""

from typing import Any

import torch
from torch import Tensor
from transformers import BitsAndBytesConfig

from tradewright.model.loaded_model import LoadedModel


def logits(loaded: LoadedModel, ids_BL: Tensor) -> Tensor:
    """Return the logits in evaluation mode."""
    loaded.model.eval()
    with torch.no_grad():
        return loaded.model(ids_BL).logits


def train(loaded: LoadedModel, ids_BL: Tensor, *, num_steps: int = 3, lr: float = 0.5) -> list[float]:
    """Take a few large steps, so that an adapter is far from its start; return the losses."""
    loaded.model.train()
    trained = [parameter for parameter in loaded.model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=lr)
    losses = []
    for _ in range(num_steps):
        optimizer.zero_grad()
        loss = loaded.model(ids_BL, labels=ids_BL).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def quantisation(name: str, compute: torch.dtype = torch.float32) -> Any:
    """Return ``none``, ``nf4`` or ``int8`` as the configuration builds it."""
    if name == "none":
        return None
    if name == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=compute,
    )
