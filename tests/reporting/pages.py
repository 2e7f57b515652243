"""Read pages of reports as a browser would, with the parser of the standard library."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from PIL import Image

VOID = {"meta", "img", "input", "br", "wbr", "link", "hr"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass
class Page(HTMLParser):
    """The elements of a page, and its visible text."""

    source: str
    elements: list[Element] = field(default_factory=list)
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[Element] = []
        self.unbalanced: list[str] = []
        self._visible: list[str] = []
        self.feed(self.source)
        self.close()
        self.text = " ".join(" ".join(self._visible).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if self._open and self._open[-1].tag == tag:
            self._open.pop()
        else:
            self.unbalanced.append(tag)

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.pieces.append(data)
        if self._open and self._open[-1].tag not in ("style", "script", "title"):
            self._visible.append(data)

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Return the elements of a tag whose attributes have these values."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [
            one
            for one in self.elements
            if one.tag == tag and wanted.items() <= one.attributes.items()
        ]

    @property
    def pictures(self) -> list[Element]:
        return self.all("img")


def read_page(path: Path) -> Page:
    return Page(path.read_text("utf-8"))


def decoded(picture: Element) -> Image.Image:
    """Return the picture in a data URI."""
    content = picture.attributes["src"].partition(",")[2]
    return Image.open(io.BytesIO(base64.b64decode(content)))


def policy(page: Page) -> dict[str, str]:
    """Return the directives of the Content-Security-Policy."""
    (meta,) = page.all("meta", http_equiv="Content-Security-Policy")
    parts = (one.strip().partition(" ") for one in meta.attributes["content"].split(";"))
    return {name: value for name, _, value in parts}


def source_hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def assert_self_contained(page: Page) -> None:
    """Check that a page loads nothing, runs nothing foreign and is well-formed."""
    assert page.unbalanced == []
    stated = policy(page)
    assert stated["default-src"] == "'none'"
    assert stated["img-src"] == "data:"
    (style,), (script,) = page.all("style"), page.all("script")
    assert stated["style-src"] == source_hash(style.text)
    assert stated["script-src"] == source_hash(script.text)
    assert not re.search(r"url\(|@import", style.text)
    for one in page.elements:
        assert one.tag not in ("link", "iframe", "object", "embed", "base", "form")
        assert not any(name.startswith("on") or name == "style" for name in one.attributes)
        assert one.attributes.get("src", "data:image/").startswith("data:image/")
        assert one.attributes.get("href", "#").startswith(("#", "./"))
    identifiers = [one.attributes["id"] for one in page.elements if "id" in one.attributes]
    assert len(identifiers) == len(set(identifiers))
    for one in page.elements:
        for name in ("for", "aria-controls", "aria-labelledby"):
            assert one.attributes.get(name, identifiers[0]) in identifiers
        if one.tag == "img":
            assert one.attributes["alt"]
