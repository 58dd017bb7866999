"""Render the jinja2 templates beside this module, and place plotly's script inside a page or beside the runs."""

import os
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from tradewright.output import write_text

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> str:
    """Return a template filled with ``values``; HTML is escaped in ``*.html.j2``."""
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def plotly_script(directory: Path, shared: bool) -> Markup:
    """Return the element that loads plotly without the network.

    Args:
        directory: Folder of the page.
        shared: Write the script once into the folder above and link to it, instead of embedding 5 MB.
    """
    from plotly import __version__ as version
    from plotly.offline import get_plotlyjs

    if not shared:
        return Markup("<script>{}</script>").format(Markup(get_plotlyjs()))
    script = directory.absolute().parent / f"plotly-{version}.min.js"
    if not script.is_file():
        write_text(script, get_plotlyjs())
    link = Path(os.path.relpath(script, directory.absolute())).as_posix()
    return Markup('<script src="{}"></script>').format(link)
