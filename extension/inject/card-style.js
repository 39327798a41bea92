// The card's looks: one constructable style sheet, so that no page's policy on styles is in its way.
//
// A classic script; it defines `globalThis.aidetectCardStyle`. Vermilion stands for AI and blue for not
// AI, which most colour-blind people tell apart; an icon and a word always say the same.
"use strict";

(() => {
  const css = `
:host {
  all: initial; display: block; container-type: inline-size; color-scheme: light dark;
  --surface: #fff; --sunken: #f3f5f8; --text: #17202b; --muted: #55606e; --line: #d8dee6; --focus: #0b5c9e;
  --tone: #4a5563; --tint: #eef1f5; --ai: #d55e00; --real: #0072b2;
  font: 400 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
  color: var(--text); text-align: start; overflow-wrap: anywhere;
}
@media (prefers-color-scheme: dark) {
  :host { --surface: #181e26; --sunken: #11161c; --text: #e9edf2; --muted: #a3afbd; --line: #303946;
    --focus: #8cc8ff; --tone: #b4bfcb; --tint: #252d37; }
}
:host([hidden]) { display: none; }
article { background: var(--surface); border: 1px solid var(--line); border-radius: 14px; overflow: clip; }
article[data-label="ai"] { --tone: #a83f00; --tint: #fdeee4; }
article[data-label="real"] { --tone: #07578a; --tint: #e6f1f9; }
article[data-label="uncertain"] { --tone: #665400; --tint: #f8f2d8; }
@media (prefers-color-scheme: dark) {
  article[data-label="ai"] { --tone: #ffab7a; --tint: #3a2415; }
  article[data-label="real"] { --tone: #8accf5; --tint: #122b3d; }
  article[data-label="uncertain"] { --tone: #ead77c; --tint: #312b11; }
}
* { box-sizing: border-box; }
h3, h4, p, ul, dl, dd, figure, fieldset { margin: 0; padding: 0; border: 0; min-width: 0; }
bdi { unicode-bidi: isolate; }
svg { inline-size: 1.5em; block-size: 1.5em; flex: none; fill: none; stroke: currentColor; stroke-width: 1.7;
  stroke-linecap: round; stroke-linejoin: round; }

.top { display: flex; align-items: center; gap: 8px; padding: 6px 8px 6px 18px; border-bottom: 1px solid var(--line);
  background: var(--sunken); }
.name { flex: 1; min-width: 0; font-size: 13px; color: var(--muted); white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; }
.head { display: flex; gap: 14px; padding: 18px; align-items: flex-start; }
.badge { display: grid; place-items: center; inline-size: 46px; block-size: 46px; border-radius: 12px; flex: none;
  background: var(--tint); color: var(--tone); }
.badge svg { inline-size: 26px; block-size: 26px; }
.said { min-width: 0; }
h3 { font-size: 20px; line-height: 1.25; font-weight: 650; letter-spacing: -.01em; color: var(--tone); }
.progress h3 { font-size: 16px; font-weight: 600; padding-top: 2px; }
.said p { margin-top: 4px; }
.bar { block-size: 4px; margin-top: 12px; border-radius: 2px; background: var(--tint); overflow: hidden; inline-size: min(280px, 60cqi); }
.bar::after { content: ""; display: block; block-size: 100%; inline-size: 35%; border-radius: 2px; background: var(--focus);
  animation: slide 1.4s ease-in-out infinite alternate; }
.bar.still::after { animation: none; inline-size: 12%; }
@keyframes slide { from { margin-inline-start: 0; } to { margin-inline-start: 65%; } }

.body { display: grid; gap: 20px; padding: 0 18px 18px; }
@container (min-width: 640px) { .body.pictured { grid-template-columns: minmax(200px, 2fr) 3fr; gap: 26px; } }
.frame { position: relative; margin-inline: auto; inline-size: min(100%, calc(340px * var(--ratio, 1))); aspect-ratio: var(--ratio, 1);
  border-radius: 8px; overflow: hidden; background: var(--sunken); display: grid; place-items: center; outline: 1px solid var(--line); }
.frame img, .frame canvas { position: absolute; inset: 0; inline-size: 100%; block-size: 100%; }
.frame p { padding: 16px; font-size: 13px; color: var(--muted); text-align: center; }
figcaption { display: grid; gap: 6px; margin-top: 12px; font-size: 13px; }
figcaption label { font-weight: 600; }
input[type="range"] { inline-size: 100%; accent-color: var(--focus); margin: 2px 0; block-size: 24px; }
.legend { display: flex; justify-content: space-between; gap: 10px; color: var(--muted); font-size: 12px; }
.legend span { display: inline-flex; align-items: center; gap: 5px; }
.legend i { inline-size: 12px; block-size: 12px; border-radius: 3px; }
.legend .ai { background: var(--ai); } .legend .real { background: var(--real); }
.help { color: var(--muted); font-size: 12px; }

.why { display: grid; gap: 18px; align-content: start; }
.reasons { list-style: none; display: grid; gap: 6px; }
.reasons li { padding-inline-start: 16px; position: relative; }
.reasons li::before { content: ""; position: absolute; inset-inline-start: 2px; inset-block-start: .6em; inline-size: 6px; block-size: 6px;
  border-radius: 50%; background: var(--tone); }
h4 { font-size: 12px; font-weight: 650; color: var(--muted); margin-bottom: 6px; }
.evidence { list-style: none; border-top: 1px solid var(--line); }
.evidence > li { display: grid; grid-template-columns: 22px 1fr; gap: 12px; padding: 11px 0; border-bottom: 1px solid var(--line); }
.evidence svg { inline-size: 20px; block-size: 20px; color: var(--muted); margin-top: 2px; }
.evidence b { font-weight: 600; display: block; font-size: 13px; }
.evidence small { display: block; font-size: 13px; color: var(--muted); }
.scale { display: grid; grid-template-columns: auto 1fr auto; gap: 8px; align-items: center; margin: 6px 0 2px; font-size: 12px; color: var(--muted); }
.track { position: relative; block-size: 6px; border-radius: 3px; background: linear-gradient(to right, var(--real), var(--line) 50%, var(--ai)); }
.track i { position: absolute; inset-block-start: -4px; inline-size: 6px; block-size: 14px; margin-inline-start: -3px; border-radius: 3px;
  background: var(--text); outline: 2px solid var(--surface); }
dl { display: grid; grid-template-columns: fit-content(40%) 1fr; gap: 3px 14px; font-size: 13px; margin-top: 6px; }
dt { color: var(--muted); }
details { font-size: 13px; }
summary { cursor: pointer; font-weight: 600; padding: 4px 0; inline-size: fit-content; border-radius: 4px; }
code { font: 12px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }

.actions { display: flex; flex-wrap: wrap; gap: 8px; padding: 12px 18px; border-top: 1px solid var(--line); background: var(--sunken); }
button { font: inherit; font-size: 14px; font-weight: 550; color: var(--text); background: var(--surface); border: 1px solid var(--line);
  border-radius: 8px; padding: 6px 13px; min-block-size: 36px; cursor: pointer; }
button:hover { border-color: var(--muted); }
button.main { background: var(--focus); border-color: var(--focus); color: var(--surface); }
button.icon { display: grid; place-items: center; padding: 0; inline-size: 36px; border-color: transparent; background: none; color: var(--muted); }
button:disabled { opacity: .55; cursor: default; }
:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; }
article:focus { outline: none; } article:focus-visible { outline: 2px solid var(--focus); outline-offset: -2px; }

form { display: grid; gap: 12px; padding: 16px 18px; border-top: 1px solid var(--line); }
form h4 { font-size: 15px; color: var(--text); margin: 0; }
legend { padding: 0; font-weight: 600; font-size: 14px; margin-bottom: 4px; }
.choice { display: flex; align-items: center; gap: 9px; padding: 4px 0; font-size: 14px; }
.choice input { inline-size: 18px; block-size: 18px; accent-color: var(--focus); flex: none; margin: 0; }
.field { display: grid; gap: 5px; font-size: 14px; font-weight: 600; }
textarea { font: inherit; font-weight: 400; color: inherit; background: var(--surface); border: 1px solid #7d8896; border-radius: 8px; padding: 8px 10px;
  min-block-size: 72px; resize: vertical; inline-size: 100%; }
.row { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; }
.told { font-size: 14px; }
[hidden] { display: none !important; }

@media (prefers-reduced-motion: reduce) { .bar::after { animation: none; inline-size: 50%; } }
@media (forced-colors: active) {
  .badge { border: 1px solid CanvasText; } .reasons li::before { background: CanvasText; forced-color-adjust: none; }
  svg, .evidence svg { color: CanvasText; } .track { border: 1px solid CanvasText; } .track i { background: Highlight; forced-color-adjust: none; }
  .bar::after { background: Highlight; } .legend i, .frame canvas { forced-color-adjust: none; }
  button.main { forced-color-adjust: none; background: ButtonText; color: ButtonFace; border-color: ButtonText; }
}
`;
  /** @type {CSSStyleSheet | undefined} */
  let sheet;
  Object.assign(globalThis, {
    aidetectCardStyle: () => {
      if (!sheet) {
        sheet = new CSSStyleSheet();
        sheet.replaceSync(css);
      }
      return sheet;
    },
  });
})();
void 0;
