"""Properties that an XMP packet states of the image itself.

XML is where parsers are attacked, so defusedxml reads it: a document type, an entity or an outside
reference ends the reading. Besides, depth and number of elements are bounded, and no tree is built.
"""

from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_ROOT, _DESCRIPTION = f"{{{RDF}}}RDF", f"{{{RDF}}}Description"
_DEPTH_LIMIT = 32
_ELEMENT_LIMIT = 5000
_VALUE_LIMIT = 100_000
_FEED = 16_384

Properties = dict[str, list[str]]
"""`{namespace}name` → its values."""


class _Enough(Exception):
    """A bound is reached."""


class _Collector:
    """Keeps the properties of the outermost descriptions.

    A property inside another one (an ingredient, a history entry) is of something else than the
    image, and is left out.
    """

    def __init__(self, properties: Properties) -> None:
        self._properties = properties
        self._path: list[str] = []
        self._text: list[str] = []
        self._elements = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._elements += 1
        if self._elements > _ELEMENT_LIMIT or len(self._path) >= _DEPTH_LIMIT:
            raise _Enough
        self._path.append(tag)
        self._text = []
        inside = self._inside()
        if inside == [] and tag == _DESCRIPTION:
            for name, value in attributes.items():
                self._add(name, value)
        elif inside is not None and len(inside) == 1:
            resource = attributes.get(f"{{{RDF}}}resource")
            if resource:
                self._add(inside[0], resource)

    def data(self, text: str) -> None:
        self._text.append(text)

    def end(self, _tag: str) -> None:
        inside = self._inside()
        text = "".join(self._text).strip()
        if text and inside is not None and len(inside) == 1:
            self._add(inside[0], text)
        self._path.pop()
        self._text = []

    def close(self) -> None:
        pass

    def _inside(self) -> list[str] | None:
        """The elements below rdf:RDF that are not RDF's own; None outside of it."""
        if _ROOT not in self._path:
            return None
        below = self._path[self._path.index(_ROOT) + 1 :]
        return [tag for tag in below if not tag.startswith(f"{{{RDF}}}")]

    def _add(self, name: str, value: str) -> None:
        self._properties.setdefault(name, []).append(value[:_VALUE_LIMIT])


def read_xmp(packet: bytes, properties: Properties) -> None:
    """Adds the packet's properties; of one that is broken or too large, those in front of that."""
    parser = DefusedXMLParser(target=_Collector(properties), forbid_dtd=True)
    packet = packet.strip(b"\0 \r\n\t")
    try:
        for start in range(0, len(packet), _FEED):
            parser.feed(packet[start : start + _FEED])
        parser.close()
    except (_Enough, ParseError, DefusedXmlException, ValueError, LookupError):
        pass
