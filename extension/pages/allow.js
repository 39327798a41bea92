// Asks for one site, from a page where the browser lets an extension ask.

import { hostOf, patternOf } from "../lib/bytes.js";
import { load } from "../lib/jobs.js";
import { $, begin, reveal } from "./common.js";

const id = new URLSearchParams(location.search).get("job") ?? "";
const [t, job] = await Promise.all([begin(), load(id)]);
const host = hostOf(job?.src ?? "");

$("why").textContent = host ? t("ext_allow_why", { host }) : t("ext_report_gone");
for (const part of ["allow", "shot", "hint"]) $(part).hidden = !host;
$("shot").hidden ||= (job?.tab ?? -1) < 0; // an address that was given is on no page
$("allow").textContent = t("ext_allow", { host });
$("allow").addEventListener("click", () => {
  // The first call in the handler: after any await the browser no longer sees the click.
  chrome.permissions.request({ origins: [patternOf(job?.src ?? "")] }).then((given) => {
    if (given) go("granted");
    else $("told").textContent = t("ext_allow_refused");
  }, (error) => { $("told").textContent = String(error); });
});
$("shot").addEventListener("click", () => go("screenshot"));
reveal();

/** Goes on with the check, where its card is. @param {string} action */
async function go(action) {
  if (!job) return;
  const back = await chrome.tabs.update(job.tab, { active: true }).catch(() => null);
  chrome.runtime.sendMessage({ type: "action", job: id, action });
  if (back) window.close();
  else location.replace(`report.html?job=${id}`);
}
