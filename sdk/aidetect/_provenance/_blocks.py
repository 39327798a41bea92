"""Where the readers of file formats put what they find, and how much they may find.

The bytes are a stranger's. Every bound counts work (bytes and steps) and never the clock, so that
one file gives the same evidence on every machine, however busy.
"""

import zlib

BLOCK_LIMIT = 1_000_000
"""Bytes read of one block; a longer one is cut. Inflated text too."""

TOTAL_LIMIT = 4_000_000
"""Bytes read of all blocks of one file."""

STEP_LIMIT = 20_000
"""Chunks, segments, boxes and directory entries looked at in one file."""

C2PA_BOX = b"jumdc2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71"
"""What tells a JUMBF box of Content Credentials from the other ones that cameras write
(C2PA specification 2.1, "C2PA box details": the UUID of the manifest store)."""


class Exhausted(Exception):
    """A bound is reached; what was found before it stands."""


class Blocks:
    """Raw metadata of one file, filled by a reader."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []
        """(PNG keyword, or `comment` in GIF and JPEG; text)."""
        self.exif: list[bytes] = []
        """TIFF structures, from their byte order on."""
        self.xmp: list[bytes] = []
        self.credits: list[str] = []
        """Credit lines in IPTC-IIM."""
        self.credentials = 0
        """Bytes of the C2PA manifest store in the file, about; 0 if there is none."""
        self.samsung = ""
        """What Samsung's photo editor appended behind the JPEG."""
        self._bytes_left = TOTAL_LIMIT
        self._steps_left = STEP_LIMIT

    def step(self) -> None:
        """Counts one chunk, segment or box. Raises Exhausted."""
        self._steps_left -= 1
        if self._steps_left < 0:
            raise Exhausted

    def cut(self, data: bytes, start: int, end: int) -> bytes:
        """A copy of data[start:end] within the bounds. Raises Exhausted."""
        piece = data[start : min(end, start + BLOCK_LIMIT, start + self._bytes_left)]
        self._spend(len(piece))
        return piece

    def inflate(self, packed: bytes) -> bytes:
        """A zlib stream, no further than the bounds. Raises Exhausted or zlib.error."""
        piece = zlib.decompressobj().decompress(packed, max(1, min(BLOCK_LIMIT, self._bytes_left)))
        self._spend(len(piece))
        return piece

    def add_exif(self, block: bytes) -> None:
        while block.startswith(b"Exif\0\0"):
            block = block[6:]
        self.exif.append(block)

    def add_credentials(self, data: bytes, start: int, end: int) -> None:
        """Counts what lies at data[start:end] if it begins a C2PA manifest store."""
        if C2PA_BOX in data[start : min(end, start + 64)]:
            self.credentials += end - start

    def add_text(self, keyword: str, raw: bytes) -> None:
        self.texts.append((keyword, text_of(raw)))

    def _spend(self, count: int) -> None:
        self._bytes_left -= count
        if self._bytes_left <= 0:
            raise Exhausted


def text_of(raw: bytes) -> str:
    """UTF-8, which generators write even where a format wants Latin-1; else Latin-1."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if len(raw) >= BLOCK_LIMIT and error.start > len(raw) - 4:
            return raw[: error.start].decode("utf-8")
        return raw.decode("latin-1")
