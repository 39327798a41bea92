// The messages in the language that was chosen, or else in the browser's. Chrome's own getMessage knows
// the browser's alone.

export const LANGUAGES = ["en", "id"];

/** @param {string} chosen @returns {string} */
export function languageOf(chosen) {
  const wanted = [chosen, ...[chrome.i18n.getUILanguage(), ...navigator.languages].map((one) => one.split("-")[0])];
  return wanted.find((one) => LANGUAGES.includes(one)) ?? "en";
}

/** Language → its messages, once they were read. @type {Map<string, any>} */
const read = new Map();

/** @param {string} chosen @returns {Promise<{messages: any, lang: string}>} */
export async function words(chosen) {
  const lang = languageOf(chosen);
  if (!read.has(lang)) {
    const answer = await fetch(chrome.runtime.getURL(`_locales/${lang}/messages.json`));
    read.set(lang, await answer.json());
  }
  return { messages: read.get(lang), lang };
}

/** Fills in every element below `root` that names its message. @param {ParentNode} root @param {any} t */
export function fill(root, t) {
  for (const element of root.querySelectorAll("[data-t]")) {
    element.textContent = t(/** @type {HTMLElement} */ (element).dataset.t);
  }
  for (const element of root.querySelectorAll("[data-t-label]")) {
    element.setAttribute("aria-label", t(/** @type {HTMLElement} */ (element).dataset.tLabel));
  }
}
