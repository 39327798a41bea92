"""What a file says of its own origin: claims of generators, editors and cameras, without a model.

All of it is unsigned and can be forged in both directions: it is told as a claim (`_fusion` has
the rules), and that nothing is found never means anything. `docs/evidence.md` has the table.
"""

from collections.abc import Callable, Iterator

from . import _generators, _standards
from ._finding import Finding
from ._metadata import Metadata, read_metadata

__all__ = ["Finding", "find_claims"]

_LOOKED_FOR: tuple[Callable[[Metadata], Iterator[Finding]], ...] = (
    _standards.credentials,
    _standards.iptc,
    _standards.china,
    _standards.google,
    _generators.webui,
    _generators.comfyui,
    _generators.invokeai,
    _generators.novelai,
    _generators.stealth,
    _generators.fooocus,
    _generators.swarmui,
    _generators.midjourney,
    _generators.grok,
    _generators.others,
    _standards.camera,
)


def find_claims(data: bytes, form: str, notes: tuple[str, ...] = ()) -> tuple[Finding, ...]:
    """All that the file claims, in a fixed order; `form` is its format by `_image_format`,
    `notes` are those of the decoded image, which tell of a mark in the alpha channel.

    Never raises, and its work is bounded whatever the bytes: neither pixels are copied nor any
    address asked. Files that Pillow reads but which carry no metadata (BMP) give nothing.
    """
    metadata = read_metadata(data, form)
    metadata.notes = notes
    found: list[Finding] = []
    for look in _LOOKED_FOR:
        try:
            found.extend(look(metadata))
        except Exception:  # a stranger's strings; no check fails on account of them
            continue
    return tuple(found)
