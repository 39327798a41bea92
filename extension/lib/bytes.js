// Getting an image's bytes, in the order that keeps most of it: as the page read it, as the browser can
// fetch it, fetched by the server, drawn anew, and last a screenshot. What each way can do was measured in
// the browsers.

import "../inject/page.js";
import { Problem } from "./api.js";
import { asBlob, cropped, readable } from "./pictures.js";

/**
 * @typedef {{urls: string[], shown: string, origin: string, alt: string}} Found
 * @typedef {{kind: "upload" | "url" | "canvas" | "screenshot", host?: string, larger?: boolean}} Got
 * @typedef {{blob?: Blob, url?: string, got: Got}} Acquired
 * @typedef {{blob?: Blob, failed?: string} | null} Read
 */

/** Runs a function of inject/page.js in the image's frame. Firefox looks for relative files beside the caller. @param {number} tab @param {number} frame @param {string} name @param {any[]} args */
export async function inPage(tab, frame, name, ...args) {
  const target = { tabId: tab, frameIds: [frame] };
  await chrome.scripting.executeScript({ target, files: ["/inject/page.js"] });
  const call = (/** @type {string} */ wanted, /** @type {any[]} */ given) => /** @type {any} */ (globalThis).aidetectPage[wanted](...given);
  const [{ result }] = await chrome.scripting.executeScript({ target, func: call, args: [name, args] });
  return result;
}

/**
 * Where the image can be had. Without access to its frame, its address alone.
 * @param {import("./jobs.js").Job} job @returns {Promise<Found>}
 */
export async function find(job) {
  const found = job.tab < 0 ? null : await inPage(job.tab, job.frame, "describe", job.src).catch(() => null);
  return found ?? { urls: [job.src], shown: job.src, origin: "", alt: "" };
}

/**
 * @param {import("./jobs.js").Job} job @param {Found} found
 * @param {import("./settings.js").Settings} chosen
 * @returns {Promise<Acquired>} Throws Problem, of code `needs_permission` where the person can help.
 */
export async function acquire(job, found, chosen) {
  if (job.shot) return screenshot(job);
  for (const url of found.urls) {
    const larger = url !== found.shown;
    const ask = /^https?:/.test(url) && chosen.privacy !== "never" && !job.refused.includes(url);
    /** @type {Acquired} */
    const asked = { url, got: { kind: "url", host: hostOf(url), larger } };
    if (ask && chosen.privacy === "url") return asked;
    for (const read of readers(job, found, url)) {
      const answer = await read(chosen.maxBytes).catch(() => null);
      // What is linked as a larger image may be a page about it.
      if (answer?.blob && (!larger || (await readable(answer.blob)))) return { blob: answer.blob, got: { kind: "upload", larger } };
      if (answer?.failed === "too_large" && !larger) throw new Problem("too_large", { limit: chosen.maxBytes });
    }
    if (ask) return asked;
  }
  return lastly(job, found);
}

/** What is left once neither the browser nor the server could read it. @param {import("./jobs.js").Job} job @param {Found} found @returns {Promise<Acquired>} */
async function lastly(job, found) {
  const drawn = job.tab < 0 ? null : await inPage(job.tab, job.frame, "drawShown", found.shown).catch(() => null);
  if (drawn?.data) return { blob: await asBlob(drawn.data), got: { kind: "canvas" } };
  const host = /^https?:/.test(found.shown) ? hostOf(found.shown) : "";
  if (!host) throw new Problem("unreadable");
  if (await granted(found.shown)) return screenshot(job);
  throw new Problem("needs_permission", { detail: host });
}

/**
 * Ways to read an address, the best first.
 * @param {import("./jobs.js").Job} job @param {Found} found @param {string} url @returns {((most: number) => Promise<Read>)[]}
 */
function readers(job, found, url) {
  const page = async (/** @type {number} */ most) => {
    const answer = await inPage(job.tab, job.frame, "read", url, most, job.fresh);
    return answer?.data ? { blob: await asBlob(answer.data) } : answer;
  };
  const here = async (/** @type {number} */ most) => {
    const may = new URL(url).origin === found.origin || (await granted(url));
    return may ? globalThis.aidetectPage.fetched(url, most, job.fresh, "include") : null;
  };
  if (url.startsWith("data:")) return [async () => ({ blob: await asBlob(url) })];
  if (url.startsWith("blob:")) return [page];
  return job.tab < 0 ? [here] : [page, here];
}

/** @param {string} url */
async function granted(url) {
  return chrome.permissions.contains({ origins: [patternOf(url)] }).catch(() => false);
}

/** The site as browsers grant it: Firefox grants nothing for a pattern with a port. @param {string} url */
export function patternOf(url) {
  const { protocol, hostname } = new URL(url);
  return `${protocol}//${hostname}/*`;
}

/** The part of the window that shows it. @param {import("./jobs.js").Job} job @returns {Promise<Acquired>} */
async function screenshot(job) {
  const hide = (/** @type {boolean} */ hidden) => chrome.tabs.sendMessage(job.tab, { type: "hide", hidden }, { frameId: 0 }).catch(() => {});
  try {
    const { active, windowId } = await chrome.tabs.get(job.tab);
    const box = active ? await inPage(job.tab, job.frame, "reveal", job.src) : null;
    if (!box) throw new Problem("unreadable");
    await hide(true);
    const whole = await chrome.tabs.captureVisibleTab(windowId, { format: "png" });
    return { blob: await cropped(await asBlob(whole), box), got: { kind: "screenshot" } };
  } catch {
    throw new Problem("unreadable");
  } finally {
    await hide(false);
  }
}

/** @param {string} url */
export function hostOf(url) {
  try {
    return new URL(url).host;
  } catch {
    return "";
  }
}
