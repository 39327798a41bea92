// What the extension's own pages share: words, the list of past verdicts, connecting to a server.

import { Api, Problem } from "./api.js";
import { entries } from "./history.js";
import { change, serverAddress, settings } from "./settings.js";
import { fill, words } from "./words.js";

const KEY = /^[0-9a-f]{12}\.[\w-]{43}$/;
const CODE = /^\d{3}[ -]?\d{3}$/;

/** @param {string} id @returns {any} */
export const $ = (id) => document.getElementById(id);

/** Speaks the chosen language; fills the page in. @returns {Promise<any>} the translator */
export async function begin() {
  const chosen = await settings();
  const { messages, lang } = await words(chosen.language);
  const t = globalThis.aidetectCardText.translator(messages, lang);
  document.documentElement.lang = lang;
  fill(document, t);
  return t;
}

/**
 * Connects to a server by key or pairing code and keeps both; an empty secret keeps the key that is
 * there. Throws Problem, of code `form` for what is neither.
 * @param {string} address @param {string} secret @returns {Promise<any>} what the server says of itself
 */
export async function connect(address, secret) {
  const server = serverAddress(address);
  if (!server) throw new Problem("server_address");
  let key = secret.trim() || (await settings()).key;
  if (CODE.test(key)) key = (await new Api({ server, key: "" }).post("/v1/pairings", { code: key.replace(/\D/g, "") })).key;
  if (!KEY.test(key)) throw new Problem(key ? "form" : "key_missing");
  const about = await new Api({ server, key }).json("/v1/server");
  if (about?.name !== "aidetect") throw new Problem("not_aidetect");
  await change({ server, key });
  return about;
}

/** @param {HTMLElement} list @param {any} t @param {number} most @returns {Promise<number>} how many there are */
export async function listHistory(list, t, most) {
  const { clean } = globalThis.aidetectCardText;
  const kept = await entries();
  list.replaceChildren(...kept.slice(0, most).map((entry, index) => {
    const item = Object.assign(document.createElement("li"), { className: "entry" });
    const name = Object.assign(document.createElement("bdi"), { textContent: clean(entry.name, 120) });
    const label = Object.assign(document.createElement("small"), { textContent: t(`short_${entry.verdict.label}`) });
    const button = Object.assign(document.createElement("button"), { type: "button", textContent: t("page_history_show") });
    button.setAttribute("aria-label", `${t("page_history_show")}: ${clean(entry.name, 120)}`);
    button.addEventListener("click", () => chrome.tabs.create({ url: chrome.runtime.getURL(`pages/report.html?entry=${index}`) }));
    item.append(name, label, button);
    return item;
  }));
  return kept.length;
}
