// The extension's centre: heeds the menu, starts checks, shows them in their tab. It runs only when asked
// and may be ended at any time; what must last is in storage.

import { Api, Problem } from "./lib/api.js";
import { cancel, halt, hurry, hurryAll, run } from "./lib/check.js";
import { all, load, over, remove, save, tidy, whole } from "./lib/jobs.js";
import { forget, forgetAll, keep, kept } from "./lib/kept.js";
import { asBlob } from "./lib/pictures.js";
import { settings } from "./lib/settings.js";
import { words } from "./lib/words.js";

/** @typedef {import("./lib/jobs.js").Job} Job */

const CARD = ["/inject/card-text.js", "/inject/card-style.js", "/inject/card.js", "/inject/place.js"];
const OWN = chrome.runtime.getURL("");
/** Longer data: addresses are kept as bytes. */
const LONGEST_SRC = 100_000;
const NOT_CONNECTED = ["key_missing", "key_invalid", "scope_missing"];
const BORN = Date.now();
let counted = Promise.resolve();

chrome.runtime.onInstalled.addListener(async ({ reason }) => {
  await menus();
  if (reason === "install") await chrome.tabs.create({ url: `${OWN}pages/welcome.html` });
});
chrome.runtime.onStartup.addListener(async () => {
  await menus();
  await forgetAll();
});
chrome.contextMenus.onClicked.addListener(clicked);
chrome.runtime.onMessage.addListener((message, sender, answer) => {
  if (sender.id !== chrome.runtime.id) return false;
  heed(message, sender).then((done) => answer(done ?? {}), (error) => answer({ problem: plain(error) }));
  return true;
});
chrome.storage.local.onChanged.addListener((changes) => {
  if (changes.server || changes.key) reconnect();
});
self.addEventListener("online", hurryAll);
resume();

async function menus() {
  await chrome.contextMenus.removeAll();
  chrome.contextMenus.create({ id: "image", title: chrome.i18n.getMessage("ext_menu_image"), contexts: ["image"] });
  // Not on links: a linked image would have two items, which browsers put into a menu below the menu.
  chrome.contextMenus.create({ id: "page", title: chrome.i18n.getMessage("ext_menu_page"), contexts: ["page", "video"] });
}

/** @param {chrome.contextMenus.OnClickData} info @param {chrome.tabs.Tab} [tab] */
async function clicked(info, tab) {
  if (!tab?.id || tab.id < 0) return;
  // An address of more than two million characters is not told.
  if (info.menuItemId === "page" || !info.srcUrl) await choose(tab.id);
  else await start({ tab: tab.id, frame: info.frameId ?? 0, src: info.srcUrl, incognito: tab.incognito });
}

/** The list of this page's images. @param {number} tab */
async function choose(tab) {
  try {
    await chrome.action.openPopup();
  } catch {
    await chrome.tabs.create({ url: `${OWN}pages/popup.html?tab=${tab}` });
  }
}

/** @param {{tab: number, frame: number, src: string, incognito?: boolean, name?: string, blob?: Blob | null}} image */
async function start({ tab, frame, src, incognito = false, name, blob = null }) {
  const page = tab < 0 ? null : await place(tab);
  if (!blob && src.startsWith("data:") && src.length > LONGEST_SRC) blob = await asBlob(src);
  const got = /^(canvas|video):/.test(src) ? { kind: "canvas" } : null;
  const view = { state: "waiting", name: name ?? nameOf(src), position: null, verdict: null, problem: null, got };
  /** @type {Job} */
  const job = {
    id: crypto.randomUUID(), tab: page ? tab : -1, page, frame, src: blob ? "" : src, given: blob !== null, fresh: false,
    incognito, shot: false, check: null, asked: null, refused: [], map: null, at: 0, view,
  };
  if (blob) await keep(job.id, blob, incognito);
  await save(job);
  await told(job);
  if (!page && tab >= 0) await open(job.id); // a page that no extension may write on
  run(job.id, told).then(tidy);
  return job.id;
}

/**
 * Loads the card into the tab's top frame.
 * @param {number} tab @returns {Promise<string | null>} which document that is; null where it may not be done
 */
async function place(tab) {
  try {
    const [{ result }] = await chrome.scripting.executeScript({ target: { tabId: tab, frameIds: [0] }, files: CARD });
    return /** @type {any} */ (result) ?? null;
  } catch {
    return null;
  }
}

/** Shows a job's state wherever it is looked at. @param {Job} job */
async function told(job) {
  await count();
  if (job.tab < 0) return; // extension pages watch the storage
  const chosen = await settings();
  const { id, page, at, view, src } = job;
  const message = { type: "view", page, job: id, at, view, src, more: !whole(job), words: await words(chosen.language) };
  await chrome.tabs.sendMessage(job.tab, message, { frameId: 0 }).catch(() => {});
}

/** The number of checks under way, on the button: counted one after the other, so that the last stays. */
function count() {
  counted = counted.then(async () => {
    const busy = (await all()).filter((one) => !over(one)).length;
    await chrome.action.setBadgeText({ text: busy ? String(busy) : "" });
  }).catch(() => {});
  return counted;
}

/** Goes on with checks that the last service worker left unfinished. */
async function resume() {
  await count();
  for (const job of await all()) if (!whole(job) && job.at < BORN) run(job.id, told).then(tidy);
}

/** Makes those checks again that failed for want of a key. */
async function reconnect() {
  hurryAll();
  for (const job of await all()) if (NOT_CONNECTED.includes(job.view.problem?.code)) await again(job);
}

/** @param {any} message @param {chrome.runtime.MessageSender} sender */
async function heed(message, sender) {
  const own = sender.url?.startsWith(OWN) ?? false;
  if (message?.type === "start" && own) {
    return { job: await start({ ...message.image, blob: message.data ? await asBlob(message.data) : null }) };
  }
  if (message?.type === "tick") return tick(sender.tab?.id ?? -1);
  const job = message?.type === "action" ? await load(message.job) : null;
  return job && (own || sender.tab?.id === job.tab) ? act(job, message) : null;
}

/** A page that waits asks how its checks stand. That wakes this worker; resume() has run. @param {number} tab */
async function tick(tab) {
  for (const job of await all()) if (job.tab === tab) await told(job);
}

/** @param {Job} job @param {any} message */
async function act(job, message) {
  switch (message.action) {
    case "cancel":
      await cancel(job.id);
      await remove([job.id]);
      await count();
      return halt(job.id);
    case "retry":
      return over(job) ? again(job) : hurry(job.id);
    case "recheck":
      return again(job, { fresh: true, shot: false, refused: [] });
    case "screenshot":
      return again(job, { shot: true });
    case "granted":
      return again(job, { refused: [] });
    case "allow":
      return chrome.tabs.create({ url: `${OWN}pages/allow.html?job=${job.id}` });
    case "connect":
      return chrome.runtime.openOptionsPage();
    case "choose":
      return choose(job.tab);
    case "open":
      return open(job.id);
    case "report":
      return report(job, message.report);
    default:
      return null;
  }
}

/** @param {Job} job @param {Partial<Job>} [otherwise] */
async function again(job, otherwise = {}) {
  await halt(job.id); // its heat map may still be on its way
  job = (await load(job.id)) ?? job;
  Object.assign(job, { check: null, asked: null, map: null }, otherwise);
  Object.assign(job.view, { state: "waiting", verdict: null, problem: null, signature: null, heatmap: null, position: null });
  if (!job.given) await forget([job.id]);
  await save(job);
  await told(job);
  run(job.id, told).then(tidy);
}

/** @param {string} id */
async function open(id) {
  await chrome.tabs.create({ url: `${OWN}pages/report.html?job=${id}` });
}

/** @param {Job} job @param {{label: string, note: string, attach: boolean}} given */
async function report(job, { label, note, attach }) {
  const api = new Api(await settings());
  const values = { check: String(job.check), label, ...(note ? { note } : {}) };
  if (!attach) return api.post("/v1/reports", values);
  const image = await kept(job.id);
  if (!image) throw new Problem("image_forgotten");
  const body = new FormData();
  for (const [name, value] of Object.entries(values)) body.append(name, value);
  body.append("image", image);
  return api.json("/v1/reports", { method: "POST", body });
}

/** @param {string} src */
function nameOf(src) {
  if (!/^https?:/.test(src)) return src.slice(0, src.indexOf(":"));
  const { host, pathname } = new URL(src);
  const last = pathname.split("/").pop() || host;
  try {
    return decodeURIComponent(last);
  } catch {
    return last;
  }
}

/** @param {unknown} error */
function plain(error) {
  return error instanceof Problem ? error.plain() : { code: "other", detail: String(error) };
}
