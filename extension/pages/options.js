// Settings, each kept as it is changed; the server only once it has answered.

import { shorten } from "../lib/history.js";
import { $, begin, connect, listHistory } from "../lib/page.js";
import { change, MOST_HISTORY, settings } from "../lib/settings.js";

let t = await begin();
const chosen = await settings();

$("address").value = chosen.server;
$("history").value = chosen.history;
$("language").value = chosen.language;
/** @type {any} */ (document.querySelector(`input[name=privacy][value=${chosen.privacy}]`)).checked = true;
await list();

$("server").addEventListener("submit", async (/** @type {Event} */ event) => {
  event.preventDefault();
  tell(t("ext_testing"));
  try {
    const about = await connect($("address").value, $("secret").value);
    $("secret").value = "";
    tell(t("ext_connected", { version: about.version, model: about.model?.name ?? about.model }));
  } catch (problem) {
    const form = /** @type {any} */ (problem).code === "form";
    tell(form ? t("page_connect_form") : globalThis.aidetectCardText.problem(problem, t), true);
  }
});
$("privacy").addEventListener("change", (/** @type {any} */ event) => change({ privacy: event.target.value }));
$("history").addEventListener("change", async () => {
  const most = Math.min(MOST_HISTORY, Math.max(0, Math.round(Number($("history").value)) || 0));
  $("history").value = most;
  await change({ history: most });
  await shorten(most);
  await list();
});
$("forget").addEventListener("click", async () => {
  await shorten(0);
  await list();
});
$("language").addEventListener("change", async () => {
  await change({ language: $("language").value });
  t = await begin();
  await list();
});

/** @param {string} text @param {boolean} [bad] */
function tell(text, bad = false) {
  $("told").textContent = text;
  $("told").classList.toggle("bad", bad);
}

async function list() {
  const count = await listHistory($("entries"), t, MOST_HISTORY);
  $("empty").hidden = count > 0;
  $("forget").disabled = count === 0;
}
