"""tradewright: declarative experiments for trading agents and trading language models."""

__version__ = "0.1.0"
