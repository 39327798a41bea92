// The first page: what is sent where, and how to connect.

import { $, begin, connect } from "../lib/page.js";
import { DEFAULTS } from "../lib/settings.js";

const t = await begin();
$("options").addEventListener("click", () => chrome.runtime.openOptionsPage());
$("pair").addEventListener("submit", async (/** @type {Event} */ event) => {
  event.preventDefault();
  $("told").textContent = t("ext_testing");
  try {
    await connect(DEFAULTS.server, $("code").value.trim());
    $("told").textContent = t("ext_welcome_done");
    $("code").value = "";
  } catch (problem) {
    $("told").textContent = globalThis.aidetectCardText.problem(problem, t);
  }
});
