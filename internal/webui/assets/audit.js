// For administrators: who did what to whose account, from where and when.

import { get, query } from "./api.js";
import { address as broken, h, say, show, icon, uid } from "./dom.js";
import { count, known, language, size, t } from "./i18n.js";
import { labels, letters } from "./letters.js";
import { address, codeWords, page, pager, row, serverName, table, th, userLink } from "./adminparts.js";

const actions = [
  "account.added", "account.tested", "account.test_failed", "account.changed", "account.paused", "account.resumed",
  "account.fetched", "account.deleted", "message.retried", "quota.set", "default_limit.set", "default_limit.removed",
  "mailbox_login.set", "mailbox_login.removed",
  "copy.started", "copy.changed", "copy.paused", "copy.resumed", "copy.cancelled", "copy.repeated", "copy.deleted",
  "user.removed", "user.exported", "link.made", "session.begun", "session.ended", "sessions.ended", "transcript.begun",
  "transcript.read", "transcript.removed", "installation.adopted",
];

const names = ["query", "user", "account", "actor", "action", "from", "to"];

/** acts is the page of acts. */
export async function acts() {
  const given = new URLSearchParams(location.search);
  const filter = Object.fromEntries(names.map((n) => [n, given.get(n) || ""]));
  if (!actions.includes(filter.action)) filter.action = "";
  const typed = (name) => h("input", {
    type: "text", id: uid("q"), value: letters(filter[name]), maxlength: "254", autocomplete: "off",
    spellcheck: "false", autocapitalize: "off",
  });
  const day = (name) => h("input", { type: "date", id: uid("q"), value: filter[name] });
  const kind = h("select", { id: uid("q") },
    [["", t("audit.action.any")], ...actions.map((a) => [a, t("audit.act." + a)])]
    .map(([v, text]) => h("option", { value: v, selected: v === filter.action }, text)));
  const inputs = { query: typed("query"), actor: typed("actor"), action: kind, from: day("from"), to: day("to") };
  const list = h("tbody"), none = h("p", { class: "empty-row", hidden: true }, t("audit.none"));
  const old = h("p", { class: "hint", hidden: true }), fixed = h("p", { class: "fixed" });
  async function load(cursor, signal) {
    const days = { from: begin(filter.from, 0), to: begin(filter.to, 1) };
    const answer = await get("/v1/admin/audit" + query({ ...filter, ...days, limit: 50, cursor }), signal);
    list.replaceChildren(...answer.entries.map(line));
    show(none, !answer.entries.length);
    say(none, t(filter.from && filter.to && filter.from > filter.to ? "audit.days" : "audit.none"));
    show(old, answer.complete_since);
    if (answer.complete_since) say(old, t("audit.since", { time: moment(answer.complete_since, "long") }));
    return { ...answer, n: answer.entries.length };
  }
  const walk = pager(load, "audit.shown");
  function again() {
    for (const n of Object.keys(inputs)) filter[n] = inputs[n].value.trim();
    for (const n of ["query", "actor"]) filter[n] = labels(filter[n]);
    address(filter);
    return walk.restart();
  }
  /** narrowed says that a link that led here has narrowed the list to a user or an account, and takes it back. */
  function narrowed() {
    show(fixed, filter.account || filter.user);
    fixed.replaceChildren(
      h("span", null, filter.account ? t("audit.account") : t("health.only", { what: letters(filter.user) })),
      h("button", { type: "button", class: "link", onclick: () => {
      filter.account = filter.user = "";
      narrowed();
      again();
      inputs.query.focus();
    } }, t("audit.account.drop")));
  }
  narrowed();
  await walk.turn();
  const field = (name, hint) => h("div", { class: "field" },
    h("label", { for: inputs[name].id }, t("audit.filter." + name), hint && h("small", null, " " + hint)),
    inputs[name]);
  const el = page(t("audit.title"),
    h("form", { class: "filters", role: "search", novalidate: true, onsubmit: (e) => { e.preventDefault(); again(); } },
      field("query", t("audit.filter.query.hint")), field("actor", t("audit.filter.actor.hint")), field("action"),
      field("from"), field("to"),
      h("div", { class: "export" }, h("button", { type: "submit" }, icon("search"), t("audit.filter")))),
    fixed,
    h("div", { class: "panel flush" },
      table(t("audit.title"),
        [th(t("audit.when")), th(t("audit.what")), th(t("audit.who")), th(t("audit.whom")), th(t("audit.more"))], list),
      none),
    old, walk.el);
  return { el, title: t("audit.title"), leave: walk.leave };
}

/** begin is when a day begins here, or so many days after it; "" for no day. */
function begin(date, after) {
  if (!date) return "";
  const [y, m, d] = date.split("-").map(Number);
  return new Date(y, m - 1, d + after).toISOString();
}

const moment = (iso, style = "medium") =>
  new Intl.DateTimeFormat(language(), { dateStyle: style, timeStyle: "medium" }).format(new Date(iso));

const muted = (text) => text && h("small", { class: "muted account-of" }, broken(text));

/** line is one act. */
function line(e) {
  const by = e.role === "user" && e.actor === e.user ? t("audit.self") : e.actor;
  return row([t("audit.when"), h("time", { datetime: e.at }, moment(e.at))],
    [t("audit.what"), act(e)],
    [t("audit.who"), [
      h("span", { class: "account-of" }, e.role === "user" ? broken(by) : t("audit.role." + e.role)),
      e.role !== "user" && by && h("span", { class: "account-of" }, broken(by)), muted(e.client),
    ], "actor"],
    [t("audit.whom"), whom(e), "actor"], [t("audit.more"), details(e).map(muted)]);
}

/** act is what was done. A test that somebody stopped has not failed. */
function act(e) {
  if (stopped(e)) return t("audit.test.stopped");
  return known("audit.act." + e.action) ? t("audit.act." + e.action) : e.action;
}

const stopped = (e) => e.action === "account.test_failed" && e.details.diagnosis === "interrupted";

function whom(e) {
  if (e.user) return userLink(e.user);
  if (e.details.domain) return e.details.domain === "*" ? t("defaults.everybody") : e.details.domain;
  return e.action === "installation.adopted" ? "–" : t("audit.everybody");
}

/** details are what else is known of an act, in lines. */
function details(e) {
  const d = e.details, lines = [];
  const word = (key) => known(key) && lines.push(t(key));
  if (d.email) lines.push(d.email);
  if (d.host) lines.push(serverName(d.host, d.port));
  if (e.changed.length && e.action === "account.changed") {
    lines.push(t("audit.changed", { what: e.changed.map(setting).join(", ") }));
  }
  if (d.diagnosis && !stopped(e)) lines.push(codeWords(d.diagnosis));
  if (d.limit_bytes) lines.push(t("quotas.limit") + ": " + limit(d, "limit_bytes", size));
  if (d.limit_messages_before || d.limit_messages && d.limit_messages !== "unlimited") {
    lines.push(t("quotas.messages") + ": " + limit(d, "limit_messages", count));
  }
  word("limit.by." + d.limit_source);
  if (d.messages) lines.push(t("messages", { n: Number(d.messages) }));
  if (d.mail === "delete") word("audit.mail");
  word("audit.by." + d.by);
  if (d.admin === "true") word("audit.admin");
  word("audit.part." + d.part);
  return lines;
}

const setting = (name) => (known("audit.setting." + name) ? t("audit.setting." + name) : name);

/** limit is what a limit is now, and was before where that was something else. */
function limit(d, name, words) {
  const said = (n) => (n === "unlimited" ? t("unlimited") : words(Number(n)));
  return said(d[name]) + (d[name + "_before"] ? " " + t("audit.before", { limit: said(d[name + "_before"]) }) : "");
}
