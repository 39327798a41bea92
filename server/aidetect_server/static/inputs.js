// What was dropped, pasted or typed, as files and addresses.

const ADDRESS = /https?:\/\/[^\s<>"]+/gi;

/** {files, urls} of a drop or a paste. */
export function given(data) {
  const files = [...(data?.files ?? [])];
  if (files.length) return { files, urls: [] };
  const lists = data?.getData("text/uri-list") || data?.getData("text/plain") || "";
  return { files: [], urls: addresses(lists) };
}

/** The addresses in a text, each once. */
export function addresses(text) {
  return [...new Set(text.match(ADDRESS) ?? [])];
}

/** What somebody typed as addresses: parted by spaces; what does not look like one is still tried. */
export function typed(text) {
  return [...new Set(text.split(/\s+/).filter(Boolean))].map((one) =>
    /^[a-z][a-z0-9+.-]*:/i.test(one) ? one : `https://${one}`,
  );
}
