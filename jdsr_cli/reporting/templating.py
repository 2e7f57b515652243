"""Render the templates of this package: all values are escaped, nothing is loaded.

A page holds its style and script inline. Its Content-Security-Policy allows these two by their
hashes (CSP level 2) and pictures from data URIs, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from jdsr_cli.file_names import as_text
from jdsr_cli.reporting.wording import clock, counted
from jdsr_cli.version import __version__

GENERATOR = "jdsr"
"""Start of the content of the tag `generator`, by which pages of jdsr are recognised."""


def render(template: str, **values: Any) -> str:
    """Return a page from a template.

    Args:
        template: File name in `templates`.
        values: What the template refers to; texts are escaped.

    """
    style, script = _asset("page.css"), _asset("page.js")
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_source_hash(style)}'; "
        f"script-src '{_source_hash(script)}'; base-uri 'none'; form-action 'none'"
    )
    page = _environment().get_template(template).render(
        style=style, script=script, policy=policy,
        generator=f"{GENERATOR} {__version__}", **values,
    )  # fmt: skip
    return page if page.endswith("\n") else page + "\n"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("jdsr_cli.reporting"),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(clock=clock, counted=counted)
    return environment


def _printable(value: Any) -> Any:
    """Return a text with everything that is not printable as %XX, such as bidirectional marks."""
    return as_text(value) if type(value) is str else value


@cache
def _asset(name: str) -> str:
    return files("jdsr_cli.reporting").joinpath("templates", name).read_text("utf-8")


def _source_hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
