// Checks in full: jobs that run or have ended, or an entry of the history.

import { entries } from "../lib/history.js";
import { load } from "../lib/jobs.js";
import { asBlob } from "../lib/pictures.js";
import { $, begin, clean, open, reveal } from "./common.js";

const t = await begin();
const asked = new URLSearchParams(location.search);
/** Job → its card. @type {Map<string, any>} */
const cards = new Map();
/** Job → what became of it since it was asked for; null where it is gone. @type {Map<string, any>} */
const changed = new Map();

// Before anything is loaded: a check may end meanwhile, and its last change comes once.
chrome.storage.session.onChanged.addListener((changes) => {
  for (const [key, { newValue = null }] of Object.entries(changes)) {
    const id = key.replace(/^job:/, "");
    changed.set(id, newValue);
    if (newValue) cards.get(id)?.show(shown(/** @type {any} */ (newValue).view));
    else drop(id);
  }
});

$("history").addEventListener("click", () => open("history.html"));
for (const id of asked.getAll("job")) {
  const loaded = await load(id);
  const job = changed.has(id) ? changed.get(id) : loaded;
  if (job) add(id, job.view);
}
const entry = (await entries()).find((one) => one.at === asked.get("entry"));
if (entry) add(null, { ...entry, state: "done", got: { kind: "history" } });
$("gone").hidden = cards.size > 0;
reveal();

/** @param {string | null} id of a job @param {any} view */
function add(id, view) {
  const card = globalThis.aidetectCard.create({ t, actions: actions(id), level: 2 });
  $("cards").append(card.host);
  card.show(shown(view));
  cards.set(id ?? "", card);
  document.title = `${clean(view.name)} – ${t("app_name")}`;
}

/** @param {any} view */
function shown(view) {
  return { ...view, heatmap: view.heatmap ? () => asBlob(view.heatmap) : null };
}

/** @param {string} id */
function drop(id) {
  cards.get(id)?.remove();
  cards.delete(id);
  $("gone").hidden = cards.size > 0;
}

/** @param {string | null} id */
function actions(id) {
  if (!id) return { download };
  const act = (/** @type {string} */ action, more = {}) => chrome.runtime.sendMessage({ type: "action", job: id, action, ...more });
  return {
    download, retry: () => act("retry"), recheck: () => act("recheck"), connect: () => act("connect"), allow: () => act("allow"),
    cancel: () => act("cancel").then(() => (cards.size > 1 ? drop(id) : window.close())),
    screenshot: () => act("screenshot"), choose: () => open("popup.html"),
    report: async (/** @type {any} */ report) => {
      const answer = await act("report", { report });
      if (answer?.problem) throw answer.problem;
    },
  };
}

/** @param {string} kind @param {any} view */
function download(kind, view) {
  const signed = kind === "signed";
  const text = signed ? `${view.signature}\n` : `${JSON.stringify(view.verdict, null, 2)}\n`;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: signed ? "application/jose" : "application/json" }));
  const name = clean(view.name, 80).replace(/[^\p{L}\p{N}._-]+/gu, "_").replace(/^\.+/, "") || "image";
  link.download = `${name}.verdict.${signed ? "jws" : "json"}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
