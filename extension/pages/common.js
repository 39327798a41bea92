// What the extension's own pages share: their words, and opening one another.

import { settings } from "../lib/settings.js";
import { fill, words } from "../lib/words.js";

/** @param {string} id @returns {any} */
export const $ = (id) => document.getElementById(id);

/** Speaks the chosen language; fills the page in, which is not shown yet. @returns {Promise<any>} the translator */
export async function begin() {
  const { messages, lang } = await words((await settings()).language);
  const t = globalThis.aidetectCardText.translator(messages, lang);
  document.documentElement.lang = lang;
  fill(document, t);
  document.title = `${document.querySelector("h1")?.textContent} – ${t("app_name")}`;
  return t;
}

/** Shows the page, once it heeds what is done on it and nothing that is typed would be overwritten. */
export function reveal() {
  document.body.hidden = false;
}

/** @param {string} tag @param {Record<string, any>} [props] @param {...(Node | string)} children @returns {any} */
export function make(tag, props = {}, ...children) {
  const element = Object.assign(document.createElement(tag), props);
  element.append(...children);
  return element;
}

/** A button that says in its name what it acts on, where only its place shows that. @param {string} word @param {string} what @param {() => void} act */
export function button(word, what, act) {
  const made = make("button", { type: "button", textContent: word });
  made.setAttribute("aria-label", `${word}: ${what}`);
  made.addEventListener("click", act);
  return made;
}

/** A string of a page, a file or a server, fit to be shown as text. @param {unknown} value @param {number} [limit] @returns {string} */
export function clean(value, limit = 120) {
  return globalThis.aidetectCardText.clean(value, limit);
}

/** @param {string} page with its query */
export function open(page) {
  return chrome.tabs.create({ url: chrome.runtime.getURL(`pages/${page}`) });
}

/** The page with the reports of these checks. @param {string[]} jobs */
export function openReport(jobs) {
  return open(`report.html?${jobs.map((id) => `job=${id}`).join("&")}`);
}
