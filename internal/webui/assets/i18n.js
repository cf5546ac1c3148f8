// Words, plurals, numbers and times of the language that is spoken.

import en from "./i18n/en.js";
import pl from "./i18n/pl.js";
import { letters } from "./letters.js";

const words = { en, pl };
export const languages = [["en", "English"], ["pl", "Polski"]];
const remembered = "mailbrook.language";

let lang = "en";
let plural, number, decimal, percent, dayTime, fullTime, dated, dayOnly, relative, list;

/** language is the code of the one in use. */
export const language = () => lang;

/** choose picks what was chosen before, else what the browser asks for. */
export function choose(wanted) {
  let kept = null;
  try {
    if (wanted) localStorage.setItem(remembered, wanted);
    else kept = localStorage.getItem(remembered);
  } catch { /* A frame may have no storage: the browser's language then. */ }
  const asked = [wanted || kept, ...(navigator.languages || [navigator.language])];
  lang = asked.map((l) => String(l || "").slice(0, 2).toLowerCase()).find((l) => words[l]) || "en";
  const locale = asked.find((l) => String(l || "").toLowerCase().startsWith(lang + "-"))
    || (lang === "en" ? "en-GB" : lang);
  plural = new Intl.PluralRules(lang);
  // From four digits on there are separators in both languages.
  number = new Intl.NumberFormat(locale, { useGrouping: "always" });
  decimal = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 });
  percent = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 0 });
  dayTime = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
  fullTime = new Intl.DateTimeFormat(locale, { dateStyle: "full", timeStyle: "medium" });
  dated = new Intl.DateTimeFormat(locale, { dateStyle: "medium" });
  dayOnly = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short" });
  relative = new Intl.RelativeTimeFormat(lang, { numeric: "auto" });
  list = new Intl.ListFormat(lang, { type: "conjunction" });
  document.documentElement.lang = lang;
}

/** t is the text of a key, with {names} filled in. With a number n the text
 * has a form for each plural of the language. */
export function t(key, values) {
  let text = words[lang][key];
  if (text === undefined) return key;
  if (typeof text === "object") text = text[plural.select(values.n)] ?? text.other;
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const v = values?.[name];
    return typeof v === "number" ? number.format(v) : letters(String(v ?? ""));
  });
}

/** known says whether there is a text for a key. */
export const known = (key) => words[lang][key] !== undefined;

export const count = (n) => number.format(n);
export const share = (part) => percent.format(part);
export const names = (values) => list.format(values);

const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];

/** size is a number of bytes for people. */
export function size(bytes) {
  let n = bytes, i = 0;
  while (n >= 1000 && i < units.length - 1) { n /= 1000; i += 1; }
  return decimal.format(n) + "\u00a0" + t("unit." + units[i]);
}

export const full = (iso) => fullTime.format(new Date(iso));
/** date is a day with its year. */
export const date = (iso) => dated.format(new Date(iso));
export const day = (date) => dayOnly.format(date);

/** when is how long ago, or in what time, something is; after a day the date. What is to come is rounded up, as
 * the server's sentences about it are: in minutes up to an hour and a half. */
export function when(iso, now = Date.now()) {
  const seconds = Math.round((new Date(iso) - now) / 1000);
  const far = Math.abs(seconds);
  if (far < 10) return seconds > 0 ? t("time.soon") : t("time.now");
  if (far < 60) return relative.format(seconds, "second");
  if (far < 3600 || seconds > 0 && far <= 5400) return relative.format(Math.ceil(seconds / 60), "minute");
  if (far < 86400) return relative.format(Math.ceil(seconds / 3600), "hour");
  return dayTime.format(new Date(iso));
}

/** folderName is a folder at the provider as people call it. */
export const folderName = (name) => name.replace(/^INBOX(?=$|\/)/, t("folder.inbox"));

/** span is a length of time in whole words. */
export const span = (seconds) => lasting("span", seconds);

/** every is how often something is done, in whole words. */
export const every = (seconds) => lasting("every", seconds);

function lasting(key, seconds) {
  if (seconds < 60) return t(key + ".seconds", { n: Math.max(1, Math.round(seconds)) });
  if (seconds < 3600) return t(key + ".minutes", { n: Math.round(seconds / 60) });
  if (seconds < 172800) return t(key + ".hours", { n: Math.round(seconds / 3600) });
  return t(key + ".days", { n: Math.round(seconds / 86400) });
}
