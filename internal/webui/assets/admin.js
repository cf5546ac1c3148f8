// For administrators: how it goes, who is over quota, whose account is broken.

import { call, get, patch, patient, post, query } from "./api.js";
import { h, say, show, icon, announce, uid } from "./dom.js";
import { count, known, size, span, t } from "./i18n.js";
import { explain, toast } from "./page.js";
import { bars, fillBar, fullness, histogram } from "./chart.js";
import { stateView, time } from "./list.js";

const codeWords = (code) => (known("code." + code) ? t("code." + code) : code);
const stateKinds = { ok: "ok", fetching: "c1", pending: "c3", retrying: "near", needs_attention: "over", over_quota: "over", paused: "c0" };

function page(title, ...content) {
  return h("div", { class: "page wide" }, h("header", { class: "page-head" }, h("h1", { tabindex: "-1" }, title)), content);
}

function panel(title, ...content) {
  const id = uid("p");
  return h("section", { class: "panel", "aria-labelledby": id }, h("h2", { id }, title), content);
}

function table(caption, columns, body) {
  return h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption }, h("table", null, h("caption", { class: "unseen" }, caption), h("thead", null, h("tr", null, columns)), body));
}

const th = (text, kind) => h("th", { scope: "col", class: kind }, text);

/** since is for how many seconds an account has been due. */
const since = (a) => (a.status.next_poll_at ? (Date.now() - new Date(a.status.next_poll_at)) / 1000 : 0);

/** overview is how the fetching goes. */
export async function overview() {
  const [stats, hosts, late] = await Promise.all([get("/v1/admin/stats"), get("/v1/admin/hosts"), get("/v1/admin/accounts?sort=overdue&limit=8")]);
  const figure = (label, n, more) => h("div", { class: "figure" }, h("dt", null, label), h("dd", null, h("strong", null, n), more && h("span", null, more)));
  const failures = stats.last_day.failures || stats.failures_last_day || stats.failures;
  const daily = failures !== stats.failures;
  const states = Object.entries(stats.accounts.by_state).sort((a, b) => b[1] - a[1])
    .map(([k, n]) => ({ name: t("state." + k), n, kind: stateKinds[k], href: "/admin/accounts?state=" + k }));
  const overdue = late.accounts.filter((a) => since(a) >= 30);
  const el = page(t("admin.overview"),
    h("dl", { class: "figures" },
      figure(t("admin.total"), count(stats.accounts.total)),
      figure(t("admin.hour"), count(stats.last_hour.polls), t("admin.failed", { n: stats.last_hour.failed })),
      figure(t("admin.day"), count(stats.last_day.polls), t("admin.failed", { n: stats.last_day.failed })),
      figure(t("admin.received"), count(stats.last_day.messages), size(stats.last_day.bytes)),
      figure(t("admin.due"), count(stats.due), stats.due ? t("admin.lag", { span: span(stats.lag_seconds) }) : t("admin.nolag"))),
    h("div", { class: "columns" },
      panel(t("admin.states"), bars(states)),
      h("div", { class: "stack" }, panel(t(daily ? "admin.failures" : "admin.failures.now"), Object.values(failures).some(Boolean)
        ? bars(Object.entries(failures).filter(([, n]) => n).sort((a, b) => b[1] - a[1]).map(([c, n]) => ({ name: codeWords(c), n, kind: "over" })))
        : h("p", { class: "hint" }, t("admin.failures.none"))),
      panel(t("admin.overdue"), overdue.length
        ? [h("ul", { class: "plain overdue" }, overdue.map((a) => h("li", null,
          h("span", null, h("a", { href: "/admin/accounts?user=" + encodeURIComponent(a.user) }, a.user), ", " + a.name, h("small", { class: "muted" }, a.server.host + (a.status.delay ? " · " + a.status.delay.title : ""))),
          h("span", { class: "num" }, span(since(a)))))), h("p", null, h("a", { href: "/admin/accounts?sort=overdue" }, t("admin.overdue.all")))]
        : h("p", { class: "hint" }, t("admin.overdue.none"))))),
    panel(t("admin.hosts"), h("p", { class: "hint" }, hosts.hosts.some((x) => x.failing) ? t("admin.hosts.lead") : t("admin.hosts.all")),
      hosts.hosts.length > 0 && table(t("admin.hosts"), [th(t("admin.host")), th(t("admin.host.accounts"), "num"), th(t("admin.host.failing"), "num"), th(t("admin.host.why")), th(t("admin.host.overdue"), "num")],
        h("tbody", null, hosts.hosts.map((x) => h("tr", null,
          h("th", { scope: "row" }, hostLink(x.host)), h("td", { class: "num" }, count(x.accounts)),
          h("td", { class: "num" }, x.failing ? h("span", { class: "bad-words" }, icon("warn", "small"), count(x.failing)) : "0"),
          h("td", null, (x.diagnoses || []).map((d) => h("span", { class: "tag" }, codeWords(d.code) + " · " + count(d.accounts)))),
          h("td", { class: "num" }, x.overdue_seconds > 0 ? span(x.overdue_seconds) : "–")))))));
  return { el, title: t("admin.overview") };
}

const hostLink = (host) => h("a", { href: "/admin/accounts?host=" + encodeURIComponent(host) }, host);

/** address keeps what is filtered by in the address, so that it can be sent on. */
function address(values) {
  history.replaceState(null, "", location.pathname + query(values));
}

/** pager walks through pages by cursors, remembering the way back. */
function pager(load, shown) {
  const way = [];
  let next = null;
  const first = h("button", { type: "button", onclick: () => { way.length = 0; turn(); } }, t("quotas.first"));
  const prev = h("button", { type: "button", onclick: () => { way.pop(); turn(); } }, icon("back"), t("quotas.prev"));
  const more = h("button", { type: "button", onclick: () => { way.push(next); turn(); } }, t("quotas.more"), icon("open"));
  const words = h("p", { class: "hint", role: "status" });
  const el = h("nav", { class: "pager", "aria-label": t("quotas.page", { n: "" }).trim() }, first, prev, words, more);
  let stop = new AbortController();
  async function turn() {
    stop.abort();
    stop = new AbortController();
    el.setAttribute("aria-busy", "true");
    try {
      const answer = await load(way.at(-1) || "", stop.signal);
      next = answer.next_cursor;
      for (const [b, off] of [[first, !way.length], [prev, !way.length], [more, !next]]) {
        if (off && b === document.activeElement) words.focus();
        b.disabled = off;
      }
      say(words, t("quotas.page", { n: way.length + 1 }) + " · " + t(shown, { n: answer.n }));
    } catch (e) { explain(e); } finally { el.removeAttribute("aria-busy"); }
  }
  words.tabIndex = -1;
  return { el, turn, restart() { way.length = 0; return turn(); }, leave() { stop.abort(); } };
}

/** quotas is everybody's use and limits. */
export async function quotas() {
  const from = new URLSearchParams(location.search);
  const filter = { query: from.get("query") || "", state: from.get("state") || "", sort: from.get("sort") || "-usage" };
  const search = h("input", { type: "search", id: uid("q"), value: filter.query, maxlength: "254", autocomplete: "off", spellcheck: "false" });
  const state = h("select", { id: uid("q") }, [["", "all"], ["over", "over"], ["near", "near"], ["ok", "ok"]].map(([v, k]) => h("option", { value: v, selected: v === filter.state }, t("quotas.state." + k))));
  const body = h("tbody"), none = h("p", { class: "empty-row", hidden: true }, t("quotas.none"));
  const columns = [["user", "quotas.user"], ["used_bytes", "quotas.used", "num"], ["limit_bytes", "quotas.limit", "num"], ["usage", "quotas.fill"], ["used_messages", "quotas.messages", "num"]];
  const heads = columns.map(([key, word, kind]) => {
    const b = h("button", { type: "button", class: "sort", title: t("quotas.sort", { column: t(word) }) }, t(word), h("span", { class: "arrow", "aria-hidden": "true" }));
    const el = h("th", { scope: "col", class: kind }, b);
    b.addEventListener("click", () => {
      filter.sort = filter.sort === "-" + key ? key : filter.sort === key ? "-" + key : key === "user" ? key : "-" + key;
      sorted();
      again();
    });
    return { key, el, arrow: b.lastChild };
  });
  function sorted() {
    for (const x of heads) {
      const on = filter.sort.replace("-", "") === x.key, down = filter.sort.startsWith("-");
      if (on) x.el.setAttribute("aria-sort", down ? "descending" : "ascending"); else x.el.removeAttribute("aria-sort");
      say(x.arrow, on ? (down ? "▼" : "▲") : "");
    }
  }
  async function load(cursor, signal) {
    const answer = await get("/v1/admin/quotas" + query({ ...filter, limit: 50, cursor }), signal);
    body.replaceChildren(...answer.quotas.map(row));
    show(none, !answer.quotas.length);
    return { ...answer, n: answer.quotas.length };
  }
  const running = new AbortController(), picture = distribution();
  const walk = pager(load, "quotas.shown");
  function again() {
    address({ ...filter, sort: filter.sort === "-usage" ? "" : filter.sort });
    return walk.restart();
  }
  let timer = 0;
  search.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => { filter.query = search.value.trim(); again(); }, 250); });
  state.addEventListener("change", () => { filter.state = state.value; again(); });
  sorted();
  await Promise.all([walk.turn(), picture.draw(running.signal)]);
  const el = page(t("quotas.title"),
    h("form", { class: "filters", role: "search", onsubmit: (e) => { e.preventDefault(); clearTimeout(timer); filter.query = search.value.trim(); again(); } },
      h("div", { class: "field" }, h("label", { for: search.id }, t("quotas.search")), search),
      h("div", { class: "field" }, h("label", { for: state.id }, t("quotas.state")), state),
      exporter(() => filter, running)),
    h("div", { class: "panel flush" }, table(t("quotas.title"), [...heads.map((x) => x.el), th(t("quotas.accounts"), "num")], body), none),
    walk.el, picture.el);
  return { el, title: t("quotas.title"), leave() { clearTimeout(timer); walk.leave(); running.abort(); } };
}

function row(q) {
  const used = h("td", { class: "num" }), cell = h("td", { class: "num limit" }), messages = h("td", { class: "num" });
  const bar = fillBar(), mark = h("span", { class: "tag" });
  function update() {
    say(used, size(q.used_bytes));
    say(messages, count(q.used_messages) + (q.limit_messages === null ? "" : " / " + count(q.limit_messages)));
    bar.update(q);
    mark.className = "tag " + q.state;
    say(mark, t("quotas.state.word." + q.state));
    show(mark, q.state !== "ok");
    cell.replaceChildren(h("button", { type: "button", class: "link", "aria-label": t("quotas.set", { user: q.user }) + ": " + limitWords(q), onclick: change }, limitWords(q), icon("edit", "small")));
  }
  /** change puts a field in the place of the limit. */
  function change() {
    const input = h("input", { type: "text", inputmode: "decimal", size: "6", maxlength: "12", "aria-label": t("quotas.set.label", { user: q.user }), value: q.limit_bytes === null ? "" : String(+(q.limit_bytes / 1e9).toFixed(3)) });
    const ok = h("button", { type: "submit", class: "icon-button", "aria-label": t("save") }, icon("check"));
    const no = h("button", { type: "button", class: "icon-button quiet", "aria-label": t("cancel"), onclick: () => back() }, icon("cross"));
    const form = h("form", { class: "inline", novalidate: true }, input, h("span", { "aria-hidden": "true" }, t("unit.gigabyte")), ok, no);
    const back = () => { update(); cell.querySelector("button").focus(); };
    form.addEventListener("keydown", (e) => { if (e.key === "Escape") back(); });
    form.addEventListener("submit", async (e) => {
      e.preventDefault();
      const text = input.value.trim().replace(",", "."), n = Math.round(Number(text) * 1e9);
      if (text !== "" && !(n >= 0 && n <= Number.MAX_SAFE_INTEGER)) {
        input.setAttribute("aria-invalid", "true");
        toast(t("field.out_of_range"));
        input.focus();
        return;
      }
      ok.disabled = true;
      try {
        q = await call("PUT", "/v1/admin/quotas/" + encodeURIComponent(q.user), { limit_bytes: text === "" ? null : n, limit_messages: q.limit_messages });
        back();
        announce(t("quotas.set.done", { user: q.user, limit: limitWords(q) }));
      } catch (e2) { ok.disabled = false; explain(e2); }
    });
    cell.replaceChildren(form);
    input.focus();
    input.select();
  }
  update();
  return h("tr", null, h("th", { scope: "row" }, h("a", { href: "/admin/accounts?user=" + encodeURIComponent(q.user) }, q.user)), used, cell,
    h("td", null, h("span", { class: "fill-cell" }, bar.el, mark)), messages, h("td", { class: "num" }, count(q.accounts.length)));
}

const limitWords = (q) => (q.limit_bytes === null ? t("unlimited") : size(q.limit_bytes));

/** everyone follows the cursors through all pages, handing over each. */
async function everyone(filter, signal, each) {
  let cursor = "";
  do {
    const answer = await patient("/v1/admin/quotas" + query({ ...filter, limit: 500, cursor }), signal);
    each(answer.quotas);
    cursor = answer.next_cursor;
  } while (cursor);
}

/** quoted is a value as CSV has it; what a spreadsheet would take for a
 * formula is made text. */
function quoted(value) {
  let text = String(value ?? "");
  if (/^[=+\-@\t\r]/.test(text)) text = "'" + text;
  return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
}

function exporter(filter, running) {
  const words = h("span", { class: "hint", role: "status" });
  const button = h("button", { type: "button" }, icon("save"), h("span", null, t("quotas.export")));
  let stop = null;
  button.addEventListener("click", async () => {
    if (stop) { stop.abort(); return; }
    stop = new AbortController();
    running.signal.addEventListener("abort", () => stop?.abort());
    say(button.lastChild, t("quotas.stop"));
    const lines = [["user", "used_bytes", "limit_bytes", "used_messages", "limit_messages", "state", "percent", "accounts"].join(",")];
    let n = 0;
    try {
      await everyone(filter(), stop.signal, (list) => {
        for (const q of list) {
          const f = fullness(q);
          lines.push([q.user, q.used_bytes, q.limit_bytes, q.used_messages, q.limit_messages, q.state, f === null ? "" : (f * 100).toFixed(1), q.accounts.length].map(quoted).join(","));
        }
        n += list.length;
        say(words, t("quotas.exporting", { n }));
      });
      const url = URL.createObjectURL(new Blob([lines.join("\r\n") + "\r\n"], { type: "text/csv;charset=utf-8" }));
      h("a", { href: url, download: "mailbrook-quotas-" + new Date().toISOString().slice(0, 10) + ".csv" }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60000);
      say(words, t("quotas.exported", { n }));
    } catch (e) {
      say(words, "");
      explain(e);
    } finally {
      stop = null;
      say(button.lastChild, t("quotas.export"));
    }
  });
  return h("div", { class: "export" }, button, words);
}

/** distribution shows all users by how full they are. */
function distribution() {
  const place = h("div");
  return {
    el: panel(t("quotas.picture"), h("p", { class: "hint" }, t("quotas.picture.lead")), place),
    async draw(signal) {
      try {
        const q = await get("/v1/admin/quota-summary", signal);
        place.replaceChildren(histogram(q.bands.map((b) => b.users), q.unlimited));
      } catch (e) { explain(e); }
    },
  };
}

/** health is the accounts of all users. */
export async function health() {
  const from = new URLSearchParams(location.search);
  const filter = { user: from.get("user") || "", state: from.get("state") || "", host: from.get("host") || "", sort: from.get("sort") === "overdue" ? "overdue" : "" };
  const user = h("input", { type: "text", id: uid("q"), value: filter.user, maxlength: "254", autocomplete: "off", spellcheck: "false", autocapitalize: "off" });
  const host = h("input", { type: "text", id: uid("q"), value: filter.host, maxlength: "253", autocomplete: "off", spellcheck: "false", autocapitalize: "off" });
  const state = h("select", { id: uid("q") }, [["", t("health.state.any")], ...["needs_attention", "retrying", "over_quota", "fetching", "pending", "ok", "paused"].map((k) => [k, t("state." + k)])]
    .map(([v, text]) => h("option", { value: v, selected: v === filter.state }, text)));
  const sort = h("select", { id: uid("q") }, [["", t("health.sort.user")], ["overdue", t("health.sort.overdue")]].map(([v, text]) => h("option", { value: v, selected: v === filter.sort }, text)));
  const list = h("tbody"), none = h("p", { class: "empty-row", hidden: true }, t("health.none"));
  async function load(cursor, signal) {
    const answer = await get("/v1/admin/accounts" + query({ ...filter, limit: 50, cursor }), signal);
    list.replaceChildren(...answer.accounts.map(accountRow));
    show(none, !answer.accounts.length);
    return { ...answer, n: answer.accounts.length };
  }
  const walk = pager(load, "health.shown");
  const again = () => {
    Object.assign(filter, { user: user.value.trim(), host: host.value.trim(), state: state.value, sort: sort.value });
    address(filter);
    return walk.restart();
  };
  for (const el of [state, sort]) el.addEventListener("change", again);
  await walk.turn();
  const named = (input, label, hint) => h("div", { class: "field" }, h("label", { for: input.id }, label, hint && h("small", null, " " + hint)), input);
  const el = page(t("health.title"),
    h("form", { class: "filters", role: "search", novalidate: true, onsubmit: (e) => { e.preventDefault(); again(); } },
      named(user, t("health.user"), t("health.user.hint")), named(host, t("health.host")), named(state, t("health.state")), named(sort, t("health.sort")),
      h("div", { class: "export" }, h("button", { type: "submit" }, icon("search"), t("health.filter")))),
    h("div", { class: "panel flush" }, table(t("health.title"), [th(t("health.user")), th(t("health.account")), th(t("health.host")), th(t("health.state")), th(t("health.times")), th(t("health.actions"))], list), none), walk.el);
  return { el, title: t("health.title"), leave: walk.leave };
}

function accountRow(a) {
  const state = stateView(), why = h("p", { class: "muted" }), times = h("td", { class: "times" });
  const label = a.user + ", " + a.name;
  const toggle = h("button", { type: "button" }), now = h("button", { type: "button", class: "icon-button", "aria-label": t("card.fetch.of", { name: label }), title: t("card.fetch") }, icon("fetch"));
  function update(next) {
    a = { ...a, ...next };
    state.update(a);
    const wrong = a.status.state === "needs_attention" || a.status.delay?.kind === "backoff" ? a.status.diagnosis : a.status.delay;
    show(why, wrong);
    say(why, wrong?.title || "");
    times.replaceChildren(h("span", null, a.status.last_success_at ? time(a.status.last_success_at) : t("never")), h("span", null, a.status.next_poll_at && a.enabled ? time(a.status.next_poll_at) : "–"));
    say(toggle, t(a.enabled ? "health.pause" : "health.resume"));
    toggle.setAttribute("aria-label", t(a.enabled ? "health.pause" : "health.resume") + ": " + label);
    now.disabled = !a.enabled;
  }
  const act = (button, f, said) => button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const next = await f();
      update(next || {});
      announce(said());
    } catch (e) { explain(e); }
    button.disabled = false;
    update({});
    button.focus();
  });
  act(toggle, () => patch("/v1/admin/accounts/" + a.id, { enabled: !a.enabled }), () => t(a.enabled ? "card.resumed" : "card.paused", { name: label }));
  act(now, () => post("/v1/admin/accounts/" + a.id + "/fetch"), () => t("card.asked", { name: label }));
  update(a);
  return h("tr", null, h("th", { scope: "row" }, a.user), h("td", null, h("span", { class: "strong" }, a.name), h("br"), h("span", { class: "muted" }, a.email), " ", h("span", { class: "badge" }, t(a.protocol))),
    h("td", null, a.server.host + ":" + a.server.port), h("td", null, state.el, why), times, h("td", null, h("div", { class: "row-actions" }, toggle, now)));
}

