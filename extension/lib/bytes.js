// Getting an image's bytes, in the order that keeps most of it: as the page read it, as the browser can
// fetch it, drawn anew, and last a screenshot. What each way can do was measured, see the guide in docs.

import { Problem } from "./api.js";
import { asBlob, cropped } from "./pictures.js";

/**
 * @typedef {{urls: string[], shown: string, origin: string, alt: string, box?: any}} Found
 * @typedef {{kind: "upload" | "url" | "canvas" | "screenshot", host?: string, larger?: boolean}} Got
 * @typedef {{blob?: Blob, url?: string, got: Got}} Acquired
 */

/** Runs a function of inject/page.js in the image's frame. @param {number} tab @param {number} frame @param {string} name @param {any[]} args */
export async function inPage(tab, frame, name, ...args) {
  const target = { tabId: tab, frameIds: [frame] };
  await chrome.scripting.executeScript({ target, files: ["inject/page.js"] });
  const call = (/** @type {string} */ wanted, /** @type {any[]} */ given) => /** @type {any} */ (globalThis).aidetectPage[wanted](...given);
  const [{ result }] = await chrome.scripting.executeScript({ target, func: call, args: [name, args] });
  return result;
}

/**
 * Where the image can be had. Without access to its frame, its address alone.
 * @param {import("./jobs.js").Job} job @returns {Promise<Found>}
 */
export async function find(job) {
  try {
    return await inPage(job.tab, job.frame, "describe", job.src);
  } catch {
    return { urls: [job.src], shown: job.src, origin: "", alt: "" };
  }
}

/**
 * @param {import("./jobs.js").Job} job @param {Found} found
 * @param {import("./settings.js").Settings} chosen @param {number} most bytes
 * @returns {Promise<Acquired>} Throws Problem, of code `needs_permission` where the person can help.
 */
export async function acquire(job, found, chosen, most) {
  if (job.refused.includes("address")) return again(job, found);
  let tooLarge = false;
  for (const url of found.urls) {
    const larger = url !== found.shown;
    if (chosen.privacy === "url" && /^https?:/.test(url)) return { url, got: { kind: "url", host: hostOf(url), larger } };
    for (const read of readers(job, url)) {
      const answer = await read(most).catch(() => null);
      if (answer?.blob) return { blob: answer.blob, got: { kind: "upload", larger } };
      tooLarge ||= answer?.failed === "too_large";
    }
  }
  if (tooLarge) throw new Problem("too_large");
  const shown = /^https?:/.test(found.shown);
  if (shown && chosen.privacy !== "never") return { url: found.urls[0], got: { kind: "url", host: hostOf(found.urls[0]), larger: found.urls[0] !== found.shown } };
  return again(job, found);
}

/** What is left once neither the browser nor the server could read it. @param {import("./jobs.js").Job} job @param {Found} found @returns {Promise<Acquired>} */
async function again(job, found) {
  if (job.refused.includes("canvas")) return screenshot(job, found);
  const drawn = await inPage(job.tab, job.frame, "drawShown", found.shown).catch(() => null);
  if (drawn?.data) return { blob: await asBlob(drawn.data), got: { kind: "canvas" } };
  throw new Problem("needs_permission", { detail: hostOf(found.shown) });
}

/** Ways to read an address, the best first. @param {import("./jobs.js").Job} job @param {string} url @returns {((most: number) => Promise<any>)[]} */
function readers(job, url) {
  const page = async (/** @type {number} */ most) => {
    const answer = await inPage(job.tab, job.frame, "read", url, most);
    return answer?.data ? { blob: await asBlob(answer.data) } : answer;
  };
  const here = (/** @type {number} */ most) => fetched(url, most);
  if (url.startsWith("data:")) return [here, page];
  if (url.startsWith("blob:")) return [page];
  return [page, async (most) => ((await granted(url)) ? fetched(url, most) : null)];
}

/** @param {string} url @param {number} most */
async function fetched(url, most) {
  const answer = await fetch(url, { credentials: "include", cache: "force-cache" });
  if (!answer.ok) return { failed: `http ${answer.status}` };
  const blob = await answer.blob();
  return blob.size > most ? { failed: "too_large" } : { blob };
}

/** @param {string} url */
async function granted(url) {
  return chrome.permissions.contains({ origins: [`${new URL(url).origin}/*`] }).catch(() => false);
}

/** The part of the window that shows it. @param {import("./jobs.js").Job} job @param {Found} found @returns {Promise<Acquired>} */
async function screenshot(job, found) {
  if (!found.box) throw new Problem("unreadable");
  await chrome.tabs.sendMessage(job.tab, { type: "hide", hidden: true }, { frameId: 0 }).catch(() => {});
  try {
    const whole = await chrome.tabs.captureVisibleTab({ format: "png" });
    return { blob: await cropped(await asBlob(whole), found.box), got: { kind: "screenshot" } };
  } catch {
    throw new Problem("unreadable");
  } finally {
    await chrome.tabs.sendMessage(job.tab, { type: "hide", hidden: false }, { frameId: 0 }).catch(() => {});
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

