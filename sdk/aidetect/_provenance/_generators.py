"""Signals that single generators leave: their own metadata, unsigned, and told as a claim.

A keyword alone is never enough where others might use it too: its content has to have the
generator's form. All patterns run in time linear in the text.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from . import _exif
from ._finding import Finding, shown
from ._metadata import Metadata
from ._signals import SIGNALS
from ._standards import json_object

_STEPS = re.compile(r"(?:^|[\r\n])\s?Steps: \d{1,6},")
_UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_JOB = re.compile(rf"\bJob ID: {_UUID}(?![0-9a-f])", re.IGNORECASE)
_GROK = re.compile(r"\s*Signature: [A-Za-z0-9+/]{40,4096}={0,2}\s*")
_GEN_AI_TYPE = re.compile(r'"genAIType"\s{0,9}:\s{0,9}"?0*[1-9]')
_CLASS_TYPE = re.compile(r'"class_type"\s{0,9}:\s{0,9}"')
_NODES = re.compile(r'"nodes"\s{0,9}:\s{0,9}\[')
_LINKS = re.compile(r'"links"\s{0,9}:\s{0,9}\[')


def _comment(metadata: Metadata) -> str:
    return metadata.exif.get(_exif.USER_COMMENT, "")


def _field(text: str, name: str) -> str | None:
    """The value after `name: ` up to a comma or the line's end."""
    match = re.search(rf"(?:^|[\n,]) ?{name}: ([^,\n]{{1,300}})", text)
    return match[1] if match else None


def _json_field(text: str, *names: str) -> str | None:
    """The first plain value of any of these names in JSON, without parsing all of it."""
    for name in names:
        match = re.search(rf'"{name}"\s{{0,9}}:\s{{0,9}}(?:"([^"\\]{{1,300}})"|(-?\d{{1,30}}))', text)
        if match:
            return match[1] or match[2]
    return None


def _json_text(text: str, name: str) -> str | None:
    """The first string of this name in JSON that is longer than nothing, its escapes resolved."""
    match = re.search(rf'"{name}"\s{{0,9}}:\s{{0,9}}"((?:[^"\\]|\\.){{1,2000}})', text)
    if match is None:
        return None
    try:
        return str(json.loads(f'"{match[1]}"'))
    except ValueError:
        return match[1]


def webui(metadata: Metadata) -> Iterator[Finding]:
    if "fooocus_scheme" in metadata.texts:
        return
    for text in (metadata.texts.get("parameters"), _comment(metadata), metadata.texts.get("comment")):
        starts = [match.start() for match in _STEPS.finditer(text or "")]
        if not text or not starts:
            continue
        tail = text[starts[-1] :]
        if all(name in tail for name in (" Sampler: ", " CFG scale: ", " Seed: ")):
            details = shown(
                model=_field(tail, "Model"),
                sampler=_field(tail, "Sampler"),
                seed=_field(tail, "Seed"),
                prompt=text[: starts[-1]].partition("\nNegative prompt:")[0],
            )
            yield Finding(SIGNALS["webui"], "Stable Diffusion web UI", details)
            return


def comfyui(metadata: Metadata) -> Iterator[Finding]:
    texts = [metadata.texts.get("prompt", ""), metadata.texts.get("workflow", "")]
    for text in metadata.exif.values():
        keyword = text[:9].partition(":")[0]
        if keyword.lower() in ("prompt", "workflow"):
            texts.append(text[len(keyword) + 1 :])
    texts = [text for text in texts if text.lstrip()[:1] == "{"]
    graph = any(_CLASS_TYPE.search(text) and '"inputs"' in text for text in texts)
    if graph or any(_NODES.search(text) and _LINKS.search(text) for text in texts):
        together = "\n".join(texts)
        details = shown(
            model=_json_field(together, "ckpt_name", "unet_name"),
            sampler=_json_field(together, "sampler_name"),
            seed=_json_field(together, "seed", "noise_seed"),
            prompt=_encoded_text(texts[0]),
        )
        yield Finding(SIGNALS["comfyui"], "ComfyUI", details)


def _encoded_text(graph: str) -> str:
    """What ComfyUI's nodes that encode prompts are given."""
    nodes = [node for node in json_object(graph).values() if isinstance(node, dict)]
    inputs = [n.get("inputs") for n in nodes if "TextEncode" in str(n.get("class_type"))]
    typed = [given.get("text") for given in inputs if isinstance(given, dict)]
    return " | ".join(text for text in typed if isinstance(text, str))


def invokeai(metadata: Metadata) -> Iterator[Finding]:
    texts = metadata.texts
    for keyword in ("invokeai_metadata", "invokeai_graph", "invokeai_workflow"):
        if texts.get(keyword, "").lstrip()[:1] == "{":
            values = json_object(texts[keyword])
            model = values.get("model")
            name = model.get("name", model.get("model_name")) if isinstance(model, dict) else None
            details = shown(
                model=name,
                sampler=values.get("scheduler"),
                seed=values.get("seed"),
                prompt=values.get("positive_prompt"),
            )
            yield Finding(SIGNALS["invokeai"], "InvokeAI", details)
            return
    old = texts.get("sd-metadata", "")
    dream = texts.get("Dream", "")
    told = old.lstrip()[:1] == "{" and '"image"' in old and '"model' in old
    if told or (re.search(r" -s ?\d", dream) and re.search(r" -S ?\d", dream)):
        prompt = dream or _json_text(old, "prompt")
        details = shown(model=_json_field(old, "model_weights"), prompt=prompt)
        yield Finding(SIGNALS["invokeai"], "InvokeAI", details)


def _settings(model: object, values: dict[str, Any]) -> dict[str, str]:
    """The details, from values that go by the usual names."""
    return shown(
        model=model, sampler=values.get("sampler"), seed=values.get("seed"), prompt=values.get("prompt")
    )


def novelai(metadata: Metadata) -> Iterator[Finding]:
    values = json_object(metadata.texts.get("Comment", ""))
    if metadata.texts.get("Software", "").strip() == "NovelAI" and {"steps", "seed"} & set(values):
        details = _settings(metadata.texts.get("Source"), values)
        yield Finding(SIGNALS["novelai"], "NovelAI", details)


def stealth(metadata: Metadata) -> Iterator[Finding]:
    marks = [note for note in metadata.notes if note.startswith("stealth_")]
    if marks:
        yield Finding(SIGNALS["stealth"], "NovelAI or a web UI", shown(mark=marks[0]))


def fooocus(metadata: Metadata) -> Iterator[Finding]:
    in_png = metadata.texts.get("fooocus_scheme", "").strip() in ("fooocus", "a1111")
    software = metadata.exif.get(_exif.SOFTWARE, "")
    if in_png or (software.startswith("Fooocus") and _comment(metadata)):
        text = metadata.texts.get("parameters", "") if in_png else _comment(metadata)
        values = json_object(text)
        details = _settings(values.get("base_model"), values)
        yield Finding(SIGNALS["fooocus"], "Fooocus", details)


def swarmui(metadata: Metadata) -> Iterator[Finding]:
    for text in (metadata.texts.get("parameters", ""), _comment(metadata)):
        parameters: Any = json_object(text).get("sui_image_params")
        if isinstance(parameters, dict):
            details = _settings(parameters.get("model"), parameters)
            yield Finding(SIGNALS["swarmui"], "SwarmUI", details)
            return


def midjourney(metadata: Metadata) -> Iterator[Finding]:
    text = metadata.texts.get("Description", "")
    job = _JOB.search(text)
    if job:
        yield Finding(SIGNALS["midjourney"], "Midjourney", shown(prompt=text[: job.start()]))


def grok(metadata: Metadata) -> Iterator[Finding]:
    artist = metadata.exif.get(_exif.ARTIST, "").strip()
    signature = metadata.exif.get(_exif.DESCRIPTION, "")
    if re.fullmatch(_UUID, artist, re.IGNORECASE) and _GROK.fullmatch(signature):
        yield Finding(SIGNALS["grok"], "xAI Grok")


def others(metadata: Metadata) -> Iterator[Finding]:
    if metadata.texts.get("Source", "").strip() == "Luma AI":
        yield Finding(SIGNALS["luma"], "Luma AI")
    if _GEN_AI_TYPE.search(metadata.samsung):
        yield Finding(SIGNALS["samsung_edit"], "Samsung photo editor")
