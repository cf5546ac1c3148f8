// For administrators: how it goes, and whose account is broken.

import { get, patch, post, query } from "./api.js";
import { address as broken, h, say, notice, show, icon, uid } from "./dom.js";
import { count, size, span, t } from "./i18n.js";
import { labels, letters } from "./letters.js";
import {
  accountLink, address, codeWords, page, pager, panel, row, serverLink, serverName, stateView, stateWords, table, th,
  userLink,
} from "./adminparts.js";
import { bars } from "./chart.js";
import { explain, toast } from "./page.js";
import { due, time } from "./list.js";

/** states are those of an account, the worst first. */
const states = ["needs_attention", "retrying", "over_quota", "fetching", "pending", "ok", "paused"];

const stateKinds = {
  ok: "ok", fetching: "c1", pending: "c3", retrying: "near", needs_attention: "over", over_quota: "over", paused: "c0",
};

/** since is for how many seconds an account has been due. */
const since = (a) => (a.status.next_poll_at ? (Date.now() - new Date(a.status.next_poll_at)) / 1000 : 0);

/** overview is how the fetching goes. */
export async function overview() {
  const [stats, hosts, late] = await Promise.all(
    [get("/v1/admin/stats"), get("/v1/admin/hosts"), get("/v1/admin/accounts?sort=overdue&limit=8")]);
  const figure = (label, n, more) => h("div", { class: "figure" }, h("dt", null, label),
    h("dd", null, h("strong", null, n), more && h("span", null, more)));
  const failures = stats.last_day.failures || stats.failures_last_day || stats.failures;
  const daily = failures !== stats.failures;
  const states = Object.entries(stats.accounts.by_state).sort((a, b) => b[1] - a[1])
    .map(([k, n]) => ({ name: stateWords(k), n, kind: stateKinds[k], href: "/admin/accounts?state=" + k }));
  const overdue = late.accounts.filter((a) => since(a) >= 30);
  const el = page(t("admin.overview"),
    !stats.mailboxes_available && notice("bad", t("admin.mailboxes.away"), h("p", null, t("admin.mailboxes.away.how"))),
    h("dl", { class: "figures" },
      figure(t("admin.total"), count(stats.accounts.total)),
      figure(t("admin.hour"), count(stats.last_hour.polls), t("admin.failed", { n: stats.last_hour.failed })),
      figure(t("admin.day"), count(stats.last_day.polls), t("admin.failed", { n: stats.last_day.failed })),
      figure(t("admin.received"), count(stats.last_day.messages), size(stats.last_day.bytes)),
      figure(t("admin.due"), count(stats.due), stats.due > 0 && t("admin.lag", { span: span(stats.lag_seconds) }))),
    h("div", { class: "columns" },
      panel(t("admin.states"), bars(states)),
      h("div", { class: "stack" },
        panel(t(daily ? "admin.failures" : "admin.failures.now"), Object.values(failures).some(Boolean)
          ? bars(Object.entries(failures).filter(([, n]) => n).sort((a, b) => b[1] - a[1]).map(([c, n]) =>
            ({ name: codeWords(c), n, kind: "over" })))
        : h("p", { class: "hint" }, t("admin.failures.none"))),
      panel(t("admin.overdue"), overdue.length
        ? [h("ul", { class: "plain overdue" }, overdue.map((a) => h("li", null,
          h("span", null, userLink(a.user), ", ", accountLink(a),
            h("small", { class: "muted" }, a.server.host + (a.status.delay ? " · " + a.status.delay.title : ""))),
          h("span", { class: "num" }, span(since(a)))))),
        h("p", null, h("a", { href: "/admin/accounts?sort=overdue" }, t("admin.overdue.all")))]
        : h("p", { class: "hint" }, t("admin.overdue.none"))))),
    panel(t("admin.hosts"),
      h("p", { class: "hint" }, hosts.hosts.some((x) => x.affected) ? t("admin.hosts.lead") : t("admin.hosts.all")),
      hosts.hosts.length > 0 && table(t("admin.hosts"),
        [th(t("admin.host")), th(t("admin.host.accounts"), "num"), th(t("admin.host.affected"), "num"),
          th(t("admin.host.why")), th(t("admin.host.others"), "num"), th(t("admin.host.overdue"), "num")],
        h("tbody", null, hosts.hosts.map(server)))));
  return { el, title: t("admin.overview") };
}

function server(x) {
  const name = serverName(x.host, x.port);
  return row([t("admin.host"), serverLink(x.host, x.port, name)], [t("admin.host.accounts"), count(x.accounts), "num"],
    [t("admin.host.affected"),
      x.affected ? h("span", { class: "bad-words" }, icon("warn", "small"), affectedLink(x, name)) : "0", "num"],
    [t("admin.host.why"),
      [x.out_of_order && h("span", { class: "tag over" }, t("admin.host.down")),
        x.diagnoses.map((d) => h("span", { class: "tag" }, codeWords(d.code) + " · " + count(d.accounts)))]],
    [t("admin.host.others"), count(x.failing_otherwise), "num"],
    [t("admin.host.overdue"), x.overdue_seconds > 0 ? span(x.overdue_seconds) : "–", "num"]);
}

function affectedLink(x, name) {
  const a = serverLink(x.host, x.port, count(x.affected), { affected: "true" });
  a.setAttribute("aria-label", t("admin.host.affected.of", { n: x.affected, host: name }));
  return a;
}

/** health is the accounts of all users. */
export async function health() {
  const from = new URLSearchParams(location.search);
  const filter = {
    query: from.get("query") || "", user: from.get("user") || "", state: from.get("state") || "",
    host: from.get("host") || "", port: from.get("port") || "", affected: from.get("affected") === "true" ? "true" : "",
    sort: from.get("sort") === "overdue" ? "overdue" : "",
  };
  const search = h("input", {
    type: "search", id: uid("q"), value: letters(filter.query), maxlength: "254", autocomplete: "off",
    spellcheck: "false", autocapitalize: "off",
  });
  const state = h("select", { id: uid("q") },
    [["", t("health.state.any")], ...states.map((k) => [k, stateWords(k)])]
    .map(([v, text]) => h("option", { value: v, selected: v === filter.state }, text)));
  const sort = h("select", { id: uid("q") },
    [["", t("health.sort.user")], ["overdue", t("health.sort.overdue")]].map(([v, text]) =>
      h("option", { value: v, selected: v === filter.sort }, text)));
  const list = h("tbody"), none = h("p", { class: "empty-row", hidden: true }, t("health.none"));
  const fixed = h("p", { class: "fixed" });
  async function load(cursor, signal) {
    const answer = await get("/v1/admin/accounts" + query({ ...filter, limit: 50, cursor }), signal);
    list.replaceChildren(...answer.accounts.map((a) => accountRow(a, true)));
    show(none, !answer.accounts.length);
    return { ...answer, n: answer.accounts.length };
  }
  const walk = pager(load, "health.shown");
  let timer = 0;
  const again = () => {
    clearTimeout(timer);
    Object.assign(filter, { query: labels(search.value.trim()), state: state.value, sort: sort.value });
    address(filter);
    return walk.restart();
  };
  /** narrowed says by what a link that led here has narrowed the list, and takes it back. */
  function narrowed() {
    const parts = [];
    if (filter.user) parts.push(filter.user);
    if (filter.host) parts.push(filter.port ? serverName(filter.host, filter.port) : filter.host);
    if (filter.affected) parts.push(t("health.affected"));
    show(fixed, parts.length);
    fixed.replaceChildren(h("span", null, t("health.only", { what: parts.join(", ") })),
      h("button", { type: "button", class: "link", onclick: () => {
      Object.assign(filter, { user: "", host: "", port: "", affected: "" });
      narrowed();
      again();
      search.focus();
    } }, t("health.only.drop")));
  }
  for (const el of [state, sort]) el.addEventListener("change", again);
  search.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(again, 250); });
  narrowed();
  await walk.turn();
  const named = (input, label, hint) => h("div", { class: "field" },
    h("label", { for: input.id }, label, hint && h("small", null, " " + hint)), input);
  const el = page(t("health.title"),
    h("form", { class: "filters", role: "search", novalidate: true, onsubmit: (e) => { e.preventDefault(); again(); } },
      named(search, t("health.search"), t("health.search.hint")), named(state, t("health.state")),
      named(sort, t("health.sort"))),
    fixed, h("div", { class: "panel flush" }, accountTable(list, true), none), walk.el);
  return { el, title: t("health.title"), leave() { clearTimeout(timer); walk.leave(); } };
}

/** accountTable is a table of accounts, whose users are named where it is of several. */
export function accountTable(body, users) {
  return table(t("health.title"),
    [th(t(users ? "health.whose" : "health.account")), th(t("health.host")), th(t("health.state")),
      th(t("health.times")), th(t("health.actions"))], body);
}

/** accountRow is an account in such a table. */
export function accountRow(a, users) {
  const state = stateView(), why = h("p", { class: "muted" }), times = h("div", { class: "times" });
  const act = actions(a, update);
  function update(next) {
    a = { ...a, ...next };
    state.update(a);
    const title = reason(a)?.title;
    show(why, title);
    say(why, title || "");
    times.replaceChildren(h("span", null, a.status.last_success_at ? time(a.status.last_success_at) : t("never")),
      h("span", null, a.status.next_poll_at && a.enabled ? due(a.status.next_poll_at) : "–"));
    act.update(a);
  }
  update(a);
  const name = [users && h("span", { class: "account-of" }, userLink(a.user)),
    h("span", { class: "account-of strong" }, accountLink(a)),
    h("span", { class: "account-of muted" }, broken(a.email))].filter(Boolean);
  return row([t("health.account"), name, "whose"],
    [t("health.host"),
      [serverLink(a.server.host, a.server.port, serverName(a.server.host, a.server.port)), " ",
        h("span", { class: "badge" }, t(a.protocol))]],
    [t("health.state"), [state.el, why], "why-cell"], [t("health.times"), times],
    [t("health.actions"), h("div", { class: "row-actions" }, act.el)]);
}

/** reason is why mail is not here, as it was worded for administrators. */
export const reason = (a) => (
  ["needs_attention", "ok"].includes(a.status.state) || a.status.delay?.kind === "backoff"
    ? a.status.diagnosis || a.status.delay
    : a.status.delay);

/** actions are what an administrator can do with an account, as buttons; changed is
 * called with the account as it is then. */
export function actions(a, changed) {
  const label = () => letters(a.user + ", " + a.name);
  const toggle = h("button", { type: "button" });
  const now = h("button", { type: "button", class: "icon-button", title: t("card.fetch") }, icon("fetch"));
  const act = (button, f, said) => button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const next = await f();
      changed(next || {});
      toast(said(), "good");
    } catch (e) { explain(e); }
    button.disabled = button === now && !a.enabled;
    button.focus();
  });
  act(toggle, () => patch("/v1/admin/accounts/" + a.id, { enabled: !a.enabled }),
    () => t(a.enabled ? "card.resumed" : "card.paused", { name: label() }));
  act(now, () => post("/v1/admin/accounts/" + a.id + "/fetch"), () => t("card.asked", { name: label() }));
  return {
    el: [toggle, now],
    update(next) {
      a = next;
      say(toggle, t(a.enabled ? "health.pause" : "health.resume"));
      toggle.setAttribute("aria-label", t(a.enabled ? "health.pause" : "health.resume") + ": " + label());
      now.setAttribute("aria-label", t("card.fetch.of", { name: label() }));
      now.disabled = !a.enabled;
      now.title = a.enabled ? "" : t("card.fetch.paused");
    },
  };
}
