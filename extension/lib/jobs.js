// Checks that are under way, in storage.session: they outlive the service worker, not the browser.

import { forget } from "./kept.js";

/**
 * @typedef {object} Job
 * @property {string} id
 * @property {number} tab the tab with the image and the card; -1 for a check of the extension's own pages
 * @property {string | null} page which document of the tab has the card
 * @property {number} frame where the image is
 * @property {string} src the image's address as clicked
 * @property {boolean} given the bytes were given with it
 * @property {boolean} fresh
 * @property {boolean} incognito
 * @property {boolean} shot a screenshot is wanted
 * @property {string | null} check the server's id, once it was sent
 * @property {string | null} asked the address that the server was given
 * @property {string[]} refused addresses that the server could not fetch
 * @property {string | null} map where the server has the heat map, until it was read
 * @property {number} at when it last moved, in ms; later with every change
 * @property {any} view what the card shows
 */

const PREFIX = "job:";
const MOST_OVER = 20;
const KEPT_MS = 3600 * 1000;

/** @param {Job} job */
export async function save(job) {
  job.at = Math.max(Date.now(), (job.at || 0) + 1);
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

/** @param {string[]} ids */
export async function remove(ids) {
  await chrome.storage.session.remove(ids.map((id) => PREFIX + id));
  await forget(ids);
}

/** Finished jobs make room: storage.session holds 10 MB. */
export async function tidy() {
  const old = (await all()).filter(over).sort((a, b) => b.at - a.at);
  const gone = old.filter((job, index) => index >= MOST_OVER || Date.now() - job.at > KEPT_MS);
  if (gone.length) await remove(gone.map((job) => job.id));
}

/** @param {Job} job */
export function over(job) {
  return job.view.state === "done" || job.view.state === "failed";
}

/** Whether nothing of it is still to come. @param {Job} job */
export function whole(job) {
  return over(job) && !job.map;
}
