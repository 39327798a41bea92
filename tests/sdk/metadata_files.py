"""Image files with metadata: written by Pillow where it can, else put together byte by byte."""

import io
import json
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .image_files import chunk, save, smooth

IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
INFOTEXT = (
    "a castle, Steps: many\nNegative prompt: blurry\n"
    "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1234567, Size: 512x512, Model: dream_v1"
)
COMFY = {"3": {"class_type": "KSampler", "inputs": {"seed": 99, "sampler_name": "dpmpp_2m"}}}
UUID = "0f8fad5b-d9cb-469f-a165-70867728950e"
JUMBF = b"\0\0\0\x64jumb\0\0\0\x1ejumdc2pa" + bytes.fromhex("00110010800000aa00389b71")


def picture() -> Image.Image:
    return Image.fromarray(smooth())


def png(**texts: str) -> bytes:
    """Plain chunks; a keyword's `__` is a hyphen."""
    info = PngInfo()
    for keyword, text in texts.items():
        info.add_text(keyword.replace("__", "-"), text)
    return save(picture(), "PNG", pnginfo=info)


def packed_png(kind: str, keyword: str, text: str) -> bytes:
    """zTXt, or iTXt that is compressed."""
    info = PngInfo()
    if kind == "zTXt":
        info.add_text(keyword, text, zip=True)
    else:
        info.add_itxt(keyword, text, zip=True)
    return save(picture(), "PNG", pnginfo=info)


def exif(**tags: Any) -> Image.Exif:
    numbers = {"description": 270, "make": 271, "model": 272, "software": 305, "artist": 315}
    block = Image.Exif()
    for name, number in numbers.items():
        if name in tags:
            block[number] = tags[name]
    inner = block.get_ifd(0x8769)
    if "comment" in tags:
        inner[0x9286] = b"UNICODE\0" + tags["comment"].encode(tags.get("code", "utf-16-be"))
    if "ascii" in tags:
        inner[0x9286] = b"ASCII\0\0\0" + tags["ascii"].encode()
    if "note" in tags:
        inner[0x927C] = tags["note"]
    return block


def jpeg(**tags: Any) -> bytes:
    return save(picture(), "JPEG", exif=exif(**tags).tobytes())


def webp(**tags: Any) -> bytes:
    return save(picture(), "WEBP", exif=exif(**tags).tobytes())


def xmp(properties: str = "", attributes: str = "", namespace: str = IPTC) -> bytes:
    return (
        '<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
        f' xmlns:Iptc4xmpExt="{namespace}" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'
        ' xmlns:TC260="http://www.tc260.org.cn/ns/AIGC/1.0/" xmlns:dcterms="http://purl.org/dc/terms/"'
        f' xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/" {attributes}>{properties}</rdf:Description>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def source_type(term: str, namespace: str = IPTC) -> bytes:
    element = "Iptc4xmpExt:DigitalSourceType"
    return xmp(f"<{element}>{SOURCE_TYPE}{term}</{element}>", namespace=namespace)


def with_xmp(packet: bytes, form: str = "JPEG") -> bytes:
    if form == "PNG":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet.decode())
        return save(picture(), "PNG", pnginfo=info)
    if form == "GIF":
        magic = b"\1" + bytes(range(255, -1, -1)) + b"\0"
        plain = save(picture().quantize(16), "GIF")
        at = 13 + (3 << ((plain[10] & 7) + 1))
        return plain[:at] + b"\x21\xff\x0bXMP DataXMP" + packet + magic + plain[at:]
    if form == "TIFF":
        return save(picture(), "TIFF", tiffinfo={700: packet})
    return save(picture(), form, xmp=packet)


def segment(marker: int, body: bytes, data: bytes | None = None) -> bytes:
    """A JPEG with one more segment."""
    data = data or save(picture(), "JPEG")
    return data[:2] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + data[2:]


def with_credentials(form: str, store: bytes = JUMBF) -> bytes:
    if form == "JPEG":
        return segment(0xEB, b"JP\0\1\0\0\0\1" + store)
    if form == "TIFF":
        return save(picture(), "TIFF", tiffinfo={0xCD41: store})
    if form == "GIF":
        plain = save(picture().quantize(16), "GIF")
        block = b"\x21\xff\x0bC2PA_GIF\1\0\0" + bytes([len(store)]) + store + b"\0"
        at = 13 + (3 << ((plain[10] & 7) + 1))
        return plain[:at] + block + plain[at:]
    data = save(picture(), form)
    if form == "PNG":
        return data[:33] + chunk(b"caBX", store) + data[33:]
    if form == "WEBP":
        grown = data + b"C2PA" + struct.pack("<I", len(store)) + store + b"\0" * (len(store) & 1)
        return grown[:4] + struct.pack("<I", len(grown) - 8) + grown[8:]
    identity = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
    body = identity + b"\0\0\0\0manifest\0" + bytes(8) + store
    return data + struct.pack(">I", len(body) + 8) + b"uuid" + body


def samsung(content: bytes, name: bytes = b"PhotoEditor_Re_Edit_Data") -> bytes:
    block = struct.pack("<II", 0x0BA10000, len(name)) + name + content
    directory = b"SEFH" + struct.pack("<IIIII", 107, 1, 0x0BA10000, len(block), len(block))
    return save(picture(), "JPEG") + block + directory + struct.pack("<I", len(directory)) + b"SEFT"


def stealthy(mark: str, turned: bool = False) -> Image.Image:
    """96×72 with the mark in the lowest bits, down the columns, or wrongly along the rows: of alpha, or
    of red, green and blue where the mark is one for those."""
    bits = np.unpackbits(np.frombuffer(mark.encode() + b"\0\0\1\0prompt..", np.uint8))
    if "rgb" in mark:
        pixels = np.asarray(picture()).transpose(1, 0, 2).copy()
        flat = pixels.reshape(-1)
        flat[: len(bits)] = flat[: len(bits)] & 254 | bits
        return Image.fromarray(flat.reshape(pixels.shape).transpose(1, 0, 2).copy())
    alpha = np.full(96 * 72, 255, np.uint8)
    alpha[: len(bits)] = 254 | bits
    image = picture().convert("RGBA")
    image.putalpha(Image.fromarray(alpha.reshape(72, 96) if turned else alpha.reshape(96, 72).T.copy()))
    return image


def extended(packet: bytes, digest: bytes = b"A1" * 16, named: bytes | None = None) -> bytes:
    """A JPEG whose XMP is too long for one segment: a main packet that names the digest of the rest,
    which comes in two pieces, the later one first."""
    note = f'xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="{(named or digest).decode()}"'
    half = len(packet) // 2
    data = save(picture(), "JPEG")
    for start, end in ((0, half), (half, len(packet))):
        head = digest + struct.pack(">II", len(packet), start)
        data = segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + head + packet[start:end], data)
    return segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp(attributes=note), data)


def iim(credit: str, dataset: int = 110) -> bytes:
    """IPTC-IIM with a headline in front of the credit line."""
    fields = ((2, 105, b"a headline"), (2, dataset, credit.encode()))
    return b"".join(struct.pack(">BBBH", 0x1C, r, d, len(text)) + text for r, d, text in fields)


def with_iim(credit: str, form: str = "JPEG", dataset: int = 110) -> bytes:
    block = iim(credit, dataset)
    if form == "TIFF":
        return save(picture(), "TIFF", tiffinfo={33723: block})
    other = b"8BIM" + struct.pack(">H", 0x03ED) + b"\3abc" + struct.pack(">I", 3) + b"xyz\0"
    own = b"8BIM" + struct.pack(">HHI", 0x0404, 0, len(block)) + block
    return segment(0xED, b"Photoshop 3.0\0" + other + own)


def gif(comment: str) -> bytes:
    return save(picture().quantize(16), "GIF", comment=comment.encode())


def raw_png(kind: bytes, body: bytes) -> bytes:
    data = save(picture(), "PNG")
    return data[:33] + chunk(kind, body) + data[33:]


def bomb(size: int) -> bytes:
    return raw_png(b"zTXt", b"parameters\0\0" + zlib.compress(b"A" * size, 9))


def loaded(data: bytes) -> tuple[int, int]:
    """The size, from Pillow: that what the tests put together still is an image."""
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        return image.size


def as_json(value: object) -> str:
    return json.dumps(value)
