"""Where the shipped configuration lies: the repository's folders in a checkout, else the copies inside the package."""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent


def shipped(folder: str) -> Path:
    """Return the absolute path of a shipped folder (``conf`` or ``experiments``).

    A checkout (also an editable install) is recognised by its ``pyproject.toml`` two levels above the package;
    there the live files win over the stale copies that an editable wheel leaves in site-packages.
    """
    repository = PACKAGE.parents[1]
    if (repository / "pyproject.toml").is_file() and (repository / folder).is_dir():
        return repository / folder
    return PACKAGE / folder
