// What this browser keeps: the key, the language, and a bounded history. Any of it may be gone, forbidden
// or somebody else's writing: reading never throws.

const PREFIX = "aidetect.";
export const MOST = 50;

export function read(name, otherwise = null) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export function write(name, value) {
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

/** Verdicts with their names, the newest first; never an image. */
export function history() {
  const kept = read("history", []);
  return Array.isArray(kept) ? kept.filter((one) => one?.verdict?.image && one.verdict.model).slice(0, MOST) : [];
}

export function remember(view) {
  if (!read("keep", true)) return;
  const entry = { at: new Date().toISOString(), name: view.name, verdict: view.verdict, signature: view.signature };
  const others = history().filter((one) => one.verdict.image.sha256 !== entry.verdict.image.sha256 || one.name !== entry.name);
  const all = [entry, ...others].slice(0, MOST);
  while (all.length && !write("history", all)) all.pop(); // storage is full: the oldest go first
}

export function forget() {
  write("history", null);
}
