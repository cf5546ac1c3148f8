// Small pictures of numbers, drawn as SVG. What they show is always in words
// nearby too.

import { h, s, say, show } from "./dom.js";
import { count, day, share, size, t } from "./i18n.js";

/** meter is a horizontal bar of parts: [[amount, class], …] of a whole. */
export function meter(parts, whole, label) {
  let x = 0;
  const el = s("svg", {
    class: "meter", viewBox: "0 0 1000 24", preserveAspectRatio: "none", role: "img", "aria-label": label,
  });
  el.append(s("rect", { class: "ground", width: "1000", height: "24", rx: "0" }));
  for (const [amount, kind] of parts) {
    const w = whole > 0 ? Math.min(1000 - x, amount / whole * 1000) : 0;
    if (w <= 0) continue;
    el.append(
      s("rect", { class: "part " + kind, x: x.toFixed(1), width: Math.max(3, w - 3).toFixed(1), height: "24" }));
    x += w;
  }
  return el;
}

/** quotaBar is the own quota, by account. */
export function quotaBar(q) {
  const brought = q.accounts.filter((a) => a.bytes > 0);
  // A server that counts in kilobytes rounds: without a message of the user's own the rest is nobody's mail.
  const others = q.used_messages > q.accounts.reduce((n, a) => n + a.messages, 0);
  const own = others ? Math.max(0, q.used_bytes - brought.reduce((n, a) => n + a.bytes, 0)) : 0;
  const limit = q.limit_bytes;
  const whole = limit === null ? Math.max(1, q.used_bytes) : Math.max(limit, q.used_bytes);
  const words = limit === null
    ? t("quota.used.unlimited", { used: size(q.used_bytes) })
    : t("quota.used", { used: size(q.used_bytes), limit: size(limit) });
  const row = (kind, name, bytes) => h("li", null, h("i", { class: "key " + kind, "aria-hidden": "true" }),
    h("span", null, name), h("span", { class: "num" }, size(bytes)));
  const messages = q.limit_messages === null ? t("quota.messages.unlimited", { n: q.used_messages })
    : t("quota.messages", { used: count(q.used_messages), limit: count(q.limit_messages) });
  const trouble = q.mailbox_locked ? t("quota.locked") : q.mailbox_missing && t("quota.missing");
  return h("div", { class: "quota " + q.state },
    trouble && h("p", { class: "quota-state" }, trouble),
    h("p", { class: "quota-words" }, h("strong", null, words), h("span", null, messages)),
    q.state !== "ok" && h("p", { class: "quota-state" }, t("quota." + q.state)),
    meter([[own, "c0"], ...brought.map((a, i) => [a.bytes, "c" + (i % 5 + 1)])], whole,
      t("quota.picture") + ": " + words),
    h("ul", { class: "legend" }, own > 0 && row("c0", t("quota.own"), own),
      brought.map((a, i) => row("c" + (i % 5 + 1), a.name, a.bytes)),
      limit !== null && limit > q.used_bytes && row("free", t("quota.free"), limit - q.used_bytes)));
}

/** days is messages per day as columns, and the failed visits as marks above
 * them. */
export function days(runs, now = new Date()) {
  const n = 14, list = [];
  for (let i = n - 1; i >= 0; i--) {
    list.push({ date: new Date(now.getFullYear(), now.getMonth(), now.getDate() - i), messages: 0, failed: 0 });
  }
  for (const r of runs) {
    const at = new Date(r.started_at);
    const d = list.find((x) => x.date.toDateString() === at.toDateString());
    if (!d) continue;
    d.messages += r.messages;
    if (r.finished_at && !r.ok) d.failed += 1;
  }
  const most = Math.max(1, ...list.map((d) => d.messages));
  const total = list.reduce((x, d) => x + d.messages, 0), failed = list.reduce((x, d) => x + d.failed, 0);
  const step = 40, height = 120, base = 150, whole = 152;
  const el = s("svg", {
    class: "chart", viewBox: `0 0 ${n * step} ${whole}`, role: "img",
    "aria-label": t("account.history.picture", { messages: total, failed }),
  });
  el.append(s("line", { class: "axis", x1: "0", x2: String(n * step), y1: String(base), y2: String(base) }));
  list.forEach((d, i) => {
    const x = i * step, tall = d.messages ? Math.max(3, d.messages / most * height) : 0;
    const failures = d.failed ? ", " + t("admin.failed", { n: d.failed }) : "";
    const g = s("g", null,
      s("title", null, day(d.date) + ": " + t("messages", { n: d.messages }) + failures),
      s("rect", { class: "hit", x: String(x), y: "0", width: String(step), height: String(whole) }),
      tall > 0 && s("rect", {
        class: "column", x: String(x + 7), y: String(base - tall), width: String(step - 14), height: String(tall),
        rx: "3",
      }));
    if (d.failed) {
      const y = base - tall - 14;
      g.append(s("path", { class: "mark", d: `M${x + 14} ${y - 6}l12 12M${x + 26} ${y - 6}l-12 12` }));
    }
    el.append(g);
  });
  const table = h("details", { class: "detail" }, h("summary", null, t("account.history.table")),
    h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": t("account.history.table") },
      h("table", null,
        h("thead", null, h("tr", null, h("th", { scope: "col" }, t("account.history.day")),
          h("th", { scope: "col", class: "num" }, t("account.history.messages")),
          h("th", { scope: "col", class: "num" }, t("account.history.failed")))),
        h("tbody", null, list.map((d) => h("tr", null, h("th", { scope: "row" }, day(d.date)),
          h("td", { class: "num" }, count(d.messages)), h("td", { class: "num" }, count(d.failed))))))));
  return h("div", { class: "history" },
    h("div", { class: "drawn" }, el, scale("days", [list[0], list[7], list[n - 1]].map((d) => day(d.date)))),
    h("p", { class: "legend-line" },
      h("span", null, h("i", { class: "key c1", "aria-hidden": "true" }), t("account.history.messages")),
      h("span", null, h("i", { class: "key cross", "aria-hidden": "true" }, "×"), t("account.history.failed"))),
    table);
}

/** scale is what stands below the columns of a picture, in letters as large as those around it however wide it is
 * drawn. */
const scale = (kind, words) => h("p", { class: "scale " + kind, "aria-hidden": "true" },
  words.map((w) => h("span", null, w)));

/** bars is a list of words with a number and a bar each. */
export function bars(rows) {
  const most = Math.max(1, ...rows.map((r) => r.n));
  return h("ul", { class: "bars" }, rows.map((r) =>
    h("li", null, h("span", { class: "bar-name" }, r.href ? h("a", { href: r.href }, r.name) : r.name),
      h("span", { class: "num" }, count(r.n)),
      s("svg", { class: "bar", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
        s("rect", { class: "ground", width: "100", height: "8" }),
        s("rect", { class: "part " + (r.kind || "c1"), width: String(r.n / most * 100), height: "8" })))));
}

/** fill is how full one mailbox is, as a short bar with the number beside it. */
export function fillBar() {
  const part = s("rect", { class: "part", height: "8" });
  const words = h("span", { class: "num" });
  const el = h("span", { class: "fill" },
    s("svg", { class: "bar", viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" },
      s("rect", { class: "ground", width: "100", height: "8" }), part), words);
  return {
    el,
    update(q) {
      const f = fullness(q);
      part.setAttribute("width", String(Math.min(100, (f ?? 0) * 100)));
      part.setAttribute("class", "part " + q.state);
      show(el, f !== null);
      say(words, f === null ? "" : share(f));
    },
  };
}

/** fullness is the part of the fuller limit that is used; null without one. */
export function fullness(q) {
  const of = (used, limit) => (limit === null ? null : limit === 0 ? 1 : used / limit);
  const b = of(q.used_bytes, q.limit_bytes), m = of(q.used_messages, q.limit_messages);
  return b === null ? m : m === null ? b : Math.max(b, m);
}

/** histogram is users by how full they are: counts of [0,10), …, [90,100), full. */
export function histogram(counts, unlimited) {
  const most = Math.max(1, ...counts), step = 40, base = 110;
  const names = counts.map((_, i) => (i < 10 ? i * 10 + "–" + (i + 1) * 10 + " %" : "≥ 100 %"));
  const none = t("quotas.picture.none") + ": " + count(unlimited);
  const text = [...names.map((n, i) => n + ": " + count(counts[i])), none].join(", ");
  const el = s("svg", {
    class: "chart small", viewBox: "0 0 440 112", role: "img", "aria-label": t("quotas.picture.label", { text }),
  },
    s("line", { class: "axis", x1: "0", x2: "440", y1: String(base), y2: String(base) }));
  counts.forEach((n, i) => {
    const tall = n ? Math.max(3, n / most * 96) : 0;
    el.append(s("g", null, s("title", null, names[i] + ": " + count(n)),
      s("rect", { class: "hit", x: String(i * step), y: "0", width: String(step), height: "112" }),
      s("rect", {
        class: "column " + (i === 10 ? "over" : i === 9 ? "near" : ""), x: String(i * step + 5), y: String(base - tall),
        width: String(step - 10), height: String(tall), rx: "3",
      })));
  });
  return h("div", null,
    h("div", { class: "drawn small" }, el, scale("shares", counts.map((_, i) => (i < 10 ? String(i * 10) : "≥100")))),
    h("p", { class: "hint" }, none));
}
