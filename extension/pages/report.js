// One check in full: a job that runs or has ended, or an entry of the history.

import { entries } from "../lib/history.js";
import { load } from "../lib/jobs.js";
import { $, begin } from "../lib/page.js";
import { asBlob } from "../lib/pictures.js";

const t = await begin();
const asked = new URLSearchParams(location.search);
const id = asked.get("job");
const entry = asked.has("entry") ? (await entries())[Number(asked.get("entry"))] : null;
const job = id ? await load(id) : null;
const first = job?.view ?? (entry && { ...entry, state: "done", got: { kind: "history" } });

if (first) {
  const card = globalThis.aidetectCard.create({ t, actions: actions(first) });
  $("card").append(card.host);
  const show = (/** @type {any} */ view) => card.show({ ...view, heatmap: view.heatmap ? () => asBlob(view.heatmap) : null });
  show(first);
  chrome.storage.session.onChanged.addListener((changes) => {
    const changed = /** @type {any} */ (changes[`job:${id}`]?.newValue);
    if (changed) show(changed.view);
  });
} else {
  $("gone").hidden = false;
}

/** @param {any} view */
function actions(view) {
  const act = (/** @type {string} */ action, more = {}) => chrome.runtime.sendMessage({ type: "action", job: id, action, ...more });
  const save = (/** @type {string} */ kind, /** @type {any} */ shown) => {
    const signed = kind === "signed";
    const text = signed ? `${shown.signature}\n` : `${JSON.stringify(shown.verdict, null, 2)}\n`;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: signed ? "application/jose" : "application/json" }));
    link.download = `${globalThis.aidetectCardText.clean(shown.name, 80).replace(/[^\p{L}\p{N}._-]+/gu, "_").replace(/^\.+/, "") || "image"}.verdict.${signed ? "jws" : "json"}`;
    link.click();
  };
  if (!id) return { download: save };
  return {
    download: save, retry: () => act("retry"), recheck: () => act("recheck"), cancel: () => act("cancel").then(() => window.close()),
    connect: () => act("connect"), allow: () => act("allow"), screenshot: () => act("screenshot"), canAttach: view.attachable === true,
    report: async (/** @type {any} */ report) => {
      const answer = await act("report", { report });
      if (answer?.problem) throw answer.problem;
    },
  };
}
