// Numbers of bytes as people write them, with a unit, exact to the byte.

import { language, t } from "./i18n.js";

export const units = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"];
const binary = ["byte", "kibibyte", "mebibyte", "gibibyte", "tebibyte"];
const factors = Object.fromEntries([
  ...units.map((u, i) => [u, 1000n ** BigInt(i)]), ...binary.map((u, i) => [u, 1024n ** BigInt(i)]),
]);

export const isUnit = (name) => name in factors;

/** typed is what somebody wrote as a number, and the unit after it if there is one: 1,5 GB, 50MiB, 3 m. */
export function typed(text) {
  const match = text.trim().match(/^(.*[\d.,])\s*(?:([kmgt])(i?)b?|b)$/is);
  if (!match) return { number: text, unit: null };
  const power = "kmgt".indexOf((match[2] || "").toLowerCase() || " ") + 1;
  return { number: match[1], unit: (match[3] ? binary : units)[power] };
}

/** written is a number of bytes in a unit, with all its digits: nothing is rounded. */
export function written(bytes, unit) {
  const of = factors[unit], whole = BigInt(bytes) / of;
  let rest = BigInt(bytes) % of, text = "";
  for (; rest; rest %= of) text += (rest *= 10n) / of; // It ends: of has no other factors than ten has.
  return whole + (text ? (language() === "pl" ? "," : ".") + text : "");
}

/** read is how many bytes a text means, in a unit unless it has its own; or a word for what is wrong. */
export function read(text, unit) {
  const given = typed(text), of = factors[given.unit ?? unit];
  let plain = given.number.replace(/[\s\u00a0]/g, "");
  // A point or comma before three digits each is a separator only where there are several, or the language has it so.
  if (language() === "en" && /^\d{1,3}(,\d{3})+(\.\d+)?$/.test(plain)) plain = plain.replaceAll(",", "");
  const match = plain.replace(",", ".").match(/^(\d*)(?:\.(\d*))?$/);
  if (!match || !(match[1] || match[2])) return { bad: "limit.number" };
  const rest = (match[2] || "").replace(/0+$/, "");
  const times = 10n ** BigInt(rest.length), bytes = BigInt((match[1] || "0") + rest) * of;
  if (bytes % times) return { bad: "limit.fraction" };
  return bytes / times <= BigInt(Number.MAX_SAFE_INTEGER) ? { bytes: Number(bytes / times) } : { bad: "limit.large" };
}

/** suited is the unit in which a number of bytes is easiest to read. */
export const suited = (bytes) => (bytes ? units.findLast((u) => bytes >= factors[u]) : "gigabyte");

/** largestUnit is the unit of the limit of a message: MiB where it is round in those alone, as 50 MiB (52.4288 MB). */
export const largestUnit = (bytes) => (bytes % 2 ** 20 === 0 && bytes % 1e6 ? "mebibyte" : suited(bytes));

/** exact is the limit of a message in that unit, to the byte. */
export function exact(bytes) {
  const unit = largestUnit(bytes);
  return written(bytes, unit) + "\u00a0" + t("unit." + unit);
}
