// Changing an account: everything that can be set, with the connection tested
// again where that matters.

import { get, patch, query, Problem } from "./api.js";
import { read, suited, typed, units, written } from "./bytes.js";
import { h, icon, notice, announce, show, steady } from "./dom.js";
import * as live from "./events.js";
import { folderName, t } from "./i18n.js";
import { labels, letters } from "./letters.js";
import { explain, go, missing } from "./page.js";
import { advanced, complain, failure, field, forgetful, given, intervals, isAddress, password, pointedAt, portOf, problemFields, radios, select, startOptions, startWord, test, unblame, usualPort, warned } from "./form.js";
import { arrived, differs, leave, signedInAs } from "./signin.js";

let unsaved = null; // What was typed when the language was changed.

export async function page(id) {
  if (!/^[0-9a-f-]{36}$/.test(id)) return { el: missing(), title: t("page.missing.title") };
  const grant = await arrived();
  const [a, tree, list] = await Promise.all([get("/v1/accounts/" + id), get("/v1/accounts/" + id + "/folders"), get("/v1/providers")]);
  const preset = list.providers.find((p) => p.id === a.provider);
  const f = {
    name: field({ name: "name", label: t("form.name"), hint: t("form.name.hint"), value: a.name, maxlength: "100", required: true, autocomplete: "off" }),
    sender_name: field({ name: "sender_name", label: t("form.sender"), hint: t("form.sender.hint"), value: a.sender_name, maxlength: "200", autocomplete: "name" }),
    folder: field({ name: "folder", label: t("form.folder"), hint: t("form.folder.change"), value: a.folder, maxlength: "200", required: true, autocomplete: "off" }),
    email: field({ name: "email", label: t("form.email"), type: "email", value: letters(a.email), required: true, autocomplete: "off" }),
    password: password({ label: t("form.password"), hint: t("form.password.keep") }),
    protocol: radios("protocol", t("form.protocol"), [["imap", t("form.protocol.imap")], ["pop3", t("form.protocol.pop3")]], a.protocol),
    poll_interval_seconds: select("poll_interval_seconds", t("form.interval"), intervals(a.poll_interval_seconds), a.poll_interval_seconds),
  };
  if (a.start !== undefined) f.start = radios("start", t("form.start"), startOptions(a.start), startWord(a.start));
  if (a.max_message_bytes !== undefined) {
    f.max_message_bytes = largest(a.max_message_bytes);
  }
  const adv = advanced({ ...a.server, username: a.username }, a.server.security === "none");
  Object.assign(f, adv.fields);
  const pick = picker(tree.folders);
  const only = h("p", { class: "hint" }, t("form.protocol.only"));
  const folders = () => { show(pick.el, f.protocol.value !== "pop3"); show(only, f.protocol.value === "pop3" && a.protocol === "imap"); };
  const trouble = h("div", { class: "trouble-box" });
  const onPage = a.auth === "oauth2", signIn = preset?.oauth ? h("button", { type: "button" }, onPage ? t("edit.again") : t("wizard.signin", { name: preset.name })) : null;
  signIn?.addEventListener("click", async () => {
    keep();
    signIn.disabled = true;
    if (!await leave(preset.id, { account_id: id }, "/accounts/" + id + "/edit")) signIn.disabled = false;
  });
  const ways = onPage || signIn ? h("div", { class: "signin" }, h("p", null, onPage ? t("edit.onpage", { name: preset?.name || a.provider }) : t("edit.instead")), signIn) : null;
  if (onPage) show(f.password.el, false);
  const save = steady(h("button", { type: "submit", class: "primary" }, t("save")));
  const part = (key, ...els) => { const i = "part-" + key; return h("section", { class: "panel", "aria-labelledby": i }, h("h2", { id: i }, t("edit." + key)), els); };
  const form = h("form", { novalidate: true },
    trouble,
    part("account", f.name.el, f.sender_name.el, f.folder.el),
    part("signin", f.email.el, ways, f.password.el, adv.el),
    part("fetching", f.protocol.el, f.start?.el, h("div", { class: "grid" }, f.poll_interval_seconds.el, f.max_message_bytes?.el), pick.el, only),
    h("div", { class: "actions" }, h("a", { class: "button", href: "/accounts/" + id }, t("cancel")), save));

  forgetful(form, trouble, f);
  /** at is what stands in a field. Names in letters are for the eye: what nobody touched is as it was. */
  const at = (name) => {
    const v = f[name].input.value.trim();
    return name === "server.host" ? labels(v) : name === "email" && v === letters(a.email) ? a.email : v;
  };
  function diff() {
    const b = {};
    for (const k of ["name", "folder", "email", "sender_name", "username"]) if (at(k) !== a[k]) b[k] = at(k);
    if (f.password.input.value) b.password = f.password.input.value;
    if (f.protocol.value !== a.protocol) b.protocol = f.protocol.value;
    const server = { host: at("server.host"), port: portOf(at("server.port")), security: at("server.security") };
    const moved = Object.fromEntries(Object.entries(server).filter(([k, v]) => v !== a.server[k]));
    if (Object.keys(moved).length || b.protocol) b.server = b.protocol ? server : moved;
    if (Number(at("poll_interval_seconds")) !== a.poll_interval_seconds) b.poll_interval_seconds = Number(at("poll_interval_seconds"));
    if (f.start && f.start.value !== startWord(a.start)) b.start = f.start.value === "days" ? { days: 30 } : f.start.value;
    if (f.max_message_bytes?.changed) b.max_message_bytes = f.max_message_bytes.read().bytes;
    if (pick.changed && f.protocol.value !== "pop3") b.folders = pick.rules();
    return b;
  }
  function wrongOf(b) {
    const wrong = [];
    for (const k of ["name", "folder", "username", "server.host"]) if (!at(k)) wrong.push([k, t("field.required")]);
    if (!isAddress(at("email")) && at("email") !== a.email) wrong.push(["email", t("field.email")]);
    if (!portOf(at("server.port"))) wrong.push(["server.port", t("field.port")]);
    if (f.max_message_bytes?.changed) {
      const got = f.max_message_bytes.read();
      if (got.bad || got.bytes < 1024 || got.bytes > most) wrong.push(["max_message_bytes", t(got.bad ? "field.bytes" : "field.out_of_range")]);
    }
    const elsewhere = (b.server?.host !== undefined && b.server.host !== a.server.host) || (b.server?.security !== undefined && b.server.security !== a.server.security) || b.username !== undefined;
    if (onPage && b.username !== undefined) wrong.push(["username", t("field.signin.again")]);
    if (!onPage && elsewhere && !b.password) wrong.push(["password", t("field.password.again")]);
    return wrong;
  }
  folders();
  f.protocol.onchange(async () => {
    folders();
    for (const k of Object.keys(adv.fields)) f[k].fail("");
    // The other protocol has a server of its own: it is looked up for the address.
    const to = f.protocol.value, host = f["server.host"].input, port = f["server.port"].input, kind = f["server.security"].input;
    if (to === a.protocol) { host.value = letters(a.server.host); port.value = a.server.port; kind.value = a.server.security; return; }
    port.value = usualPort(to, kind.value);
    try {
      const found = (await get("/v1/autoconfig" + query({ email: at("email") })));
      const x = found.protocols?.[to];
      if (x && f.protocol.value === to && found.source !== "guess" && found.source !== "none") { host.value = letters(x.host); port.value = x.port; kind.value = x.security; }
    } catch { /* The usual port stands, and the user may enter the rest. */ }
    adv.el.open = true;
  });
  f["server.security"].input.addEventListener("change", () => {
    const port = f["server.port"].input;
    if ([993, 143, 995, 110].includes(Number(port.value))) port.value = usualPort(f.protocol.value, f["server.security"].input.value);
  });

  function blame(wrong, box) {
    trouble.replaceChildren(...(box ? [box] : []));
    if (!complain(f, wrong, adv.el)) trouble.scrollIntoView({ block: "nearest" });
  }
  function problem(e) {
    if (e.status === 401) return;
    if (e.status === 404) { go("/", { text: t("edit.gone"), kind: "info" }); return; }
    if (e.body?.diagnosis) { const d = e.body.diagnosis; blame(pointedAt(d), failure(d, preset?.help, e.wait)); return; }
    const text = explain(e, true);
    if (!complain(f, problemFields(e), adv.el)) blame([], notice("bad", t("error.title"), h("p", null, text)));
    announce(text, true);
  }
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    const b = diff();
    trouble.replaceChildren();
    unblame(f);
    if (complain(f, wrongOf(b), adv.el)) return;
    if (!Object.keys(b).length) { go("/accounts/" + id); return; }
    save.disabled = true;
    let close, more = "";
    try {
      if (b.server || b.protocol || b.password || b.username) {
        const { start: _s, max_message_bytes: _m, poll_interval_seconds: _p, folders: _f, ...settings } = b;
        const known = given(preset, f.protocol.value, { host: at("server.host"), port: portOf(at("server.port")) });
        const result = await test({ account_id: id, ...settings }, { email: at("email"), help: preset?.help, protocol: f.protocol.value, known });
        close = result.close;
        if (!result.ok && !result.anyway) {
          if (result.problem) problem(result.problem);
          else if (result.diagnosis) {
            if (result.diagnosis.code === "auth_failed") adv.el.open = true; // The user name may be wrong.
            blame(pointedAt(result.diagnosis, known), failure(result.diagnosis, preset?.help));
          }
          return;
        }
        more = warned(result.report);
        b.skip_test = true;
      }
      const saved = await patch("/v1/accounts/" + id, b);
      close?.();
      live.put(saved);
      unsaved = null;
      go("/accounts/" + id, { text: t("saved") + more });
    } catch (e2) {
      close?.();
      if (!(e2 instanceof Problem)) throw e2;
      problem(e2);
    } finally { save.disabled = false; }
  });

  const boxes = () => [...form.querySelectorAll("input, select")].map((i) => [i, i.type === "checkbox" || i.type === "radio" ? "checked" : "value"]);
  const keep = () => { unsaved = { id, open: adv.el.open, values: boxes().map(([i, k]) => i[k]) }; };
  if (unsaved?.id === id) {
    boxes().forEach(([i, k], n) => { if (unsaved.values[n] !== undefined) i[k] = unsaved.values[n]; });
    adv.el.open = unsaved.open;
  }
  unsaved = null;
  const el = h("div", { class: "page narrow" }, h("p", { class: "crumb" }, h("a", { href: "/accounts/" + id }, icon("back"), a.name)),
    h("h1", { tabindex: "-1" }, t("edit.title", { name: a.name })), form);
  /** take has the account go on with what was allowed on the provider's page. */
  async function take(button) {
    button.disabled = true;
    trouble.replaceChildren();
    const b = { oauth_grant: grant.id, confirm_address: true };
    let close;
    try {
      const result = await test({ account_id: id, ...b }, { email: a.email, help: preset?.help, protocol: a.protocol, known: given(preset, a.protocol, a.server) });
      close = result.close;
      if (!result.ok && !result.anyway) {
        if (result.problem) problem(result.problem);
        else if (result.diagnosis) blame([], failure(result.diagnosis, preset?.help));
        return;
      }
      const saved = await patch("/v1/accounts/" + id, { ...b, skip_test: true });
      close?.();
      live.put(saved);
      unsaved = null;
      go("/accounts/" + id, { text: t("edit.signed", { name: saved.name }) + warned(result.report) });
    } catch (e) {
      close?.();
      if (!(e instanceof Problem)) throw e;
      problem(e);
    } finally { button.disabled = false; }
  }
  if (grant?.gone) trouble.replaceChildren(notice("warn", null, h("p", null, t("signin.gone"))));
  else if (grant) {
    const other = differs(grant, a.email);
    const use = h("button", { type: "button", class: "primary", "data-focus": true, onclick: () => take(use) }, t("edit.take", { email: a.email }));
    form.before(h("div", { class: "arrived" }, notice(other ? "warn" : "good", other ? t("signin.differs") : null,
      h("p", null, other ? t("signin.differs.text", { signed: grant.email, email: a.email }) : signedInAs(grant)), h("p", { class: "actions start" }, use))));
  }
  const wanted = location.hash.slice(1);
  if (wanted === "password") f.password.input.setAttribute("data-focus", "");
  if (wanted === "server") { adv.el.open = true; f["server.host"].input.setAttribute("data-focus", ""); }
  const stop = live.follow((kind, gone) => { if (kind === "removed" && gone.id === id) go("/", { text: t("edit.gone"), kind: "info" }, true); });
  return { el, title: t("edit.title", { name: a.name }), leave: stop, keep, ready: () => el.querySelector(".arrived button")?.focus() };
}

/** most is the largest limit of a message that the service takes. */
const most = 268435456;

/** largest is the limit of a message, with its unit, as it is to the byte. */
function largest(now) {
  // 50 MiB is a round number, which it is not in MB.
  const choices = [...units.slice(0, 3), ...(now % 2 ** 20 === 0 && now % 1e6 ? ["mebibyte"] : [])];
  const unit = choices[3] || suited(now), shown = written(now, unit);
  const f = field({ name: "max_message_bytes", label: t("form.largest"), hint: t("form.largest.hint"), value: shown, inputmode: "decimal", maxlength: "12", size: "8", autocomplete: "off" });
  const choice = h("select", { "aria-label": t("limit.unit"), onchange: () => { f.fail(""); f.input.value = typed(f.input.value).number; } },
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
  const sorted = [...folders].sort((x, y) => (y.remote_name === "INBOX") - (x.remote_name === "INBOX") || x.remote_name.localeCompare(y.remote_name));
  const below = (f, g) => f.remote_name.startsWith(g.remote_name + "/");
  const boxes = sorted.map((f) => [f, h("input", { type: "checkbox", checked: f.selected })]);
  const el = h("fieldset", { class: "choice folders" }, h("legend", null, t("form.folders")),
    boxes.length ? boxes.map(([f, box]) => {
      const label = h("label", null, box, h("span", null, folderName(f.remote_name), f.shared && h("small", null, " ", t("form.folders.shared"))));
      label.classList.add("depth-" + Math.min(4, sorted.filter((g) => below(f, g)).length)); // Below those that have a line.
      return label;
    }) : h("p", { class: "hint" }, t("form.folders.none")));
  for (const [f, box] of boxes) {
    box.addEventListener("change", () => { for (const [g, other] of boxes) if (below(g, f)) other.checked = box.checked; });
  }
  return {
    el,
    get changed() { return boxes.some(([f, box]) => box.checked !== f.selected); },
    /** rules says what is chosen in the API's words: a rule for a folder holds
     * for those below it, what is left out wins, and what is shared by others is
     * to be named. */
    rules() {
      const off = boxes.filter(([, b]) => !b.checked).map(([f]) => f), on = boxes.filter(([, b]) => b.checked).map(([f]) => f);
      const lonely = on.some((f) => f.shared || off.some((g) => below(f, g)));
      const left = off.filter((f) => (lonely ? on.some((g) => below(f, g)) : !f.shared && !off.some((g) => below(f, g))));
      return { include: lonely ? on.map((f) => f.remote_name) : [], exclude: left.map((f) => f.remote_name) };
    },
  };
}
