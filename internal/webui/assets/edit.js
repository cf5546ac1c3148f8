// Changing an account: everything that can be set, with the connection tested
// again where that matters.

import { get, patch, query, Problem } from "./api.js";
import { largestUnit, read, typed, units, written } from "./bytes.js";
import { h, icon, notice, announce, show, steady } from "./dom.js";
import * as live from "./events.js";
import { folderName, size, t } from "./i18n.js";
import { labels, letters } from "./letters.js";
import { explain, go, missing } from "./page.js";
import {
  advanced, complain, dotted, failure, field, forgetful, given, intervals, isAddress, password, pointedAt, portOf,
  problemFields, radios, select, startOptions, startWord, test, unblame, usualPort, warned,
} from "./form.js";
import { arrived, differs, leave, signedInAs } from "./signin.js";

let unsaved = null; // What was typed when the language was changed.

export async function page(id) {
  if (!/^[0-9a-f-]{36}$/.test(id)) return { el: missing(), title: t("page.missing.title") };
  const grant = await arrived();
  const [a, tree, list] = await Promise.all(
    [get("/v1/accounts/" + id), get("/v1/accounts/" + id + "/folders"), get("/v1/providers")]);
  return mount(a, tree.folders, list.providers.find((p) => p.id === a.provider), grant);
}

/** mount builds the page. The account and the fields are in one object (ui), which every function below is given. */
function mount(a, folders, preset, grant) {
  const { id } = a;
  const ui = build(a, folders, preset, grant);
  forgetful(ui.form, ui.trouble, ui.f);
  dotted(ui.f.folder);
  showFolders(ui);
  listen(ui);
  putBack(ui);
  const title = t("edit.title", { name: a.name });
  const el = h("div", { class: "page narrow" },
    h("p", { class: "crumb" }, h("a", { href: "/accounts/" + id }, icon("back"), a.name)),
    h("h1", { tabindex: "-1" }, title), ui.form);
  if (grant) welcome(ui);
  const wanted = location.hash.slice(1);
  if (wanted === "password") ui.f.password.input.setAttribute("data-focus", "");
  if (wanted === "server") { ui.adv.el.open = true; ui.f["server.host"].input.setAttribute("data-focus", ""); }
  const stop = live.follow(
    (kind, gone) =>
      { if (kind === "removed" && gone.id === id) go("/", { text: t("edit.gone"), kind: "info" }, true); });
  return {
    el, title, leave: stop, keep: () => keep(ui),
    ready: () => el.querySelector(".arrived button")?.focus(),
  };
}

function build(a, folders, preset, grant) {
  const f = fieldsOf(a), adv = advanced({ ...a.server, username: a.username }, a.server.security === "none");
  Object.assign(f, adv.fields);
  const ui = {
    a, id: a.id, path: "/accounts/" + a.id, preset, grant, f, adv, onPage: a.auth === "oauth2",
    pick: picker(folders),
    only: h("p", { class: "hint" }, t("form.protocol.only")),
    trouble: h("div", { class: "trouble-box" }),
    save: steady(h("button", { type: "submit", class: "primary" }, t("save"))),
  };
  if (ui.onPage) show(f.password.el, false);
  ui.form = h("form", { novalidate: true },
    ui.trouble,
    part("account", f.name.el, f.sender_name.el, f.folder.el),
    part("signin", f.email.el, waysToSignIn(ui), f.password.el, adv.el),
    part("fetching", f.protocol.el, f.start?.el,
      h("div", { class: "grid" }, f.poll_interval_seconds.el, f.max_message_bytes?.el), ui.pick.el, ui.only),
    h("div", { class: "actions" }, h("a", { class: "button", href: ui.path }, t("cancel")), ui.save));
  return ui;
}

function part(key, ...els) {
  const id = "part-" + key;
  return h("section", { class: "panel", "aria-labelledby": id }, h("h2", { id }, t("edit." + key)), els);
}

/** fieldsOf are the account's fields, but for the server's. */
function fieldsOf(a) {
  const off = { autocomplete: "off" };
  const f = {
    name: field({
      name: "name", label: t("form.name"), hint: t("form.name.hint"), value: a.name, maxlength: "100", required: true,
      ...off,
    }),
    sender_name: field({
      name: "sender_name", label: t("form.sender"), hint: t("form.sender.hint"), value: a.sender_name, maxlength: "200",
      autocomplete: "name",
    }),
    folder: field({
      name: "folder", label: t("form.folder"), hint: t("form.folder.change"), value: a.folder, maxlength: "200",
      required: true, ...off,
    }),
    email: field({
      name: "email", label: t("form.email"), type: "email", value: letters(a.email), required: true, ...off,
    }),
    password: password({ label: t("form.password"), hint: t("form.password.keep") }),
    protocol: radios("protocol", t("form.protocol"),
      [["imap", t("form.protocol.imap")], ["pop3", t("form.protocol.pop3")]], a.protocol),
    poll_interval_seconds: select("poll_interval_seconds", t("form.interval"), intervals(a.poll_interval_seconds),
      a.poll_interval_seconds),
  };
  if (a.start !== undefined) f.start = radios("start", t("form.start"), startOptions(a.start), startWord(a.start));
  if (a.max_message_bytes !== undefined) f.max_message_bytes = largest(a.max_message_bytes);
  return f;
}

/** waysToSignIn leads to the provider's own page, where it has one. */
function waysToSignIn(ui) {
  const { a, onPage, preset } = ui;
  if (!onPage && !preset?.oauth) return null;
  const text = onPage ? t("edit.onpage", { name: preset?.name || a.provider }) : t("edit.instead");
  if (!preset?.oauth) return h("div", { class: "signin" }, h("p", null, text));
  const button = h("button", { type: "button" }, onPage ? t("edit.again") : t("wizard.signin", { name: preset.name }));
  button.addEventListener("click", async () => {
    keep(ui);
    button.disabled = true;
    if (!await leave(preset.id, { account_id: ui.id }, ui.path + "/edit")) button.disabled = false;
  });
  return h("div", { class: "signin" }, h("p", null, text), button);
}

function showFolders({ a, f, only, pick }) {
  show(pick.el, f.protocol.value !== "pop3");
  show(only, f.protocol.value === "pop3" && a.protocol === "imap");
}

function listen(ui) {
  const { f } = ui;
  f.protocol.onchange(() => protocolChanged(ui));
  f["server.security"].input.addEventListener("change", () => {
    const port = f["server.port"].input;
    if (![993, 143, 995, 110].includes(Number(port.value))) return;
    port.value = usualPort(f.protocol.value, f["server.security"].input.value);
  });
  ui.form.addEventListener("submit", (e) => { e.preventDefault(); submit(ui); });
}

/** protocolChanged looks up the server of the other protocol for the address. */
async function protocolChanged(ui) {
  const { a, adv, f } = ui;
  showFolders(ui);
  for (const k of Object.keys(adv.fields)) f[k].fail("");
  const to = f.protocol.value;
  const fill = ({ host, port, security }) => {
    f["server.host"].input.value = letters(host);
    f["server.port"].input.value = port;
    f["server.security"].input.value = security;
  };
  if (to === a.protocol) { fill(a.server); return; }
  f["server.port"].input.value = usualPort(to, f["server.security"].input.value);
  try {
    const found = await get("/v1/autoconfig" + query({ email: at(ui, "email") }));
    const x = found.protocols?.[to];
    if (x && f.protocol.value === to && !["guess", "none"].includes(found.source)) fill(x);
  } catch { /* The usual port stands, and the user may enter the rest. */ }
  adv.el.open = true;
}

/** at is what stands in a field. Names in letters are for the eye: what nobody touched is as it was. */
function at({ a, f }, name) {
  const v = f[name].input.value.trim();
  return name === "server.host" ? labels(v) : name === "email" && v === letters(a.email) ? a.email : v;
}

/** place is the server that was entered. */
const place = (ui) => ({ host: at(ui, "server.host"), port: portOf(at(ui, "server.port")) });

/** diff is what the user changed, as the API takes it. */
function diff(ui) {
  const { a, f, pick } = ui, b = {};
  for (const k of ["name", "folder", "email", "sender_name", "username"]) if (at(ui, k) !== a[k]) b[k] = at(ui, k);
  if (f.password.input.value) b.password = f.password.input.value;
  if (f.protocol.value !== a.protocol) b.protocol = f.protocol.value;
  const server = { ...place(ui), security: at(ui, "server.security") };
  const moved = Object.fromEntries(Object.entries(server).filter(([k, v]) => v !== a.server[k]));
  if (Object.keys(moved).length || b.protocol) b.server = b.protocol ? server : moved;
  const interval = Number(at(ui, "poll_interval_seconds"));
  if (interval !== a.poll_interval_seconds) b.poll_interval_seconds = interval;
  const start = f.start?.value;
  if (start && start !== startWord(a.start)) b.start = start === "days" ? { days: 30 } : start;
  if (f.max_message_bytes?.changed) b.max_message_bytes = f.max_message_bytes.read().bytes;
  if (pick.changed && f.protocol.value !== "pop3") b.folders = pick.rules();
  return b;
}

/** wrongOf is what is wrong with what was entered, as far as the page can tell. */
function wrongOf(ui, b) {
  const { a, f, onPage } = ui, wrong = [];
  for (const k of ["name", "folder", "username", "server.host"]) if (!at(ui, k)) wrong.push([k, t("field.required")]);
  if (!isAddress(at(ui, "email")) && at(ui, "email") !== a.email) wrong.push(["email", t("field.email")]);
  if (!portOf(at(ui, "server.port"))) wrong.push(["server.port", t("field.port")]);
  if (f.max_message_bytes?.changed) {
    const got = f.max_message_bytes.read();
    const out = got.bad || got.bytes < least || got.bytes > most;
    const range = () => t("field.size", { least: size(1100), most: size(most) });
    if (out) wrong.push(["max_message_bytes", got.bad === "limit.number" ? t("field.bytes") : range()]);
  }
  const other = (k) => b.server?.[k] !== undefined && b.server[k] !== a.server[k];
  const elsewhere = other("host") || other("security") || b.username !== undefined;
  if (onPage && b.username !== undefined) wrong.push(["username", t("field.signin.again")]);
  if (!onPage && elsewhere && !b.password) wrong.push(["password", t("field.password.again")]);
  return wrong;
}

function blame(ui, wrong, box) {
  ui.trouble.replaceChildren(...(box ? [box] : []));
  if (!complain(ui.f, wrong, ui.adv.el)) ui.trouble.scrollIntoView({ block: "nearest" });
}

function problem(ui, e) {
  if (e.status === 401) return;
  if (e.status === 404) { go("/", { text: t("edit.gone"), kind: "info" }); return; }
  if (e.body?.diagnosis) {
    const d = e.body.diagnosis;
    blame(ui, pointedAt(d), failure(d, ui.preset?.help, e.wait));
    return;
  }
  const text = explain(e, true);
  if (!complain(ui.f, problemFields(e), ui.adv.el)) blame(ui, [], notice("bad", t("error.title"), h("p", null, text)));
  announce(text, true);
}

async function submit(ui) {
  const b = diff(ui), { f } = ui;
  ui.trouble.replaceChildren();
  unblame(f);
  if (complain(f, wrongOf(ui, b), ui.adv.el)) return;
  if (!Object.keys(b).length) { go(ui.path); return; }
  if (b.email && await slipped(ui, b.email)) return;
  if (!b.server && !b.protocol && !b.password && !b.username) {
    await busy(ui, ui.save, () => finish(ui, b, () => t("saved")));
    return;
  }
  const { start: _s, max_message_bytes: _m, poll_interval_seconds: _p, folders: _f, ...settings } = b;
  const known = given(ui.preset, f.protocol.value, place(ui));
  const failed = (d) => {
    if (d.code === "auth_failed") ui.adv.el.open = true; // The user name may be wrong.
    blame(ui, pointedAt(d, known), failure(d, ui.preset?.help));
  };
  await busy(ui, ui.save, async () => {
    const result = await tried(ui, settings, { email: at(ui, "email"), protocol: f.protocol.value, known }, failed);
    if (!result) return;
    await finish(ui, { ...b, skip_test: true }, () => t("saved") + warned(result.report), result.close);
  });
}

/** slipped asks about a domain that is probably mistyped, once. It says whether it has asked. */
async function slipped(ui, email) {
  if (ui.meant === email) return false;
  const found = await get("/v1/autoconfig" + query({ email })).catch(() => null), meant = found?.did_you_mean;
  if (!meant) return false;
  const [local, domain] = email.split("@"), right = local + "@" + meant, { input } = ui.f.email;
  const then = (f) => () => { f(); ui.trouble.replaceChildren(); ui.save.focus(); };
  const yes = h("button", { type: "button", class: "primary", onclick: then(() => { input.value = right; }) },
    t("wizard.meant.yes", { email: right }));
  const no = h("button", { type: "button", onclick: then(() => { ui.meant = email; }) },
    t("wizard.meant.no", { domain }));
  ui.trouble.replaceChildren(
    notice("warn", t("wizard.meant", { domain: meant }), h("p", { class: "actions start" }, yes, no)));
  announce(t("wizard.meant", { domain: meant }), true);
  yes.focus();
  return true;
}

/** tried tests the connection with these settings. It returns the result where the account is to be saved: the test
 * passed, with its dialog still open, or the user wants it saved all the same. */
async function tried(ui, settings, about, failed) {
  const result = await test({ account_id: ui.id, ...settings }, { help: ui.preset?.help, ...about });
  if (result.ok || result.anyway) return result;
  if (result.problem) problem(ui, result.problem);
  else if (result.diagnosis) failed(result.diagnosis);
  return null;
}

/** finish saves the changes, closes the dialog of the test, and shows the account. */
async function finish(ui, b, text, close) {
  let saved;
  try { saved = await patch("/v1" + ui.path, b); } finally { close?.(); }
  live.put(saved);
  unsaved = null;
  go(ui.path, { text: text(saved) });
}

/** busy runs work with its button disabled, and shows a problem of the API. */
async function busy(ui, button, work) {
  button.disabled = true;
  try { await work(); } catch (e) {
    if (!(e instanceof Problem)) throw e;
    problem(ui, e);
  } finally { button.disabled = false; }
}

/** boxes are all fields of the form, with the property that holds what was entered. */
const boxes = (ui) => [...ui.form.querySelectorAll("input, select")].map((i) =>
  [i, i.type === "checkbox" || i.type === "radio" ? "checked" : "value"]);

function keep(ui) {
  unsaved = { id: ui.id, open: ui.adv.el.open, values: boxes(ui).map(([i, k]) => i[k]) };
}

/** putBack enters again what was typed when the language was changed. */
function putBack(ui) {
  if (unsaved?.id === ui.id) {
    boxes(ui).forEach(([i, k], n) => { if (unsaved.values[n] !== undefined) i[k] = unsaved.values[n]; });
    ui.adv.el.open = unsaved.open;
  }
  unsaved = null;
}

/** welcome shows what was allowed on the provider's page, from which the user comes back. */
function welcome(ui) {
  const { a, grant } = ui;
  if (grant.gone) { ui.trouble.replaceChildren(notice("warn", null, h("p", null, t("signin.gone")))); return; }
  const other = differs(grant, a.email);
  const use = h("button", { type: "button", class: "primary", "data-focus": true, onclick: () => take(ui, use) },
    t("edit.take", { email: a.email }));
  const text = other ? t("signin.differs.text", { signed: grant.email, email: a.email }) : signedInAs(grant);
  ui.form.before(h("div", { class: "arrived" }, notice(other ? "warn" : "good", other ? t("signin.differs") : null,
    h("p", null, text), h("p", { class: "actions start" }, use))));
}

/** take has the account use what was allowed on the provider's page. */
async function take(ui, button) {
  const { a, grant, preset } = ui;
  ui.trouble.replaceChildren();
  const b = { oauth_grant: grant.id, confirm_address: true };
  await busy(ui, button, async () => {
    const about = { email: a.email, protocol: a.protocol, known: given(preset, a.protocol, a.server) };
    const result = await tried(ui, b, about, (d) => blame(ui, [], failure(d, preset?.help)));
    if (!result) return;
    await finish(ui, { ...b, skip_test: true },
      (saved) => t("edit.signed", { name: saved.name }) + warned(result.report), result.close);
  });
}

/** least and most are the limits of a message that the service takes. */
const least = 1024, most = 268435456;

/** largest is the limit of a message, with its unit, as it is to the byte. */
function largest(now) {
  const unit = largestUnit(now), shown = written(now, unit);
  const choices = [...units.slice(0, 3), ...(unit === "mebibyte" ? [unit] : [])];
  const f = field({
    name: "max_message_bytes", label: t("form.largest"), hint: t("form.largest.hint"), value: shown,
    inputmode: "decimal", maxlength: "12", size: "8", autocomplete: "off",
  });
  const onchange = () => { f.fail(""); f.input.value = typed(f.input.value).number; };
  const choice = h("select", { "aria-label": t("limit.unit"), onchange },
    choices.map((u) => h("option", { value: u, selected: u === unit }, t("unit." + u))));
  f.input.addEventListener("input", () => {
    const named = typed(f.input.value).unit;
    if (choices.includes(named)) choice.value = named;
  });
  const line = h("span", { class: "limit-field" });
  f.input.before(line);
  line.append(f.input, choice);
  return {
    ...f,
    /** changed says whether the user has touched it: what nobody touched is not checked. */
    get changed() { return f.input.value.trim() !== shown || choice.value !== unit; },
    read: () => read(f.input.value, choice.value),
  };
}

/** picker chooses among the folders; those below a folder follow it. */
function picker(folders) {
  const inbox = (f) => f.remote_name === "INBOX";
  const sorted = [...folders].sort((x, y) => inbox(y) - inbox(x) || x.remote_name.localeCompare(y.remote_name));
  const below = (f, g) => f.remote_name.startsWith(g.remote_name + "/");
  const boxes = sorted.map((f) => [f, h("input", { type: "checkbox", checked: f.selected })]);
  const el = h("fieldset", { class: "choice folders" }, h("legend", null, t("form.folders")),
    boxes.length ? boxes.map(([f, box]) => {
      const depth = Math.min(4, sorted.filter((g) => below(f, g)).length); // Below those that have a line.
      return h("label", { class: "depth-" + depth }, box, h("span", null, folderName(f.remote_name),
        f.shared && h("small", null, " ", t("form.folders.shared"))));
    }) : h("p", { class: "hint" }, t("form.folders.none")));
  for (const [f, box] of boxes) {
    box.addEventListener("change", () => {
      for (const [g, other] of boxes) if (below(g, f)) other.checked = box.checked;
    });
  }
  return {
    el,
    get changed() { return boxes.some(([f, box]) => box.checked !== f.selected); },
    /** rules says what is chosen in the API's words: a rule for a folder holds
     * for those below it, what is left out wins, and what is shared by others is
     * to be named. */
    rules() {
      const those = (checked) => boxes.filter(([, b]) => b.checked === checked).map(([f]) => f);
      const off = those(false), on = those(true);
      const lonely = on.some((f) => f.shared || off.some((g) => below(f, g)));
      const left = off.filter((f) =>
        (lonely ? on.some((g) => below(f, g)) : !f.shared && !off.some((g) => below(f, g))));
      return { include: lonely ? on.map((f) => f.remote_name) : [], exclude: left.map((f) => f.remote_name) };
    },
  };
}
