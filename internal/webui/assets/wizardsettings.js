// Step 2 of adding an account: names, folder, protocol, start, and the server under a fold.

import { post, Problem } from "./api.js";
import { announce, h, icon, notice, show, steady } from "./dom.js";
import * as live from "./events.js";
import {
  advanced, complain, dotted, failure, field, forgetful, given, others, password, pointedAt, portOf, problemFields,
  radios, startOptions, test, unblame, usualPort, warned,
} from "./form.js";
import { t } from "./i18n.js";
import { labels, letters } from "./letters.js";
import { explain, go } from "./page.js";
import { differs, signedInAs } from "./signin.js";
import { appOnly, fits, forget, head, lookUp, providerOf, save, state } from "./wizardstate.js";

/** usual are the ports that go with a protocol and its encryption: one of them changes along with these. */
const usual = [993, 143, 995, 110];

/** mount builds the step. Its fields and boxes are in one object (ui), which every function below is given. */
export function mount(turnTo) {
  const ui = build(turnTo);
  advise(ui);
  forgetful(ui.form, ui.trouble, ui.fields);
  dotted(ui.folder);
  show(ui.pass.el, false);
  if (state.refused && !ui.byGrant) askAgain(ui);
  listen(ui);
  confirm(ui);
  return {
    el: h("div", null, head(2), ui.form), fields: ui.fields,
    keep: () => keep(ui), leave: () => keep(ui),
    begin() { (ui.whose.querySelector("button") || ui.name.input).focus(); },
  };
}

/** defaults are the values that the step starts with. */
function defaults() {
  const found = state.settings, v = state.values;
  const protocols = Object.keys(found.protocols || {});
  const stays = protocols.includes(v.protocol) || (state.touched.protocol && v.protocol);
  v.protocol = stays ? v.protocol : protocols[0] || "imap";
  if (!state.touched.server) Object.assign(v, server(found, v.protocol));
  if (!state.touched.username) v.username = found.username || state.email;
  if (!state.touched.name) v.name = letters(found.name);
  if (!state.touched.folder) v.folder = "";
  v.start ||= "all";
  return v;
}

function server(found, protocol) {
  const x = found.protocols?.[protocol];
  return {
    host: x?.host.replace("{domain}", state.email.split("@")[1]) || "",
    port: x?.port || usualPort(protocol, "tls"), security: x?.security || "tls",
  };
}

function build(turnTo) {
  const v = defaults(), found = state.settings, p = providerOf(found);
  const offered = Object.keys(found.protocols || {}), both = offered.length !== 1;
  const protocols = [["imap", t("form.protocol.imap")], ["pop3", t("form.protocol.pop3")]];
  const ui = {
    turnTo, v, found, p, byGrant: fits(found), ...texts(v, found),
    protocol: radios("protocol", t("form.protocol"),
      protocols.filter(([k]) => both || offered.includes(k)), v.protocol),
    start: radios("start", t("form.start"), startOptions(), v.start),
    pass: password({
      label: t(appOnly(p) ? "wizard.apppassword" : "wizard.password"), value: state.password, required: true,
    }),
    adv: advanced({ host: v.host, port: v.port, security: v.security, username: v.username }, v.security === "none",
      !["guess", "none"].includes(found.source)),
    whose: h("div", { class: "whose" }),
    trouble: h("div", { class: "trouble-box" }),
    pop3: h("p", { class: "hint" }, p?.help.pop3),
    finish: steady(h("button", { class: "primary", type: "submit" }, t("wizard.finish"))),
  };
  ui.fields = {
    name: ui.name, sender_name: ui.sender, folder: ui.folder, protocol: ui.protocol, start: ui.start,
    ...ui.adv.fields,
  };
  show(ui.protocol.el, both);
  if (!v.host || found.source === "guess" || state.open) ui.adv.el.open = true;
  const back = h("button", { type: "button", onclick: () => { keep(ui); turnTo(1); } }, t("back"));
  ui.form = h("form", { novalidate: true, class: "panel" },
    h("p", { class: "for" }, icon("mail"), h("span", null, state.email), p && h("span", { class: "badge" }, p.name)),
    ui.whose, ui.trouble, ui.name.el, ui.sender.el, ui.folder.el, ui.protocol.el, ui.pop3, ui.start.el, ui.pass.el,
    ui.adv.el, h("div", { class: "actions" }, back, ui.finish));
  return ui;
}

/** texts are the fields for names and the folder. */
function texts(v, found) {
  return {
    name: field({
      name: "name", label: t("form.name"), hint: t("form.name.hint"), value: v.name, autocomplete: "off",
      maxlength: "100", required: true,
    }),
    sender: field({
      name: "sender_name", label: t("form.sender"), hint: t("form.sender.hint"), value: v.sender_name || "",
      autocomplete: "name", maxlength: "200",
    }),
    folder: field({
      name: "folder", label: t("form.folder"), hint: t("wizard.folder.hint"), value: v.folder,
      placeholder: state.touched.name ? "" : found.folder, autocomplete: "off", maxlength: "200",
    }),
  };
}

/** advise shows what is to be known of the provider's POP3. */
function advise(ui) {
  show(ui.pop3, Boolean(ui.p?.help.pop3) && (ui.protocol.value || ui.v.protocol) === "pop3");
}

function listen(ui) {
  const { fields } = ui;
  ui.name.input.addEventListener("input", () => {
    state.touched.name = true;
    ui.folder.input.placeholder = ""; // The server derives it from the name.
  });
  ui.folder.input.addEventListener("input", () => { state.touched.folder = true; });
  fields.username.input.addEventListener("input", () => { state.touched.username = true; });
  for (const k of ["server.host", "server.port"]) {
    fields[k].input.addEventListener("input", () => { state.touched.server = true; });
  }
  fields["server.security"].input.addEventListener("change", () => {
    const port = fields["server.port"].input, kind = fields["server.security"].input.value;
    if (usual.includes(Number(port.value))) port.value = usualPort(ui.protocol.value, kind);
    state.touched.server = true;
  });
  ui.protocol.onchange(() => protocolChanged(ui));
  for (const kind of ["input", "change"]) ui.form.addEventListener(kind, () => keep(ui));
  ui.form.addEventListener("submit", (e) => { e.preventDefault(); submit(ui); });
}

function protocolChanged(ui) {
  state.touched.protocol = true;
  advise(ui);
  const f = ui.adv.fields, x = server(ui.found, ui.protocol.value);
  for (const k of Object.keys(f)) f[k].fail("");
  const host = f["server.host"].input, port = f["server.port"].input, security = f["server.security"].input;
  if (state.touched.server) {
    if (usual.includes(Number(port.value))) port.value = usualPort(ui.protocol.value, security.value);
    return;
  }
  host.value = letters(x.host);
  port.value = x.port;
  security.value = x.security;
}

/** askAgain has a refused password entered here, beside the user name, which may be what is wrong. */
function askAgain(ui) {
  state.refused = true;
  ui.fields.password = ui.pass;
  show(ui.pass.el, true);
  ui.adv.el.open = true;
}

/** confirm says who signed in at the provider, and when that is somebody else than was typed, has the user choose.
 * It says whether the choice is still to be made. */
function confirm(ui) {
  if (!ui.byGrant) return false;
  if (!differs(state.grant, state.email) || state.confirmed) {
    ui.whose.replaceChildren(notice("good", null, h("p", null, signedInAs(state.grant))));
    return false;
  }
  const choose = async (address) => {
    keep(ui);
    if (address === state.email) state.confirmed = true;
    else { state.email = state.opened = address; await lookUp(address).catch(explain); }
    ui.turnTo(2);
  };
  const { email } = state, signed = state.grant.email;
  ui.whose.replaceChildren(notice("warn", t("signin.differs"),
    h("p", null, t("signin.differs.text", { signed, email })),
    h("p", { class: "actions start" },
      h("button", { type: "button", onclick: () => choose(signed) }, t("signin.use", { email: signed })),
      h("button", { type: "button", onclick: () => choose(email) }, t("signin.keep", { email })))));
  return true;
}

function keep(ui) {
  const f = ui.adv.fields, text = (x) => x.input.value.trim();
  Object.assign(ui.v, {
    name: text(ui.name), sender_name: text(ui.sender), folder: text(ui.folder),
    protocol: ui.protocol.value || ui.v.protocol, start: ui.start.value,
    host: labels(text(f["server.host"])), port: text(f["server.port"]), security: f["server.security"].input.value,
    username: text(f.username),
  });
  if (ui.fields.password) state.password = ui.pass.input.value;
  state.open = ui.adv.el.open;
  save();
}

/** body is the account as the API takes it. */
function body(ui) {
  const { v } = ui;
  const login = ui.byGrant
    ? { oauth_grant: state.grant.id, confirm_address: state.confirmed }
    : { password: state.password };
  const b = {
    email: state.email, ...login, sender_name: v.sender_name, protocol: v.protocol,
    server: { host: v.host, port: portOf(v.port), security: v.security }, username: v.username,
  };
  if (state.touched.name) b.name = v.name; // The server chooses what nobody touched.
  if (v.folder) b.folder = v.folder;
  if (ui.found.provider) b.provider = ui.found.provider;
  if (v.start === "new") b.start = "new";
  if (v.start === "days") b.start = { days: 30 };
  return b;
}

/** wrongOf is what is wrong with what was entered, as far as the page can tell. */
function wrongOf(v) {
  const wrong = [];
  if (!v.name) wrong.push(["name", t("field.required")]);
  if (!v.host) wrong.push(["server.host", t("field.required")]);
  if (!portOf(v.port)) wrong.push(["server.port", t("field.port")]);
  if (!v.username) wrong.push(["username", t("field.required")]);
  return wrong;
}

/** lead brings the user to the field concerned, on whichever step it is. With once, the box is shown only where no
 * field shows its error. */
function lead(ui, wrong, box, once) {
  if (wrong.some(([f]) => f === "oauth_grant")) { // It has expired: step 1 leads to the provider's page.
    state.grant = null;
    state.opened = state.email;
    state.trouble = () => notice("warn", null, h("p", null, t("signin.gone")));
    ui.turnTo(1);
    return;
  }
  const there = wrong.filter(([f]) => f === "email" || f === "password");
  if (there.length && !wrong.some(([f]) => ui.fields[f])) {
    state.trouble = once ? null : box;
    state.opened = state.email;
    ui.turnTo(1, (s1) => { complain(s1.fields, there); });
    return;
  }
  ui.trouble.replaceChildren(...(box && !once ? [box()] : []));
  if (complain(ui.fields, wrong, ui.adv.el)) return;
  if (once) ui.trouble.replaceChildren(box());
  ui.trouble.scrollIntoView({ block: "nearest" });
}

/** known says whether the server is the one that the provider gives. */
const known = ({ p, v }) => given(p, v.protocol, { host: v.host, port: portOf(v.port) });

function diagnosed(ui, d, wait) {
  if (d.code === "auth_failed" && !ui.byGrant) askAgain(ui);
  lead(ui, pointedAt(d, known(ui)), () => failure(d, ui.p?.help, wait));
}

function problem(ui, e) {
  if (e.status === 401) return;
  if (e.body?.diagnosis) { diagnosed(ui, e.body.diagnosis, e.wait); return; }
  const wrong = problemFields(e), text = explain(e, true), full = e.code === "account_limit_reached";
  const box = () => notice("bad", t(full ? "wizard.limit.title" : "error.title"), h("p", null, text),
    full && h("p", null, h("a", { href: "/" }, t("back.list"))));
  lead(ui, wrong, box, true);
  if (!wrong.length) announce(text, true);
}

async function submit(ui) {
  keep(ui);
  ui.trouble.replaceChildren();
  unblame(ui.fields);
  if (complain(ui.fields, wrongOf(ui.v), ui.adv.el)) return;
  if (confirm(ui)) { ui.whose.querySelector("button").focus(); return; }
  if (!ui.byGrant && !state.password) { lead(ui, [["password", t("wizard.lost")]]); return; }
  ui.finish.disabled = true;
  try {
    const b = body(ui);
    const result = await test(b, { email: state.email, help: ui.p?.help, protocol: ui.v.protocol, known: known(ui) });
    if (result.ok || result.anyway) await add(ui, b, result);
    else if (result.problem) problem(ui, result.problem);
    else if (result.diagnosis) diagnosed(ui, result.diagnosis);
  } finally { ui.finish.disabled = false; }
}

/** add saves the account, whose connection was tested. */
async function add(ui, b, result) {
  try {
    const a = await post("/v1/accounts", { ...b, skip_test: true });
    result.close?.();
    forget();
    live.put(a);
    go("/", { id: a.id, text: t("card.new", { name: a.name }) + others(result.report) + warned(result.report) });
  } catch (e) {
    result.close?.();
    problem(ui, e);
    if (e instanceof Problem && e.code === "account_limit_reached") live.load().catch(() => {});
  }
}
