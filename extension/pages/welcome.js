// The first page: what is sent where, and how to connect.

import { DEFAULTS } from "../lib/settings.js";
import { $, begin, reveal } from "./common.js";
import { connects } from "./connect.js";

const t = await begin();
connects($("pair"), $("paired"), () => t, () => ({ address: DEFAULTS.server, secret: $("code").value }), done);
connects($("other"), $("told"), () => t, () => ({ address: $("address").value, secret: $("secret").value }), done);
$("options").addEventListener("click", () => chrome.runtime.openOptionsPage());
reveal();

function done() {
  $("code").value = "";
  $("secret").value = "";
}
