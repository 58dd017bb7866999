"""Answers to equal requests: only those that a second run would give again are kept (temperature 0, or a seed)."""

import hashlib
import json
from collections import OrderedDict
from typing import Any


class ResponseCache:
    """Keeps whole responses, the ones that were not asked for longest go first.

    Args:
        size: Most responses, >= 0; 0 keeps none.

    Raises:
        ValueError: ``size`` is negative.
    """

    def __init__(self, size: int) -> None:
        if size < 0:
            raise ValueError(f"cache_size must be >= 0, was {size}")
        self.size = size
        self.hits = 0
        self.misses = 0
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str) -> bytes | None:
        """Return the response that was kept, and count."""
        found = self._kept.get(key)
        if found is None:
            self.misses += 1
        else:
            self.hits += 1
            self._kept.move_to_end(key)
        return found

    def keep(self, key: str, response: bytes) -> bytes:
        """Keep a response unless an equal request was faster; return the kept one, so that both get the same."""
        if self.size == 0:
            return response
        kept = self._kept.setdefault(key, response)
        while len(self._kept) > self.size:
            self._kept.popitem(last=False)
        return kept


def request_key(path: str, content: dict[str, Any]) -> str:
    """Return the identity of a request: where it went and what it says, whatever the order of its fields."""
    text = json.dumps([path, content], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
