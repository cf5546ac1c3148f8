// The fields of an account, for adding and editing, and the connection test.

import { stream, Problem } from "./api.js";
import { address as broken, h, put, say, show, icon, dialog, uid, notice, external } from "./dom.js";
import { every, t, span } from "./i18n.js";
import { letters } from "./letters.js";

/** field is a labelled input with its hint and error. */
export function field({ name, label, hint, type = "text", input, ...rest }) {
  const id = uid("f");
  const el = input || h("input", { type, ...rest });
  el.id = id;
  el.name = name;
  if (type === "email" || name === "username" || name === "server.host") {
    for (const a of ["autocapitalize", "autocorrect"]) el.setAttribute(a, "off");
    el.setAttribute("spellcheck", "false");
  }
  const error = h("p", { class: "error", id: id + "-e" });
  const help = h("p", { class: "hint", id: id + "-h" }, hint);
  show(help, Boolean(hint));
  show(error, false);
  el.setAttribute("aria-describedby", (hint ? help.id + " " : "") + error.id);
  const box = h("div", { class: "field" }, h("label", { for: id }, label), el, help, error);
  el.addEventListener("input", () => fail(""));
  function fail(text) {
    say(error, text);
    show(error, text);
    if (text) el.setAttribute("aria-invalid", "true"); else el.removeAttribute("aria-invalid");
  }
  return { el: box, input: el, fail, label: box.firstChild, hint: help };
}

/** dotted tells, while somebody types, that the dots of a folder's name are stored as another sign. */
export function dotted(folder) {
  const told = h("p", { class: "hint", role: "status" });
  folder.hint.after(told);
  const look = () => say(told, folder.input.value.includes(".") ? t("form.folder.dots") : "");
  folder.input.addEventListener("input", look);
  look();
}

/** password is a field whose text can be shown. */
export function password(options) {
  const f = field({ name: "password", type: "password", autocomplete: "off", ...options });
  const eye = h("button", { type: "button", class: "reveal", "aria-pressed": "false" }, t("wizard.show"));
  eye.addEventListener("click", () => {
    const on = f.input.type === "password";
    f.input.type = on ? "text" : "password";
    eye.setAttribute("aria-pressed", String(on));
    say(eye, t(on ? "wizard.hide" : "wizard.show"));
  });
  f.el.append(eye); // What is wrong stands at the field.
  return f;
}

/** radios is a group to choose one of. */
export function radios(name, label, options, value) {
  const group = h("fieldset", { class: "choice" }, h("legend", null, label));
  const inputs = options.map(([v, text, hint]) => {
    const input = h("input", { type: "radio", name, value: v, checked: v === value, id: uid("r") });
    group.append(h("label", { for: input.id }, input, h("span", null, text, hint && h("small", null, hint))));
    return input;
  });
  const error = h("p", { class: "error", hidden: true });
  group.append(error);
  return {
    el: group,
    get value() { return inputs.find((i) => i.checked)?.value; },
    set value(v) { for (const i of inputs) i.checked = i.value === v; },
    get input() { return inputs.find((i) => i.checked) || inputs[0]; },
    onchange(f) { group.addEventListener("change", f); },
    fail(text) { say(error, text); show(error, text); },
  };
}

/** login are the fields by which a server is reached and somebody signs in. */
const login = ["email", "password", "protocol", "server.host", "server.port", "server.security", "username"];

/** forgetful has old errors go once what they are about changes. By which of its fields a login fails nobody knows for
 * sure: they are one thing. */
export function forgetful(form, trouble, fields) {
  form.addEventListener("input", (e) => {
    const one = login.includes(e.target.name);
    if (!one && !e.target.hasAttribute("aria-invalid")) return;
    if (one) for (const name of login) fields[name]?.fail("");
    trouble.replaceChildren();
  }, true);
}

/** select is a field with a list. */
export function select(name, label, options, value, hint) {
  const input = h("select", null,
    options.map(([v, text]) => h("option", { value: v, selected: String(v) === String(value) }, text)));
  return field({ name, label, input, hint });
}

/** advanced is the fold with the server's settings; known says that they are those of the provider. */
export function advanced(value, plaintext, known = true) {
  const host = field({
    name: "server.host", label: t("form.host"), value: letters(value.host || ""), inputmode: "url", autocomplete: "off",
  });
  const port = field({
    name: "server.port", label: t("form.port"), value: value.port || "", inputmode: "numeric", autocomplete: "off",
    maxlength: "5",
  });
  const kinds = ["tls", "starttls"];
  if (plaintext) kinds.push("none");
  const security = select("server.security", t("form.security"), kinds.map((k) => [k, t("form.security." + k)]),
    value.security || "tls");
  const username = field({
    name: "username", label: t("form.username"), value: value.username || "", autocomplete: "off",
  });
  const el = h("details", { class: "advanced" },
    h("summary", null,
      h("span", null, t("form.advanced"), h("small", null, t(known ? "form.advanced.hint" : "form.advanced.guess")))),
    h("div", { class: "grid" }, host.el, port.el, security.el, username.el));
  return { el, fields: { "server.host": host, "server.port": port, "server.security": security, username } };
}

/** usualPort is the port that goes with a protocol and its encryption. */
export function usualPort(protocol, security) {
  if (protocol === "pop3") return security === "tls" ? 995 : 110;
  return security === "tls" ? 993 : 143;
}

/** portOf is the number that was entered as a port; null when it is none. */
export function portOf(text) {
  const n = Number(String(text).trim());
  return Number.isInteger(n) && n >= 1 && n <= 65535 ? n : null;
}

export const isAddress = (text) => /^[^\s@]+@[^\s@.]+(\.[^\s@.]+)+$/.test(text.trim());

/** startOptions are how far back to fetch. */
export function startOptions(value) {
  const days = typeof value === "object" && value ? value.days : 30;
  return [["all", t("form.start.all")], ["days", t("form.start.days", { n: days })], ["new", t("form.start.new")]];
}

export const startWord = (value) => (typeof value === "object" && value ? "days" : value || "all");

/** intervals are the choices for how often to visit, with the present one. */
export function intervals(now) {
  const all = new Set([60, 300, 900, 1800, 3600, 21600, 86400, now]);
  return [...all].sort((a, b) => a - b).map((n) => [n, every(n)]);
}

/** fieldFor is which field a diagnosis concerns. */
export function fieldFor(code) {
  return {
    dns_failure: "server.host", connect_refused: "server.host", connect_timeout: "server.host",
    host_not_allowed: "server.host", tls_certificate_invalid: "server.host",
    tls_failure: "server.security", starttls_unsupported: "server.security", protocol_error: "server.port",
    auth_failed: "password", app_password_required: "password", access_disabled: "password",
    account_locked: "password", oauth_reauthorization_required: "email",
  }[code] || null;
}

/** ours are the diagnoses whose detail is our own words, and no answer of a server. */
export const ours = new Set([
  "dns_failure", "connect_refused", "connect_timeout", "host_not_allowed", "tls_failure", "tls_certificate_invalid",
  "local_over_quota", "local_mailbox_unavailable", "visit_aborted", "mail_loop", "internal",
]);

/** given says whether a server is the one that its provider gives: nobody has typed it here. */
export function given(p, protocol, { host, port }) {
  const x = p?.protocols?.[protocol];
  return Boolean(x) && x.host === host && x.port === port;
}

/** away says that a server that was given cannot be reached: no field is to be mended. */
const away = (d, known) => known && ["dns_failure", "connect_refused", "connect_timeout"].includes(d.code);

/** pointedAt is the field that a diagnosis concerns, marked: what is wrong stands above, once. */
export function pointedAt(d, known) {
  const name = fieldFor(d.code);
  return name && !away(d, known) ? [[name, t(d.code === "auth_failed" ? "field.refused" : "field.check")]] : [];
}

/** unblame takes what was said of all fields away. */
export const unblame = (fields) => { for (const f of Object.values(fields)) f.fail?.(""); };

/** wordsFor says a problem with a field. The server says in the page's language
 * what would be right. */
export function wordsFor(e) {
  if (e.field === "password" && e.code === "required") return t("field.password.again");
  return e.code === "required" ? t("field.required") : e.detail[0].toUpperCase() + e.detail.slice(1) + ".";
}

/** problemFields are the fields that a Problem names, with what to say there;
 * none when it names none. */
export function problemFields(e) {
  if (!(e instanceof Problem)) return [];
  if (e.body.errors?.length) return e.body.errors.map((x) => [x.field, wordsFor(x)]);
  const own = {
    name_taken: "name", folder_taken: "folder", account_exists: "email", host_not_allowed: "server.host",
  }[e.code];
  return own ? [[own, t("error." + e.code)]] : [];
}

/** failure is a box with what went wrong and what to do about it. */
export function failure(d, help, wait) {
  const links = [];
  if (help && d.code === "app_password_required" && help.app_password_url) {
    links.push(external(help.app_password_url, t("wizard.help.apppassword.link"), t("newtab")));
  }
  if (help && d.code === "access_disabled" && help.enable_access_url) {
    links.push(external(help.enable_access_url, t("wizard.help.enable.link"), t("newtab")));
  }
  return notice("bad", d.title, h("p", null, d.advice),
    wait >= 60 && h("p", null, t("error.wait", { span: span(wait) })),
    links.filter(Boolean).map((l) => h("p", null, l)),
    d.detail && h("details", { class: "detail" }, h("summary", null, t("test.details")),
      h("p", { class: "mono", lang: ours.has(d.code) ? undefined : "en" }, d.detail)));
}

/** order is that of the steps of a test, by how the connection is secured. */
const order = (security) => ({
  none: ["resolve", "connect", "greeting", "login", "folders"],
  starttls: ["resolve", "connect", "greeting", "tls", "login", "folders"],
}[security] || ["resolve", "connect", "tls", "greeting", "login", "folders"]);
const still = matchMedia("(prefers-reduced-motion: reduce)");
const pause = (ms) => new Promise((done) => setTimeout(done, still.matches ? 0 : ms));

/** warned says what visits will report although the test went well. */
export const warned = (report) => (report?.warning ? " " + report.warning.title + ". " + report.warning.detail : "");

/** others says that folders of other people are there, which are not fetched. */
export const others = (report) => (
  report?.other_folders.length ? " " + t("test.others", { n: report.other_folders.length }) : "");

/** test shows a connection test in a dialog, its steps ticking off as they end. It is given whose test it is, by which
 * protocol, the provider's help, whether the server is the provider's own, the key of what is said in the end, and
 * whether what fails may be saved. It returns {ok: true, report, close} with the dialog open, to say that the account
 * is saved, or {ok: false, diagnosis | problem, anyway} with it closed. */
export async function test(body, { email, help, protocol, known, tested = "test.saving", anyway = true }) {
  const stop = new AbortController(), first = order(body.server?.security);
  const ui = {
    email, protocol, anyway, rows: new Map(), steps: h("ol", { class: "steps" }),
    outcome: h("div", { class: "outcome", role: "status" }),
    cancel: h("button", { type: "button", onclick: () => ui.d.close() }, t("cancel")),
  };
  ui.steps.append(...first.map((name) => stepRow(ui, name)));
  ui.d = dialog({
    title: broken(t("test.title", { email })), body: [ui.steps, ui.outcome], actions: [ui.cancel],
    onclose: () => stop.abort(), kind: "testing",
  });
  ui.d.dataset.busy = "1";
  ui.rows.get("resolve").set("running");
  let report;
  try {
    const ticked = (kind, value) => { if (kind === "step") tick(ui, value); };
    report = await stream("/v1/connection-tests", body, ticked, stop.signal);
  } catch (e) {
    ui.d.close();
    if (e.name === "AbortError") return { ok: false };
    return { ok: false, problem: e };
  }
  showSteps(ui, report, first);
  if (!ui.d.isConnected) return { ok: false };
  if (!report.ok) return failedTest(ui, report.diagnosis, help, known);
  ui.outcome.replaceChildren(h("p", { class: "strong" }, t(tested)));
  ui.cancel.disabled = true;
  await pause(350);
  return { ok: true, report, close: () => ui.d.close() };
}

/** stepRow is one step of a test, which waits. */
function stepRow({ protocol, rows }, name) {
  const mark = h("span", { class: "mark" }), state = h("span", { class: "unseen" });
  const words = t("test." + (name === "folders" && protocol === "pop3" ? "inbox" : name));
  const el = h("li", null, mark, h("span", null, words), state);
  const pictures = { done: "check", failed: "cross" };
  const set = (kind) => {
    if (el.className === kind) return;
    el.className = kind;
    mark.replaceChildren(...(pictures[kind] ? [icon(pictures[kind])] : []));
    say(state, ": " + t("test." + kind));
  };
  set("waiting");
  rows.set(name, { el, set });
  return el;
}

/** tick marks a step that has ended, and the one that runs now. */
function tick({ rows }, step) {
  rows.get(step.name)?.set("done");
  [...rows.values()].find((r) => r.el.className === "waiting")?.set("running");
}

/** showSteps shows the steps as the report has them; after a failure, also those that were not reached. */
function showSteps(ui, report, first) {
  const { rows } = ui, made = report.steps.map((x) => rows.get(x.name)?.el || stepRow(ui, x.name));
  const unreached = report.ok ? [] : first.filter((n) => !report.steps.some((x) => x.name === n));
  ui.steps.replaceChildren(...made, ...unreached.map((n) => rows.get(n).el));
  for (const r of rows.values()) r.set("unreached");
  for (const x of report.steps) rows.get(x.name).set(x.ok ? "done" : "failed");
}

/** failedTest shows what went wrong, and waits for what the user does about it. */
function failedTest({ d, email, outcome, anyway: may }, diagnosis, help, known) {
  put(d.querySelector("h2"), broken(t("test.bad", { email })));
  outcome.replaceChildren(failure(diagnosis, help));
  return new Promise((done) => {
    let anyway = false;
    const fix = h("button", { type: "button", class: "primary", onclick: () => d.close() },
      t(away(diagnosis, known) ? "close" : "test.fix"));
    const skip = may && diagnosis.retryable && h("button",
      { type: "button", onclick: () => { anyway = true; d.close(); } }, t("test.anyway"));
    d.querySelector(".actions").replaceChildren(...[skip, fix].filter(Boolean));
    fix.focus();
    d.addEventListener("close", () => done({ ok: false, diagnosis, anyway }));
  });
}

/** complain marks the fields that are wrong, opens what hides the first of
 * them, and brings the user there. It says whether it found one. */
export function complain(fields, wrong, fold) {
  let first = null;
  for (const [name, text] of wrong) {
    const f = fields[name] || fields[name.split(/[.[]/)[0]] || (name === "server" ? fields["server.host"] : null);
    if (!f) continue;
    f.fail(text);
    first ||= f;
  }
  if (!first) return false;
  if (fold?.contains(first.input)) fold.open = true;
  first.input.focus();
  first.el.scrollIntoView({ block: "nearest" }); // What is wrong stands below the field.
  return true;
}

