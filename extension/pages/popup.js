// The toolbar's popup: the images of this page, or one that is given here.

import { inPage } from "../lib/bytes.js";
import { asDataAddress } from "../lib/pictures.js";
import { $, begin, listHistory } from "../lib/page.js";
import { settings } from "../lib/settings.js";

const t = await begin();
const asked = Number(new URLSearchParams(location.search).get("tab"));
const tab = asked || (await chrome.tabs.query({ active: true, currentWindow: true }))[0]?.id || -1;

$("options").addEventListener("click", () => chrome.runtime.openOptionsPage());
$("connect").addEventListener("click", () => chrome.runtime.openOptionsPage());
$("all").addEventListener("click", () => chrome.runtime.openOptionsPage());
$("choose").addEventListener("click", () => $("files").click());
$("files").addEventListener("change", () => takeFiles([...$("files").files]));
$("addresses").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  takeAddress($("url").value.trim());
});
document.addEventListener("paste", (event) => taken(event.clipboardData, event));
document.addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("over"); });
document.addEventListener("dragleave", () => document.body.classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  taken(event.dataTransfer, event);
});

$("unconnected").hidden = Boolean((await settings()).key);
$("empty").hidden = (await listHistory($("entries"), t, 5)) > 0;
await listImages();

/** @param {DataTransfer | null} data @param {Event} event */
function taken(data, event) {
  const files = [...(data?.files ?? [])];
  const text = data?.getData("text/uri-list") || data?.getData("text/plain") || "";
  if (files.length) takeFiles(files);
  else if (/^https?:\/\//.test(text.trim()) && event.target !== $("url")) takeAddress(text.trim().split(/\s/)[0]);
}

/** @param {File[]} files */
async function takeFiles(files) {
  let last = null;
  for (const file of files.slice(0, 20)) {
    last = await send({ tab: -1, frame: 0, src: "", name: file.name }, await asDataAddress(file));
  }
  if (last) await chrome.tabs.create({ url: chrome.runtime.getURL(`pages/report.html?job=${last}`) });
}

/** @param {string} address */
async function takeAddress(address) {
  if (!/^https?:\/\/[^\s]+$/.test(address)) {
    $("told").textContent = t("error_invalid_url");
    return;
  }
  const job = await send({ tab: -1, frame: 0, src: address });
  await chrome.tabs.create({ url: chrome.runtime.getURL(`pages/report.html?job=${job}`) });
}

/** @param {any} image @param {string | null} [data] */
async function send(image, data = null) {
  const { incognito } = await chrome.tabs.get(tab).catch(() => ({ incognito: chrome.extension.inIncognitoContext }));
  return (await chrome.runtime.sendMessage({ type: "start", image: { ...image, incognito }, data })).job;
}

async function listImages() {
  const images = await inPage(tab, 0, "list").catch(() => null);
  $("none").hidden = Boolean(images?.length);
  $("none").textContent = t(images ? "ext_images_none" : "ext_images_forbidden");
  $("images").replaceChildren(...(images ?? []).map(item));
}

/** @param {any} image */
function item(image) {
  const { clean } = globalThis.aidetectCardText;
  const name = clean(image.name, 60) || t(`ext_kind_${image.kind}`);
  const picture = image.thumbnail
    ? Object.assign(document.createElement("img"), { src: image.thumbnail, alt: "" })
    : Object.assign(document.createElement("span"), { className: "blank", textContent: t(`ext_kind_${image.kind}`) });
  const button = Object.assign(document.createElement("button"), { type: "button" });
  button.append(picture, `${name} (${image.width} × ${image.height})`);
  button.addEventListener("click", () => pick(image, name));
  const entry = document.createElement("li");
  entry.append(button);
  return entry;
}

/** @param {any} image @param {string} name */
async function pick(image, name) {
  if (image.kind === "image" || image.kind === "background") {
    await send({ tab, frame: 0, src: image.url });
  } else {
    const drawn = await inPage(tab, 0, "drawListed", image.index);
    if (!drawn.data) {
      $("told").textContent = t("error_unreadable");
      return;
    }
    await send({ tab, frame: 0, src: `${image.kind}:`, name }, drawn.data);
  }
  window.close();
}
