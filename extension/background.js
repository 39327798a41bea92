// The extension's centre: heeds the menu, starts checks, shows them in their tab. It runs only when asked
// and may be ended at any time; what must last is in storage.

import { Api, Problem } from "./lib/api.js";
import { cancel, hurry, run } from "./lib/check.js";
import { all, load, over, remove, save, tidy } from "./lib/jobs.js";
import { asBlob } from "./lib/pictures.js";
import { settings } from "./lib/settings.js";
import { words } from "./lib/words.js";

const CARD = ["inject/card-text.js", "inject/card-style.js", "inject/card.js", "inject/place.js"];

chrome.runtime.onInstalled.addListener(async ({ reason }) => {
  await menus();
  if (reason === "install") await chrome.tabs.create({ url: chrome.runtime.getURL("pages/welcome.html") });
});
chrome.runtime.onStartup.addListener(menus);
chrome.contextMenus.onClicked.addListener(clicked);
chrome.runtime.onMessage.addListener((message, sender, answer) => {
  if (sender.id !== chrome.runtime.id) return false;
  heed(message, sender).then((done) => answer(done ?? {}), (error) => answer({ problem: plain(error) }));
  return true;
});
resume();

async function menus() {
  await chrome.contextMenus.removeAll();
  chrome.contextMenus.create({ id: "image", title: chrome.i18n.getMessage("ext_menu_image"), contexts: ["image"] });
  chrome.contextMenus.create({ id: "page", title: chrome.i18n.getMessage("ext_menu_page"), contexts: ["page", "video", "link"] });
}

/** @param {chrome.contextMenus.OnClickData} info @param {chrome.tabs.Tab} [tab] */
async function clicked(info, tab) {
  if (!tab?.id || tab.id < 0) return;
  if (info.menuItemId === "page") await choose(tab.id);
  else if (info.srcUrl) await start({ tab: tab.id, frame: info.frameId ?? 0, src: info.srcUrl, incognito: tab.incognito });
}

/** The list of this page's images. @param {number} tab */
async function choose(tab) {
  try {
    await chrome.action.openPopup();
  } catch {
    await chrome.tabs.create({ url: chrome.runtime.getURL(`pages/popup.html?tab=${tab}`) });
  }
}

/** @param {{tab: number, frame: number, src: string, incognito?: boolean, name?: string, blob?: Blob | null}} image */
async function start({ tab, frame, src, incognito = false, name, blob = null }) {
  const view = { state: "waiting", name: name ?? nameOf(src), position: null, verdict: null, problem: null, got: null };
  /** @type {import("./lib/jobs.js").Job} */
  const job = { id: crypto.randomUUID(), tab, frame, src: src.startsWith("data:") && src.length > 2_000_000 ? "" : src, fresh: false, incognito, check: null, refused: [], at: 0, view };
  const shown = tab < 0 ? Promise.resolve(true) : place(tab);
  await save(job);
  if (!(await shown)) job.tab = -1;
  await told(job);
  if (!blob && src.startsWith("data:")) blob = await asBlob(src).catch(() => null);
  if (job.tab < 0 && tab >= 0) await open(job.id); // a page that no extension may write on
  run(job.id, told, blob).then(() => tidy());
  return job.id;
}

/** Loads the card into the tab's top frame; whether that may be done there. @param {number} tab */
async function place(tab) {
  try {
    await chrome.scripting.executeScript({ target: { tabId: tab, frameIds: [0] }, files: CARD });
    return true;
  } catch {
    return false;
  }
}

/** Shows a job's state wherever it is looked at. @param {import("./lib/jobs.js").Job} job */
async function told(job) {
  const busy = (await all()).filter((one) => !over(one)).length;
  await chrome.action.setBadgeText({ text: busy ? String(busy) : "" }).catch(() => {});
  if (job.tab < 0) return; // extension pages watch the storage
  const chosen = await settings();
  const message = { type: "view", job: job.id, view: job.view, src: job.src, words: await words(chosen.language) };
  await chrome.tabs.sendMessage(job.tab, message, { frameId: 0 }).catch(() => {});
}

/** Checks that the last service worker left unfinished. */
async function resume() {
  for (const job of await all()) if (!over(job)) run(job.id, told);
}

/** @param {any} message @param {chrome.runtime.MessageSender} sender */
async function heed(message, sender) {
  if (message?.type === "tick") return null; // being awake is enough: resume() has run
  if (message?.type === "start") return { job: await start({ ...message.image, blob: message.data ? await asBlob(message.data) : null }) };
  const job = message?.type === "action" ? await load(message.job) : null;
  if (!job || (sender.tab && sender.tab.id !== job.tab && !sender.url?.startsWith(chrome.runtime.getURL("")))) return null;
  return act(job, message);
}

/** @param {import("./lib/jobs.js").Job} job @param {any} message */
async function act(job, message) {
  switch (message.action) {
    case "cancel":
      await cancel(job.id);
      await remove(job.id);
      return told({ ...job, tab: -1 });
    case "retry":
      return over(job) ? again(job, job.refused) : hurry(job.id);
    case "recheck":
      job.fresh = true;
      return again(job, []);
    case "screenshot":
      return again(job, ["address", "canvas"]);
    case "granted":
      return again(job, []);
    case "allow":
      return chrome.tabs.create({ url: chrome.runtime.getURL(`pages/allow.html?job=${job.id}`) });
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

/** @param {import("./lib/jobs.js").Job} job @param {string[]} refused */
async function again(job, refused) {
  Object.assign(job, { check: null, refused });
  Object.assign(job.view, { state: "waiting", verdict: null, problem: null, signature: null, heatmap: null, position: null });
  await save(job);
  await told(job);
  await run(job.id, told);
}

/** @param {string} id */
async function open(id) {
  await chrome.tabs.create({ url: chrome.runtime.getURL(`pages/report.html?job=${id}`) });
}

/** @param {import("./lib/jobs.js").Job} job @param {{label: string, note: string, attach: boolean}} given */
async function report(job, { label, note, attach }) {
  const api = new Api(await settings());
  const values = { check: String(job.check), label, ...(note ? { note } : {}) };
  if (!attach || !job.view.picture) return api.post("/v1/reports", values);
  const body = new FormData();
  for (const [name, value] of Object.entries(values)) body.append(name, value);
  body.append("image", await asBlob(job.view.picture));
  return api.json("/v1/reports", { method: "POST", body });
}

/** @param {string} src */
function nameOf(src) {
  if (!/^https?:/.test(src)) return src.slice(0, src.indexOf(":"));
  const { host, pathname } = new URL(src);
  return decodeURIComponentSafely(pathname.split("/").pop() || host);
}

/** @param {string} text */
function decodeURIComponentSafely(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** @param {unknown} error */
function plain(error) {
  return error instanceof Problem ? error.plain() : { code: "other", detail: String(error) };
}
