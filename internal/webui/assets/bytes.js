// Numbers of bytes as people write them, with a unit, exact to the byte.

import { language } from "./i18n.js";

export const units = [["byte", 0], ["kilobyte", 3], ["megabyte", 6], ["gigabyte", 9], ["terabyte", 12]];
export const digits = Object.fromEntries(units);

/** written is a number of bytes in a unit, with all its digits: nothing is rounded. */
export function written(bytes, unit) {
  const n = digits[unit], text = String(bytes).padStart(n + 1, "0");
  const rest = n ? text.slice(-n).replace(/0+$/, "") : "";
  return (n ? text.slice(0, -n) : text) + (rest ? (language() === "pl" ? "," : ".") + rest : "");
}

/** read is how many bytes a text means in a unit; or a word for what is wrong. */
export function read(text, unit) {
  let plain = text.replace(/[\s\u00a0]/g, "");
  // A point or comma before three digits each is a separator only where there are several, or the language has it so.
  if (language() === "en" && /^\d{1,3}(,\d{3})+(\.\d+)?$/.test(plain)) plain = plain.replaceAll(",", "");
  const match = plain.replace(",", ".").match(/^(\d*)(?:\.(\d*))?$/);
  if (!match || !(match[1] || match[2])) return { bad: "limit.number" };
  const rest = (match[2] || "").replace(/0+$/, "");
  if (rest.length > digits[unit]) return { bad: "limit.fraction" };
  const bytes = Number((match[1] || "0") + rest.padEnd(digits[unit], "0"));
  return bytes <= Number.MAX_SAFE_INTEGER ? { bytes } : { bad: "limit.large" };
}

/** suited is the unit in which a number of bytes is easiest to read. */
export const suited = (bytes) => (bytes ? units.findLast(([, n]) => bytes >= 10 ** n)[0] : "gigabyte");
