// Checks that are under way, in storage.session: they outlive the service worker, not the browser.

/**
 * @typedef {object} Job
 * @property {string} id
 * @property {number} tab the tab with the card; -1 for the popup's own
 * @property {number} frame where the image is
 * @property {string} src the image's address as clicked
 * @property {boolean} fresh
 * @property {boolean} incognito
 * @property {string | null} check the server's id, once it was sent
 * @property {string[]} refused ways to the bytes that failed already
 * @property {number} at when it last moved, in ms
 * @property {any} view what the card shows
 */

const PREFIX = "job:";
const KEPT_MS = 6 * 3600 * 1000;

/** @param {Job} job */
export async function save(job) {
  job.at = Date.now();
  await chrome.storage.session.set({ [PREFIX + job.id]: job });
}

/** @param {string} id @returns {Promise<Job | null>} */
export async function load(id) {
  const kept = await chrome.storage.session.get(PREFIX + id);
  return /** @type {Job | undefined} */ (kept[PREFIX + id]) ?? null;
}

/** @returns {Promise<Job[]>} */
export async function all() {
  const kept = Object.entries(await chrome.storage.session.get(null));
  return kept.filter(([key]) => key.startsWith(PREFIX)).map(([, job]) => /** @type {Job} */ (job));
}

/** @param {string} id */
export async function remove(id) {
  await chrome.storage.session.remove(PREFIX + id);
}

/** Finished jobs make room: storage.session holds 10 MB. */
export async function tidy() {
  const old = (await all()).filter((job) => over(job)).sort((a, b) => b.at - a.at);
  const gone = old.filter((job, index) => index >= 20 || Date.now() - job.at > KEPT_MS);
  await chrome.storage.session.remove(gone.map((job) => PREFIX + job.id));
}

/** @param {Job} job */
export function over(job) {
  return job.view.state === "done" || job.view.state === "failed";
}
