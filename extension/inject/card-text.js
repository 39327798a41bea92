// Puts verdicts, problems and states into words of the reader's language: data in, strings out, no DOM.
//
// A classic script, for pages and for content scripts alike; it defines `globalThis.aidetectCardText`.
// Strings that stem from images, addresses or servers are untrusted: whatever would steer or reorder
// text is taken out, and in a sentence they are isolated (U+2068…U+2069).
"use strict";

(() => {
  /** @typedef {Record<string, {message: string, placeholders?: Record<string, {content: string}>}>} Messages */
  /** @typedef {{(key: string, values?: Record<string, unknown>): string, has(key: string): boolean, lang: string}} Translate */

  const LIMIT = 300;
  const STEERING = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g;
  /** What has one direction in any sentence. */
  const PLAIN = /^[\x20-\x7e]*$/;
  const STATES = ["valid", "untrusted_signer", "invalid", "remote_not_read", "not_checked", "absent"];
  /** What helps, the best first; a card offers the first that its owner can do. */
  const REMEDIES = {
    connect: ["key_missing", "key_invalid", "scope_missing"],
    allow: ["needs_permission"],
    editUrl: ["invalid_url", "dns", "tls", "http_3xx", "http_4xx", "blocked_address", "not_found"],
    choose: ["unreadable", "not_an_image", "unsupported_format", "corrupt_image", "too_many_pixels", "too_large", "image",
      "input", "invalid_array", "upload_gone", "unknown_image", "http_4xx", "blocked_address", "fetch"],
  };

  /** @param {unknown} value @param {number} [limit] */
  function clean(value, limit = LIMIT) {
    const text = typeof value === "string" ? value : value == null ? "" : String(value);
    const whole = text.replace(STEERING, "\ufffd");
    return whole.length > limit ? `${whole.slice(0, limit - 1)}…` : whole;
  }

  /** @param {Messages} messages in Chrome's format @param {string} lang @returns {Translate} */
  function translator(messages, lang) {
    const t = (/** @type {string} */ key, /** @type {Record<string, unknown>} */ values = {}) => {
      const entry = messages[key];
      if (!entry) return key;
      return entry.message.replace(/\$(\w+)\$/g, (_, name) => {
        const value = values[name.toLowerCase()];
        if (typeof value === "number") return new Intl.NumberFormat(lang).format(value);
        const text = clean(value);
        return PLAIN.test(text) ? text : `\u2068${text}\u2069`;
      });
    };
    t.has = (/** @type {string} */ key) => Object.hasOwn(messages, key);
    t.lang = lang;
    return t;
  }

  /** A probability for people, never rounded to a certainty that the model does not have. */
  function percent(/** @type {unknown} */ share, /** @type {string} */ lang) {
    const value = Number(share);
    const format = (/** @type {number} */ n) => new Intl.NumberFormat(lang, { style: "percent" }).format(n);
    if (!Number.isFinite(value)) return "?";
    if (value < 0.01) return `<${format(0.01)}`;
    return value > 0.99 ? `>${format(0.99)}` : format(value);
  }

  /** A rate, with a decimal where it has one. */
  function rate(/** @type {unknown} */ share, /** @type {string} */ lang) {
    return new Intl.NumberFormat(lang, { style: "percent", maximumFractionDigits: 1 }).format(Number(share));
  }

  /** What decided, in one sentence that never contradicts the label. */
  function sentence(/** @type {any} */ verdict, /** @type {Translate} */ t) {
    const values = { percent: percent(verdict.probability, t.lang) };
    if (verdict.label === "uncertain") {
      const key = `because_${verdict.uncertain_because}`;
      const signed = `${key}_${verdict.decided_by}`;
      if (t.has(signed)) return t(signed);
      return t(t.has(key) ? key : "because_other", values);
    }
    if (verdict.decided_by === "model") return t("sentence_model", values);
    const key = `sentence_${verdict.decided_by}_${verdict.label}`;
    if (t.has(key)) return t(key, values);
    return t(verdict.decided_by === "credentials" ? "sentence_credentials" : "sentence_other");
  }

  const SHARES = ["share", "rate", "real_to", "ai_from"];

  /** Reasons in the reader's language; one that is unknown here in the server's English. */
  function reasons(/** @type {any} */ verdict, /** @type {Translate} */ t) {
    return list(verdict.reasons).map((reason) => {
      const key = `reason_${reason.code}`;
      if (!t.has(key)) return clean(reason.text);
      const values = { ...reason.params };
      for (const name of SHARES) if (name in values) values[name] = rate(values[name], t.lang);
      if (Array.isArray(values.generators)) values.names = names(values.generators, t);
      if ("signer" in values) values.signer ??= t("unnamed_signer");
      return t(key, values);
    });
  }

  function names(/** @type {unknown[]} */ generators, /** @type {Translate} */ t) {
    const shown = generators.slice(0, 3).map((name) => clean(name, 40));
    if (generators.length > 3) shown.push("…");
    return shown.length ? t("names_ai_of", { generators: shown.join(", ") }) : t("names_ai");
  }

  /**
   * Rows of evidence; `kind` and `state` choose the icon, `details` are [name, value] pairs.
   * @returns {{kind: string, state: string, title: string, text: string, note: string, share: number|null, details: [string, string][]}[]}
   */
  function evidence(/** @type {any} */ verdict, /** @type {Translate} */ t) {
    const all = list(verdict.evidence);
    const of = (/** @type {string} */ kind) => all.filter((one) => one.kind === kind);
    const others = all.filter((one) => !["model", "credentials", "metadata"].includes(one.kind));
    return [
      ...of("model").map((one) => pixels(one, verdict, t)),
      ...some(of("credentials").map((one) => credentials(one, t)), "credentials", t),
      ...some(of("metadata").map((one) => claim(one, t)), "metadata", t),
      ...others.map((one) => measured(one, t)),
    ];
  }

  function some(/** @type {any[]} */ rows, /** @type {string} */ kind, /** @type {Translate} */ t) {
    if (rows.length) return rows;
    return [row(kind, "absent", t(`evidence_${kind}`), t("evidence_none"))];
  }

  function row(/** @type {string} */ kind, /** @type {string} */ state, /** @type {string} */ title,
    /** @type {string} */ text, more = {}) {
    return { kind, state, title, text, note: "", share: /** @type {number|null} */ (null),
      details: /** @type {[string, string][]} */ ([]), ...more };
  }

  function pixels(/** @type {any} */ one, /** @type {any} */ verdict, /** @type {Translate} */ t) {
    const unjudged = ["too_small", "flat"].some((code) => list(verdict.reasons).some((r) => r.code === code));
    if (unjudged) return row("model", "unclear", t("evidence_model"), t("evidence_model_no_figure"));
    const text = t("evidence_model_finding", { percent: percent(verdict.probability, t.lang) });
    return row("model", clean(one.finding), t("evidence_model"), text, { share: verdict.probability });
  }

  function credentials(/** @type {any} */ one, /** @type {Translate} */ t) {
    const state = clean(one.details?.state).toLowerCase().replace(/[^a-z]+/g, "_");
    const known = STATES.includes(state);
    const says = one.finding && one.finding !== "unclear" && t.has(`claims_${one.finding}`);
    return row("credentials", known ? state : "other", t("evidence_credentials"),
      t(`credentials_${known ? state : "other"}`),
      { note: says ? t(`claims_${one.finding}`) : "", details: pairs(one.details, ["state"]) });
  }

  function claim(/** @type {any} */ one, /** @type {Translate} */ t) {
    const key = `signal_${one.details?.signal}`;
    const who = clean(one.details?.generator, 80) || (t.has(key) ? t(key) : clean(one.details?.signal || one.kind, 80));
    const text = `\u2068${who}\u2069: ${t(t.has(`claims_${one.finding}`) ? `claims_${one.finding}` : "claims_unclear")}`;
    const title = t(t.has(`evidence_${one.kind}`) ? `evidence_${one.kind}` : "evidence_title");
    return row(clean(one.kind), clean(one.finding), title, text,
      { note: one.details?.signed === false ? t("evidence_unsigned") : "", details: pairs(one.details, ["generator"]) });
  }

  /** What was measured in another way than by the model, and is nobody's statement. */
  function measured(/** @type {any} */ one, /** @type {Translate} */ t) {
    const key = `evidence_${one.kind}`;
    const title = t.has(key) ? t(key) : clean(one.kind, 40);
    const share = Number(one.details?.share);
    if (one.kind === "frames" && Number.isFinite(share)) {
      return row("frames", clean(one.finding), title, t("evidence_frames_finding", { percent: rate(share, t.lang) }));
    }
    const points = `points_${one.finding}`;
    return row(clean(one.kind), clean(one.finding), title, t(t.has(points) ? points : "points_unclear"),
      { details: pairs(one.details, []) });
  }

  function pairs(/** @type {any} */ details, /** @type {string[]} */ without) {
    return Object.entries(details || {})
      .filter(([name, value]) => !["signal", "signed", ...without].includes(name) && typeof value !== "object")
      .slice(0, 12)
      .map(([name, value]) => [clean(name, 40).replace(/_/g, " "), clean(value)]);
  }

  /** Facts about the check as [title, value] pairs. */
  function facts(/** @type {any} */ view, /** @type {Translate} */ t) {
    const { image, model, checked_at: at, elapsed_ms: ms, cached } = view.verdict;
    const number = new Intl.NumberFormat(t.lang, { maximumFractionDigits: 1 });
    const size = image.bytes >= 1e6 ? `${number.format(image.bytes / 1e6)} MB` : `${number.format(image.bytes / 1e3)} kB`;
    const took = cached ? t("fact_cached") : ms > 0 ? `${number.format(Math.max(1, Math.round(ms)))} ms` : "";
    const when = new Date(at);
    /** @type {[string, string][]} */
    const all = [
      [t("fact_name"), clean(view.name)],
      [t("fact_size"), `${t("fact_pixels", { width: image.width, height: image.height })}, ${size}`],
      [t("fact_format"), clean(image.format, 20)],
      [t("fact_source"), got(view.got, t)],
      [t("fact_larger"), view.got?.larger ? t("got_larger") : ""],
      [t("fact_model"), clean(`${model.name} ${model.version}`, 80)],
      [t("fact_checked"), Number.isNaN(when.getTime()) ? clean(at) : when.toLocaleString(t.lang)],
      [t("fact_took"), took],
      [t("fact_sha256"), clean(image.sha256, 64)],
    ];
    return all.filter(([, value]) => value);
  }

  function got(/** @type {any} */ how, /** @type {Translate} */ t) {
    return how && t.has(`got_${how.kind}`) ? t(`got_${how.kind}`, { host: how.host }) : "";
  }

  /** What is going on, for a view without an answer yet. */
  function progress(/** @type {any} */ view, /** @type {Translate} */ t) {
    if (view.state === "paused") return t(`state_${view.paused.why}`, { seconds: view.paused.seconds });
    if (view.state === "queued" && view.position > 0) return t("state_queued_behind", { position: view.position });
    return t(t.has(`state_${view.state}`) ? `state_${view.state}` : "state_waiting");
  }

  /** A problem in words: by its code, else as the server said it. */
  function problem(/** @type {any} */ what, /** @type {Translate} */ t) {
    const key = `error_${what?.code}`;
    if (what?.limit > 0 && t.has(`${key}_limit`)) return t(`${key}_limit`, { limit: what.limit / 1e6 });
    if (t.has(key)) return t(key);
    return clean(what?.detail || what?.message, 500) || t("error_other");
  }

  /** Names of actions that may help against a problem, the best first. */
  function remedies(/** @type {any} */ what) {
    const found = Object.entries(REMEDIES).filter(([, codes]) => codes.includes(what?.code)).map(([name]) => name);
    return [...found, "retry"];
  }

  /** A verdict as plain text, for the clipboard. */
  function summary(/** @type {any} */ view, /** @type {Translate} */ t) {
    const { verdict } = view;
    const head = `${clean(view.name)}: ${t(`verdict_${verdict.label}`)}. ${sentence(verdict, t)}`;
    const rows = evidence(verdict, t).map((one) => `- ${one.title}: ${[one.text, one.note].filter(Boolean).join("; ")}`);
    const plain = [head, ...reasons(verdict, t).map((text) => `- ${text}`), ...rows,
      `SHA-256 ${clean(verdict.image.sha256, 64)}`, `${clean(`${verdict.model.name} ${verdict.model.version}`)}, ${clean(verdict.checked_at)}`];
    return plain.join("\n").replace(/[\u2068\u2069]/g, "");
  }

  /** @returns {any[]} */
  function list(/** @type {unknown} */ value) {
    return Array.isArray(value) ? value.filter((one) => one && typeof one === "object") : [];
  }

  Object.assign(globalThis, {
    aidetectCardText: { clean, translator, percent, sentence, reasons, evidence, facts, progress, problem, remedies, summary },
  });
})();
void 0;
