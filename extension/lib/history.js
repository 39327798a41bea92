// The last verdicts, without images, in storage.local; nothing of private windows.

import { settings } from "./settings.js";

/** @typedef {{at: string, name: string, verdict: any, signature: string | null}} Entry */

/** One change at a time, whichever page or worker makes it. @template T @param {() => Promise<T>} change */
const alone = (change) => navigator.locks.request("history", change);

/** The newest first. @returns {Promise<Entry[]>} */
export async function entries() {
  const { entries: kept } = await chrome.storage.local.get({ entries: [] });
  return Array.isArray(kept) ? kept.filter((one) => one?.verdict?.image && one.verdict.model) : [];
}

/** @param {{name: string, verdict: any, signature?: string | null}} view */
export async function remember({ name, verdict, signature = null }) {
  const entry = { at: new Date().toISOString(), name, verdict, signature };
  await alone(async () => {
    const { history: most } = await settings();
    const others = (await entries()).filter((one) => one.verdict.image.sha256 !== verdict.image.sha256 || one.name !== name);
    await chrome.storage.local.set({ entries: [entry, ...others].slice(0, most) });
  });
}

/** Whether the server was given an image with this hash before. @param {string} sha256 */
export async function knows(sha256) {
  return (await entries()).some((one) => one.verdict.image.sha256 === sha256);
}

/** @param {string} at of one entry */
export async function forget(at) {
  await alone(async () => chrome.storage.local.set({ entries: (await entries()).filter((one) => one.at !== at) }));
}

/** @param {number} most */
export async function shorten(most) {
  await alone(async () => chrome.storage.local.set({ entries: (await entries()).slice(0, most) }));
}
