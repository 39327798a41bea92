// The toolbar's popup, also as a page of its own: the images of a page, or one that is given here.

import { inPage } from "../lib/bytes.js";
import { entries } from "../lib/history.js";
import { all, over } from "../lib/jobs.js";
import { asDataAddress } from "../lib/pictures.js";
import { settings } from "../lib/settings.js";
import { $, begin, button, clean, make, open, openReport, reveal } from "./common.js";
import { listEntries } from "./entries.js";

const MOST_FILES = 20;
const FIREFOX = chrome.runtime.getURL("").startsWith("moz-");

const t = await begin();
const own = await chrome.tabs.getCurrent();
const asked = Number(new URLSearchParams(location.search).get("tab"));
const tab = asked || (await chrome.tabs.query({ active: true, currentWindow: true }))[0]?.id || -1;
document.body.classList.toggle("popup", !own);

$("detach").hidden = Boolean(own);
$("detach").addEventListener("click", detach);
$("options").addEventListener("click", () => chrome.runtime.openOptionsPage());
$("connect").addEventListener("click", () => open("welcome.html"));
$("all").addEventListener("click", () => open("history.html"));
$("choose").addEventListener("click", () => {
  if (FIREFOX && !own) detach(); // its popup closes under the dialogue, and the choice is lost
  else $("files").click();
});
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
chrome.storage.session.onChanged.addListener(listJobs);

$("unconnected").hidden = Boolean((await settings()).key);
const kept = (await entries()).slice(0, 5);
$("empty").hidden = kept.length > 0;
$("all").hidden = kept.length === 0;
listEntries($("entries"), kept, t);
await listJobs();
reveal();
await listImages();

async function detach() {
  await open(`popup.html?tab=${tab}`);
  window.close();
}

/** @param {DataTransfer | null} data @param {Event} event */
function taken(data, event) {
  if (event.type === "paste" && event.target === $("url")) return; // stays in the field
  event.preventDefault();
  const files = [...(data?.files ?? [])];
  const text = (data?.getData("text/uri-list") || data?.getData("text/plain") || "").trim();
  if (files.length) takeFiles(files);
  else if (/^(https?|data):/.test(text)) takeAddress(text.split(/\s/)[0]);
  else $("told").textContent = t("page_nothing");
}

/** @param {File[]} files */
async function takeFiles(files) {
  $("told").textContent = files.length > MOST_FILES ? t("page_too_many", { count: MOST_FILES }) : "";
  const jobs = [];
  const { maxBytes } = await settings();
  for (const file of files.slice(0, MOST_FILES)) {
    if (file.size > maxBytes) $("told").textContent = `${clean(file.name)}: ${globalThis.aidetectCardText.problem({ code: "too_large", limit: maxBytes }, t)}`;
    else jobs.push(await send({ tab: -1, frame: 0, src: "", name: file.name }, await asDataAddress(file)));
  }
  $("files").value = "";
  if (jobs.length) await openReport(jobs);
}

/** @param {string} address */
async function takeAddress(address) {
  if (!/^(https?:\/\/[^\s/]|data:image\/)/.test(address)) {
    $("told").textContent = t("error_invalid_url");
    $("url").focus();
    return;
  }
  await openReport([await send({ tab: -1, frame: 0, src: address })]);
}

/** @param {any} image @param {string | null} [data] @returns {Promise<string>} the job's id */
async function send(image, data = null) {
  const { incognito } = await chrome.tabs.get(tab).catch(() => ({ incognito: chrome.extension.inIncognitoContext }));
  return (await chrome.runtime.sendMessage({ type: "start", image: { ...image, incognito }, data })).job;
}

/** Checks that are not over, which the number on the button counts. What is there stays: it may be in use. */
async function listJobs() {
  const busy = (await all()).filter((job) => !over(job));
  $("busy").hidden = busy.length === 0;
  const before = new Map([...$("jobs").children].map((item) => [item.dataset.job, item]));
  for (const job of busy) {
    const item = before.get(job.id) ?? $("jobs").appendChild(jobItem(job));
    before.delete(job.id);
    item.querySelector("small").textContent = globalThis.aidetectCardText.progress(job.view, t);
  }
  for (const item of before.values()) item.remove();
}

/** @param {import("../lib/jobs.js").Job} job */
function jobItem({ id, view }) {
  const name = clean(view.name);
  const item = make("li", { className: "entry" },
    make("span", { className: "what" }, make("bdi", { textContent: name }), make("small")),
    make("span", { className: "buttons" }, button(t("ext_look"), name, () => openReport([id])),
      button(t("action_cancel"), name, () => chrome.runtime.sendMessage({ type: "action", job: id, action: "cancel" }))));
  item.dataset.job = id;
  return item;
}

async function listImages() {
  const images = await inPage(tab, 0, "list").catch(() => null);
  $("none").hidden = Boolean(images?.length);
  $("none").textContent = t(images ? "ext_images_none" : "ext_images_forbidden");
  $("images").replaceChildren(...(images ?? []).map(item));
  $("images").ariaBusy = "false";
}

/** @param {any} image */
function item(image) {
  const kind = t(`ext_kind_${image.kind}`);
  const name = clean(image.name, 60);
  const picture = image.thumbnail
    ? make("img", { src: image.thumbnail, alt: "" })
    : make("span", { className: "blank", textContent: kind, ariaHidden: "true" });
  const size = t("fact_pixels", { width: image.width, height: image.height });
  const chosen = make("button", { type: "button" }, picture, make("bdi", { textContent: name || kind }), make("small", { textContent: size }));
  chosen.addEventListener("click", () => pick(image, name || kind));
  return make("li", {}, chosen);
}

/** @param {any} image @param {string} name */
async function pick(image, name) {
  if (image.kind === "image" || image.kind === "background") {
    await send({ tab, frame: 0, src: image.url });
  } else {
    const drawn = await inPage(tab, 0, "drawListed", image.index).catch(() => null);
    if (!drawn?.data) {
      $("told").textContent = t("error_unreadable");
      return;
    }
    await send({ tab, frame: 0, src: `${image.kind}:`, name }, drawn.data);
  }
  if (own) await chrome.tabs.update(tab, { active: true });
  window.close();
}
