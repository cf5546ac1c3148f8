// Names of hosts, alone or in addresses, in the letters they were registered with.
// It is internal/account/letters.go once more: the REST API has them as computers do.

const names = /(?:[\p{L}\p{N}_-]+\.)*\bxn--[a-z0-9_-]+(?:\.[\p{L}\p{N}_-]+)*(?![^\s,;:<>()"@]*@)/giu;

/** letters shows a text with names in letters in place of "xn--…". What may be
 * taken for another name stays as it is. */
export function letters(text) {
  return /xn--/i.test(text) ? text.replace(names, (name) => lettersOf(name)) : text;
}

/** labels is a name as computers have it; what is no name stays, and so does what would
 * not be shown so, as a letter of another width. */
export function labels(name) {
  if (!/[^\0-\x7f]/.test(name)) return name;
  const at = name.lastIndexOf("@") + 1, host = name.slice(at), known = ascii(host);
  return known === null || lettersOf(known) !== host.replace(/[A-Z]/g, (c) => c.toLowerCase())
    ? name
    : name.slice(0, at) + known;
}

/** ascii is what the browser would ask for, or null. */
function ascii(host) {
  if (/[\s/?#@:%\\[\]]/.test(host)) return null;
  try { return new URL(location.protocol + "//" + host).hostname || null; } catch { return null; }
}

function lettersOf(name) {
  const parts = name.split(".");
  const top = decoded(parts.at(-1)) ?? parts.at(-1);
  return parts.map((part) => {
    const u = decoded(part);
    return u === null || likeOthers(u, top) || ascii(u + ".test") !== part.toLowerCase() + ".test" ? part : u;
  }).join(".");
}

/** decoded is RFC 3492 section 6.2, of a part that begins with "xn--"; null: it is none. */
function decoded(part) {
  const small = part.toLowerCase();
  if (!small.startsWith("xn--")) return null;
  const text = small.slice(4), dash = text.lastIndexOf("-");
  const out = [...text.slice(0, Math.max(0, dash))];
  let n = 128, i = 0, bias = 72;
  for (let at = dash < 1 ? Math.max(0, dash + 1) : dash + 1, first = true; at < text.length; first = false) {
    const before = i;
    for (let w = 1, k = 36; ; k += 36) {
      if (at >= text.length) return null;
      const c = text.charCodeAt(at++), digit = c >= 97 && c <= 122 ? c - 97 : c >= 48 && c <= 57 ? c - 22 : 36;
      if (digit > 35) return null;
      i += digit * w;
      const most = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias;
      if (digit < most) break;
      w *= 36 - most;
      if (w > 0x7fffffff) return null;
    }
    let delta = i - before;
    delta = Math.floor(delta / (first ? 700 : 2));
    delta += Math.floor(delta / (out.length + 1));
    let k = 0;
    for (; delta > 455; k += 36) delta = Math.floor(delta / 35);
    bias = k + Math.floor(36 * delta / (delta + 38));
    n += Math.floor(i / (out.length + 1));
    i %= out.length + 1;
    if (n > 0x10ffff || n >= 0xd800 && n < 0xe000) return null;
    out.splice(i++, 0, String.fromCodePoint(n));
  }
  return out.join("");
}

const script = (...of) => new RegExp(
  "^[-0-9" + of.map((s) => (s.length === 1 ? s : "\\p{Script=" + s + "}")).join("") + "]*$", "u");

/** scripts are in which a name may be written, each by itself (UTS 39 section 5.2); of
 * Latin, which all know, only the letters of living alphabets are. */
const scripts = [
  /^[-0-9a-z\u00df-\u00f6\u00f8-\u0130\u0132-\u017f\u0218-\u021b\u1e00-\u1eff]*$/u,
  script("Han", "Hiragana", "Katakana", "\u30fc"), script("Han", "Hangul"), script("Han", "Bopomofo"),
  ...["Cyrillic", "Greek", "Armenian", "Hebrew", "Arabic", "Thaana", "Devanagari", "Bengali", "Gurmukhi", "Gujarati",
    "Oriya", "Tamil", "Telugu", "Kannada", "Malayalam", "Sinhala", "Thai", "Lao", "Tibetan", "Myanmar", "Georgian",
    "Ethiopic", "Khmer"].map((s) => script(s)),
];

/** latinLike are letters of other scripts that are taken for Latin ones. */
const latinLike = /^[-0-9асԁеһіјӏорԛѕԝхуъьҽпгѵѡвкмнтαικνρυωηοτγσχ]*$/u;

/** likeOthers says whether a part may be taken for another one: it is not in one
 * script, or looks as if it were in Latin below a top that is. */
function likeOthers(part, top) {
  return !scripts.some((s) => s.test(part)) || !/[^\0-\x7f]/.test(top) && latinLike.test(part);
}
