// For administrators: who did what to whose account, from where and when.

import { get, query } from "./api.js";
import { address, page, pager, table, th } from "./adminparts.js";
import { h, show, icon, uid } from "./dom.js";
import { known, language, size, t } from "./i18n.js";

const actions = [
  "account.added", "account.tested", "account.test_failed", "account.changed", "account.paused", "account.resumed",
  "account.fetched", "account.deleted", "message.retried", "quota.set", "user.removed", "user.exported", "link.made",
  "session.begun", "session.ended", "sessions.ended", "transcript.begun", "transcript.read", "transcript.removed",
  "installation.adopted",
];

const names = ["user", "actor", "action", "from", "to"];

/** acts is the page of acts. */
export async function acts() {
  const given = new URLSearchParams(location.search);
  const filter = Object.fromEntries(names.map((n) => [n, given.get(n) || ""]));
  const typed = (name) => h("input", { type: "text", id: uid("q"), value: filter[name], maxlength: "254", autocomplete: "off", spellcheck: "false", autocapitalize: "off" });
  const day = (name) => h("input", { type: "date", id: uid("q"), value: filter[name] });
  const kind = h("select", { id: uid("q") }, [["", t("audit.action.any")], ...actions.map((a) => [a, t("audit.act." + a)])]
    .map(([v, text]) => h("option", { value: v, selected: v === filter.action }, text)));
  const inputs = { user: typed("user"), actor: typed("actor"), action: kind, from: day("from"), to: day("to") };
  const list = h("tbody", { role: "rowgroup" }), none = h("p", { class: "empty-row", hidden: true }, t("audit.none")), old = h("p", { class: "hint", hidden: true });
  async function load(cursor, signal) {
    const answer = await get("/v1/admin/audit" + query({ ...filter, from: begin(filter.from, 0), to: begin(filter.to, 1), limit: 50, cursor }), signal);
    list.replaceChildren(...answer.entries.map(row));
    show(none, !answer.entries.length);
    show(old, answer.complete_since);
    if (answer.complete_since) old.textContent = t("audit.since", { time: moment(answer.complete_since) });
    return { ...answer, n: answer.entries.length };
  }
  const walk = pager(load, "audit.shown");
  const again = () => {
    for (const n of names) filter[n] = inputs[n].value.trim();
    address(filter);
    return walk.restart();
  };
  await walk.turn();
  const field = (name, hint) => h("div", { class: "field" }, h("label", { for: inputs[name].id }, t("audit.filter." + name), hint && h("small", null, " " + hint)), inputs[name]);
  const el = page(t("audit.title"),
    h("form", { class: "filters", role: "search", novalidate: true, onsubmit: (e) => { e.preventDefault(); again(); } },
      field("user", t("health.user.hint")), field("actor", t("audit.filter.actor.hint")), field("action"), field("from"), field("to"),
      h("div", { class: "export" }, h("button", { type: "submit" }, icon("search"), t("health.filter")))),
    h("div", { class: "panel flush" }, table(t("audit.title"), [th(t("audit.when")), th(t("audit.what")), th(t("audit.who")), th(t("audit.whom")), th(t("audit.more"))], list), none),
    old, walk.el);
  return { el, title: t("audit.title"), leave: walk.leave };
}

/** begin is when a day begins here, or so many days after it; "" for no day. */
function begin(date, after) {
  if (!date) return "";
  const [y, m, d] = date.split("-").map(Number);
  return new Date(y, m - 1, d + after).toISOString();
}

const moment = (iso) => new Intl.DateTimeFormat(language(), { dateStyle: "medium", timeStyle: "medium" }).format(new Date(iso));

/** row is one act; its cells bear their columns' names, for where a table is cards. */
function row(e) {
  const cell = (name, ...content) => h("td", { role: "cell", "data-label": t(name) }, content);
  const muted = (text) => text && h("small", { class: "muted" }, text);
  const by = e.role === "user" && e.actor === e.user ? t("audit.self") : e.actor;
  return h("tr", { role: "row" },
    h("th", { scope: "row", role: "rowheader", "data-label": t("audit.when") }, h("time", { datetime: e.at }, moment(e.at))),
    cell("audit.what", known("audit.act." + e.action) ? t("audit.act." + e.action) : e.action),
    cell("audit.who", e.role === "user" ? by : [t("audit.role." + e.role), by && h("br"), by], muted(e.client)),
    cell("audit.whom", e.user || t("audit.everybody")),
    cell("audit.more", details(e).map(muted)));
}

/** details are what else is known of an act, in lines. */
function details(e) {
  const d = e.details, lines = [];
  if (d.email) lines.push(d.email);
  if (d.host) lines.push(d.host + ":" + d.port);
  if (e.changed.length && e.action === "account.changed") lines.push(t("audit.changed", { what: e.changed.join(", ") }));
  if (d.diagnosis) lines.push(known("code." + d.diagnosis) ? t("code." + d.diagnosis) : d.diagnosis);
  if (d.limit_bytes) lines.push(t("quotas.limit") + ": " + limit(d.limit_bytes));
  if (d.mail === "delete") lines.push(t("audit.mail"));
  return lines;
}

const limit = (n) => (n === "unlimited" ? t("unlimited") : size(Number(n)));
