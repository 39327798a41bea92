// The list of past verdicts, as the popup and the history show it.

import { button, clean, make, open } from "./common.js";

/**
 * @param {HTMLElement} list @param {import("../lib/history.js").Entry[]} kept @param {any} t
 * @param {((entry: import("../lib/history.js").Entry) => void) | null} [remove]
 */
export function listEntries(list, kept, t, remove = null) {
  const day = new Intl.DateTimeFormat(t.lang, { dateStyle: "medium", timeStyle: "short" });
  list.replaceChildren(...kept.map((entry) => {
    const name = clean(entry.name) || t("fact_name");
    const { label } = entry.verdict;
    const word = make("span", { className: "label", textContent: t(t.has(`short_${label}`) ? `short_${label}` : "short_uncertain") });
    word.dataset.label = label;
    const when = make("time", { dateTime: entry.at, textContent: Number.isNaN(Date.parse(entry.at)) ? "" : day.format(new Date(entry.at)) });
    const buttons = make("span", { className: "buttons" }, button(t("page_history_show"), name, () => open(`report.html?entry=${encodeURIComponent(entry.at)}`)));
    if (remove) buttons.append(button(t("ext_remove"), name, () => remove(entry)));
    return make("li", { className: "entry" }, make("span", { className: "what" }, make("bdi", { textContent: name }), when), word, buttons);
  }));
}
