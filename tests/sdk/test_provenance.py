"""Every signal of the table on files that hold it, and none on files that only look like it."""

import pytest

from aidetect._image import decode
from aidetect._provenance import Finding, find_claims
from aidetect._provenance._signals import SIGNALS

from .image_files import noise, save
from .metadata_files import (
    COMFY,
    INFOTEXT,
    JUMBF,
    SOURCE_TYPE,
    UUID,
    as_json,
    exif,
    extended,
    gif,
    jpeg,
    loaded,
    packed_png,
    picture,
    png,
    samsung,
    segment,
    source_type,
    stealthy,
    webp,
    with_credentials,
    with_iim,
    with_xmp,
    xmp,
)

TRAINED = "trainedAlgorithmicMedia"
LABEL = as_json({"Label": "1", "ContentProducer": "maker"})
WRAPPED = as_json({"AIGC": {"Label": "1", "ContentProducer": "maker"}})
GRAPH = as_json(COMFY)
NOVEL = as_json({"prompt": "1girl", "steps": 28, "sampler": "k_euler", "seed": 77})
SIGNATURE = "Signature: " + "aGVsbG8gd29ybGQ" * 6 + "=="
DREAM = '"a castle" -s 50 -S 1234 -W 512 -H 512 -C 7.5 -A k_lms'
OLD_INVOKE = as_json({"model": "stable diffusion", "model_weights": "sd-1.4", "image": {"seed": 5}})
SWARM = as_json({"sui_image_params": {"prompt": "x", "model": "flux", "seed": 4}})
FOOO = as_json({"base_model": "juggernaut", "sampler": "dpmpp", "seed": "8"})


def says(property_: str, value: str) -> bytes:
    return xmp(f"<{property_}>{value}</{property_}>")


SAMPLES: list[tuple[str, str, bytes]] = [
    ("iptc_ai", "JPEG", with_xmp(source_type(TRAINED))),
    ("iptc_ai", "PNG", with_xmp(source_type(TRAINED), "PNG")),
    ("iptc_ai", "WEBP", with_xmp(source_type(TRAINED), "WEBP")),
    ("iptc_ai", "AVIF", with_xmp(source_type(TRAINED), "AVIF")),
    ("iptc_ai", "TIFF", with_xmp(source_type(TRAINED), "TIFF")),
    ("iptc_ai", "GIF", with_xmp(source_type(TRAINED), "GIF")),
    ("iptc_ai", "PNG", packed_png("iTXt", "XML:com.adobe.xmp", source_type(TRAINED).decode())),
    (
        "iptc_ai",
        "JPEG",
        with_xmp(xmp(attributes=f'Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}{TRAINED}"')),
    ),
    (
        "iptc_ai",
        "JPEG",
        with_xmp(xmp(f'<Iptc4xmpExt:DigitalSourceType rdf:resource="{SOURCE_TYPE}{TRAINED}"/>')),
    ),
    ("iptc_composite", "JPEG", with_xmp(source_type("compositeWithTrainedAlgorithmicMedia"))),
    ("iptc_composite", "PNG", with_xmp(source_type("compositeSynthetic"), "PNG")),
    ("iptc_not_ai", "JPEG", with_xmp(source_type("digitalCapture"))),
    ("iptc_ai_system", "JPEG", with_xmp(says("Iptc4xmpExt:AISystemUsed", "Paint 9"))),
    ("iptc_ai_system", "JPEG", with_xmp(says("Iptc4xmpExt:AIPromptInformation", "a cat"))),
    ("google_made", "JPEG", with_xmp(says("photoshop:Credit", "Made with Google AI"))),
    ("google_made", "JPEG", with_iim("Made with Google AI")),
    ("google_made", "TIFF", with_iim("Made with Google AI", "TIFF")),
    ("google_edited", "JPEG", with_iim("Edited with Google AI")),
    ("iptc_ai", "JPEG", extended(source_type(TRAINED))),
    ("google_edited", "JPEG", with_xmp(says("photoshop:Credit", "Edited with Google AI"))),
    ("webui", "PNG", png(parameters=INFOTEXT)),
    ("webui", "PNG", packed_png("zTXt", "parameters", INFOTEXT)),
    ("webui", "PNG", packed_png("iTXt", "parameters", INFOTEXT)),
    ("webui", "JPEG", jpeg(comment=INFOTEXT)),
    ("webui", "JPEG", jpeg(comment=INFOTEXT, code="utf-16-le")),
    ("webui", "WEBP", webp(comment=INFOTEXT)),
    ("webui", "GIF", gif(INFOTEXT)),
    ("webui", "JPEG", segment(0xFE, INFOTEXT.encode())),
    ("comfyui", "PNG", png(prompt=GRAPH)),
    ("comfyui", "PNG", png(workflow='{"last_node_id": 3, "nodes": [{"id": 3}], "links": []}')),
    ("comfyui", "WEBP", webp(model="prompt:" + GRAPH, make='workflow:{"nodes": [], "links": []}')),
    ("invokeai", "PNG", png(invokeai_metadata=as_json({"model": {"name": "sdxl"}, "seed": 3}))),
    ("invokeai", "PNG", png(invokeai_graph='{"nodes": {}}')),
    ("invokeai", "PNG", png(invokeai_workflow='{"nodes": []}')),
    ("invokeai", "PNG", png(sd__metadata=OLD_INVOKE)),
    ("invokeai", "PNG", png(Dream=DREAM)),
    ("novelai", "PNG", png(Software="NovelAI", Comment=NOVEL)),
    ("stealth", "PNG", save(stealthy("stealth_pngcomp"), "PNG")),
    ("stealth", "PNG", save(stealthy("stealth_pnginfo"), "PNG")),
    ("stealth", "WEBP", save(stealthy("stealth_pngcomp"), "WEBP", lossless=True, exact=True)),
    ("stealth", "PNG", save(stealthy("stealth_rgbinfo"), "PNG")),
    ("stealth", "PNG", save(stealthy("stealth_rgbcomp").convert("RGBA"), "PNG")),
    ("stealth", "WEBP", save(stealthy("stealth_rgbcomp"), "WEBP", lossless=True)),
    ("fooocus", "PNG", png(fooocus_scheme="fooocus", parameters=FOOO)),
    ("fooocus", "PNG", png(fooocus_scheme="a1111", parameters=INFOTEXT)),
    ("fooocus", "JPEG", jpeg(software="Fooocus v2.5", ascii=FOOO)),
    ("swarmui", "PNG", png(parameters=SWARM)),
    ("swarmui", "JPEG", jpeg(comment=SWARM)),
    ("midjourney", "PNG", png(Description=f"a castle --v 6 Job ID: {UUID}")),
    (
        "midjourney_xmp",
        "PNG",
        with_xmp(
            xmp(
                f"<Iptc4xmpExt:DigitalSourceType>{SOURCE_TYPE}{TRAINED}</Iptc4xmpExt:DigitalSourceType>"
                f"<Iptc4xmpExt:DigImageGUID>{UUID}</Iptc4xmpExt:DigImageGUID>"
            ),
            "PNG",
        ),
    ),
    ("grok", "JPEG", jpeg(description=SIGNATURE, artist=UUID)),
    ("luma", "PNG", png(Source="Luma AI")),
    ("samsung_edit", "JPEG", samsung(b'{"version":1,"genAIType":2}')),
    ("china_label", "PNG", png(AIGC=LABEL)),
    ("china_label", "PNG", png(AIGC=WRAPPED)),
    ("china_label", "JPEG", jpeg(ascii=WRAPPED)),
    ("china_label", "JPEG", jpeg(comment=WRAPPED)),
    ("china_label", "JPEG", with_xmp(says("TC260:AIGC", LABEL.replace('"', "&quot;")))),
    ("camera", "JPEG", jpeg(make="Canon", model="EOS R5", note=b"Canon\0maker note")),
    ("camera", "WEBP", webp(make="Apple", model="iPhone 15")),
    *(
        ("credentials_invalid", form, with_credentials(form))
        for form in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "GIF")
    ),
    ("credentials_remote", "JPEG", with_xmp(says("dcterms:provenance", "https://example.org/m.c2pa"))),
]

WRONG = "http://iptc.org/std/Iptc4xmpExt/1.0/"
INGREDIENT = (
    '<xmpMM:Ingredients><rdf:Bag><rdf:li><rdf:Description Iptc4xmpExt:DigitalSourceType="'
    f'{SOURCE_TYPE}{TRAINED}"/></rdf:li></rdf:Bag></xmpMM:Ingredients>'
)
ALMOST_JUMBF = JUMBF.replace(b"c2pa", b"json")

LOOK_ALIKES: dict[str, tuple[str, bytes]] = {
    "plain": ("JPEG", save(noise(), "JPEG")),
    "Photoshop": ("JPEG", jpeg(software="Adobe Photoshop 26.0")),
    "recipe in a comment": ("JPEG", segment(0xFE, b"Steps: 20, stir twice")),
    "recipe in parameters": ("PNG", png(parameters="Steps: 3, then wait\nSampler: cheese")),
    "recipe in a description": ("JPEG", jpeg(description=INFOTEXT)),
    "infotext in a sentence": ("PNG", png(parameters="no " + INFOTEXT.replace("\n", " "))),
    "label 0": ("PNG", png(AIGC='{"AIGC":{"Label":"0"}}')),
    "label 3": ("PNG", png(AIGC='{"Label":"3"}')),
    "label 0 in EXIF": ("JPEG", jpeg(ascii='{"AIGC":{"Label":"0"}}')),
    "label of something inside": ("PNG", png(AIGC='{"AIGC":{"Label":"0","x":{"Label":"1"}}}')),
    "label without its wrapper": ("JPEG", jpeg(ascii='{"Label":"1"}')),
    "label named in the value": ("PNG", png(AIGC='{"Note":"\\"Label\\":\\"1\\""}')),
    "a camera's APP11 box": ("JPEG", segment(0xEB, b"JP\0\1\0\0\0\1" + ALMOST_JUMBF)),
    "c2pa in a comment": ("JPEG", segment(0xFE, JUMBF)),
    "another caBX": ("PNG", with_credentials("PNG", ALMOST_JUMBF)),
    "wrong namespace": ("JPEG", with_xmp(source_type(TRAINED, WRONG))),
    "algorithmicMedia": ("JPEG", with_xmp(source_type("algorithmicMedia"))),
    "a longer term": ("JPEG", with_xmp(source_type(TRAINED + "Not"))),
    "another vocabulary": (
        "JPEG",
        with_xmp(says("Iptc4xmpExt:DigitalSourceType", "http://x/" + TRAINED)),
    ),
    "an ingredient": ("JPEG", with_xmp(xmp(INGREDIENT))),
    "no system": ("JPEG", with_xmp(says("Iptc4xmpExt:AISystemUsed", "None"))),
    "another credit": ("JPEG", with_xmp(says("photoshop:Credit", "Not Made with Google AI"))),
    "a prompt in words": ("PNG", png(prompt="class_type inputs", workflow="approved by the editor")),
    "a JSON prompt": ("PNG", png(prompt='{"question": "name?"}')),
    "a workflow of others": ("PNG", png(workflow='{"nodes": ["copy desk", "layout"]}')),
    "a dream in words": ("PNG", png(Dream="I saw a castle -so high")),
    "Software without Comment": ("PNG", png(Software="NovelAI")),
    "Comment without Software": ("PNG", png(Comment=NOVEL)),
    "Fooocus in words": ("PNG", png(fooocus_scheme="what is that", Comment="Fooocus")),
    "a print job": ("PNG", png(Description="Job ID: 4711, two copies")),
    "GUID alone": ("PNG", with_xmp(says("Iptc4xmpExt:DigImageGUID", UUID), "PNG")),
    "artist alone": ("JPEG", jpeg(artist=UUID)),
    "signature alone": ("JPEG", jpeg(description=SIGNATURE, artist="Jane Doe")),
    "Source": ("PNG", png(Source="Luma AI review, page 3")),
    "Samsung's editor without AI": ("JPEG", samsung(b'{"genAIType":0}')),
    "Samsung's other block": ("JPEG", samsung(b'{"genAIType":2}', b"Image_UTC_Data")),
    "make alone": ("JPEG", jpeg(make="Epson")),
    "another mark": ("PNG", save(stealthy("stealth_pngcomq"), "PNG")),
    "another mark in colours": ("PNG", save(stealthy("stealth_rgbcomq"), "PNG")),
    "the headline of IIM": ("JPEG", with_iim("Made with Google AI", dataset=105)),
    "a credit of others": ("JPEG", with_iim("Not Made with Google AI")),
    "extended XMP that nothing names": ("JPEG", extended(source_type(TRAINED), named=b"B2" * 16)),
    "a mark in rows": ("PNG", save(stealthy("stealth_pngcomp", turned=True), "PNG")),
    "text behind the image": ("PNG", png() + b"parameters\0" + INFOTEXT.encode()),
}


def keys(found: tuple[Finding, ...]) -> list[str]:
    return [finding.signal.key for finding in found]


@pytest.mark.parametrize(
    ("key", "form", "data"),
    SAMPLES,
    ids=[f"{i}-{key}-{form}" for i, (key, form, _) in enumerate(SAMPLES)],
)
def test_a_signal_is_found(key: str, form: str, data: bytes) -> None:
    assert loaded(data) == (96, 72)
    decoded = decode(data)
    assert decoded.format == form
    expected = [key]
    if key == "midjourney_xmp":
        expected = ["iptc_ai", "midjourney_xmp"]
    assert keys(find_claims(data, form, decoded.notes)) == expected


def test_every_signal_of_the_table_has_a_sample() -> None:
    """Those of Content Credentials are in test_credentials.py, which signs files."""
    unsigned = {key for key, signal in SIGNALS.items() if signal.kind == "metadata"}
    assert {key for key, _, _ in SAMPLES} == unsigned | {"credentials_invalid", "credentials_remote"}


@pytest.mark.parametrize("name", LOOK_ALIKES)
def test_a_look_alike_is_not(name: str) -> None:
    form, data = LOOK_ALIKES[name]
    assert loaded(data)[0] == 96
    assert find_claims(data, form, decode(data).notes) == ()


def details(data: bytes, form: str) -> dict[str, object]:
    (finding,) = find_claims(data, form)
    return dict(finding.to_evidence().details)


def test_what_a_generator_tells_is_shown_but_not_the_prompt() -> None:
    assert details(png(parameters=INFOTEXT), "PNG") == {
        "signal": "webui", "signed": False, "generator": "Stable Diffusion web UI",
        "model": "dream_v1", "sampler": "Euler a", "seed": "1234567",
    }  # fmt: skip
    assert details(png(prompt=GRAPH), "PNG")["seed"] == "99"
    assert details(png(Software="NovelAI", Comment=NOVEL), "PNG")["sampler"] == "k_euler"
    assert details(png(AIGC=LABEL), "PNG")["producer"] == "maker"
    for _, form, data in SAMPLES:
        for finding in find_claims(data, form):
            assert not {"castle", "1girl", "a cat"} & set(str(finding.to_evidence()).split())


ENCODED = {"6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a\ncat"}}}
PROMPTS = [
    (png(parameters=INFOTEXT), "a castle, Steps: many"),
    (
        png(prompt=as_json({"6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a\ncat"}}})),
        "a\\ncat",
    ),
    (png(Software="NovelAI", Comment=NOVEL), "1girl"),
    (png(parameters=SWARM), "x"),
    (png(Description=f"a castle --v 6 Job ID: {UUID}"), "a castle --v 6"),
    (png(Dream=DREAM), DREAM),
    (png(invokeai_metadata=as_json({"positive_prompt": "a dog", "seed": 1})), "a dog"),
    (png(fooocus_scheme="fooocus", parameters=as_json({"prompt": "a bird"})), "a bird"),
    (with_xmp(says("Iptc4xmpExt:AIPromptInformation", "a fish"), "PNG"), "a fish"),
    (png(parameters="\x1b[2J<b>\u202e" + "y" * 5000 + INFOTEXT[INFOTEXT.index("\n") :]), None),
]


@pytest.mark.parametrize(("data", "prompt"), PROMPTS, ids=range(len(PROMPTS)))
def test_a_prompt_is_told_only_where_it_is_asked_for(data: bytes, prompt: str | None) -> None:
    (quiet,), (open_,) = find_claims(data, "PNG"), find_claims(data, "PNG", prompts=True)
    assert "prompt" not in quiet.details
    told = open_.details["prompt"]
    assert {**open_.details} == {**quiet.details, "prompt": told}
    if prompt is None:
        assert told.startswith("\\x1b[2J<b>\\u202e") and told.endswith("…") and len(told) < 330
    else:
        assert told == prompt


def test_a_system_beside_a_composite_is_no_claim_that_all_is_ai() -> None:
    packet = xmp(
        "<Iptc4xmpExt:AISystemUsed>Paint 9</Iptc4xmpExt:AISystemUsed><Iptc4xmpExt:DigitalSourceType>"
        f"{SOURCE_TYPE}compositeWithTrainedAlgorithmicMedia</Iptc4xmpExt:DigitalSourceType>"
    )
    assert keys(find_claims(with_xmp(packet), "JPEG")) == ["iptc_composite"]


def test_text_behind_the_pixels_is_read() -> None:
    data = png(parameters=INFOTEXT)
    start = data.index(b"tEXtparameters") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    moved = data[:start] + data[end:-12] + data[start:end] + data[-12:]
    assert loaded(moved) == (96, 72)
    assert keys(find_claims(moved, "PNG")) == ["webui"]


def test_exif_of_png_and_avif_and_the_other_byte_order() -> None:
    block = exif(make="Canon", model="EOS R5").tobytes()
    for form in ("PNG", "AVIF"):
        assert keys(find_claims(save(picture(), form, exif=block), form)) == ["camera"]
    tiff = save(picture(), "TIFF", tiffinfo={271: "Canon", 272: "EOS R5"})
    assert keys(find_claims(tiff, "TIFF")) == ["camera"]
    big = b"MM\0*\0\0\0\x08\0\x02" + b"\x01\x0f\0\x02\0\0\0\x04Abc\0" + b"\x01\x10\0\x02\0\0\0\x04X1\0\0"
    assert keys(find_claims(segment(0xE1, b"Exif\0\0" + big + bytes(4)), "JPEG")) == ["camera"]
