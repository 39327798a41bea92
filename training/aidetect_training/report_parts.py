"""What the page of `report` is put together from."""

import base64
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image


@dataclass(frozen=True, slots=True)
class Table:
    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Picture:
    """`light` and `dark` are data URIs; width and height in pixels."""

    caption: str
    alt: str
    light: str
    dark: str
    width: int
    height: int


@dataclass(slots=True)
class Section:
    title: str
    parts: list[tuple[str, Any]] = field(default_factory=list)

    def add(self, kind: str, part: Any) -> None:
        """`kind`: text, heading, facts, list, table or picture."""
        if part:
            self.parts.append((kind, part))


class Album:
    """Pictures as the page wants them; each is written beside the page too."""

    def __init__(self, out: Path) -> None:
        self.out = out

    def picture(self, name: str, pages: Mapping[str, bytes], caption: str, alt: str) -> Picture:
        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", name)
        uris = {}
        for page, data in pages.items():
            (self.out / f"{stem}{'' if page == 'light' else '-dark'}.png").write_bytes(data)
            uris[page] = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        with Image.open(io.BytesIO(pages["light"])) as image:
            return Picture(caption, alt, uris["light"], uris["dark"], *image.size)
