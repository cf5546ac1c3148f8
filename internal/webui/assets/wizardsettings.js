// Naming a mailbox, step 2: what its way asks for besides, the protocol, and the server under a fold; then the test.

import { announce, h, icon, notice, show, steady } from "./dom.js";
import {
  advanced, complain, failure, forgetful, given, password, pointedAt, portOf, problemFields, radios, test, unblame,
  usualPort,
} from "./form.js";
import { t } from "./i18n.js";
import { labels, letters } from "./letters.js";
import { explain } from "./page.js";
import { differs, signedInAs } from "./signin.js";
import { appOnly, fits, lookUp, providerOf, save, state, way } from "./wizardstate.js";

/** usual are the ports that go with a protocol and its encryption: one of them changes along with these. */
const usual = [993, 143, 995, 110];

/** mount builds the step. Its fields and boxes are in one object (ui), which every function below is given. */
export function mount(turnTo) {
  const ui = build(turnTo);
  advise(ui);
  forgetful(ui.form, ui.trouble, ui.fields);
  show(ui.pass.el, false);
  if (state.refused && !ui.byGrant) askAgain(ui);
  listen(ui);
  confirm(ui);
  return {
    el: h("div", null, way.head(2), ui.form), fields: ui.fields,
    keep: () => keep(ui), leave: () => keep(ui), submit: () => submit(ui), problem: (e) => problem(ui, e),
    begin() { (ui.whose.querySelector("button") || Object.values(ui.own)[0]?.input || ui.finish).focus(); },
  };
}

/** defaults are the values that the step starts with. */
function defaults() {
  const found = state.settings, v = state.values;
  const protocols = offeredBy(found);
  const stays = protocols.includes(v.protocol) || (state.touched.protocol && v.protocol);
  v.protocol = stays ? v.protocol : protocols[0] || "imap";
  if (!state.touched.server) Object.assign(v, server(found, v.protocol));
  if (!state.touched.username) v.username = found.username || state.email;
  way.defaults?.(v, found);
  return v;
}

/** offeredBy are the protocols of a provider that may be chosen. */
const offeredBy = (found) => Object.keys(found.protocols || {}).filter((k) => way.protocols.includes(k));

function server(found, protocol) {
  const x = found.protocols?.[protocol];
  return {
    host: x?.host.replace("{domain}", state.email.split("@")[1]) || "",
    port: x?.port || usualPort(protocol, "tls"), security: x?.security || "tls",
  };
}

function build(turnTo) {
  const v = defaults(), found = state.settings, p = providerOf(found);
  const offered = offeredBy(found), both = offered.length !== 1 && way.protocols.length > 1;
  const protocols = [["imap", t("form.protocol.imap")], ["pop3", t("form.protocol.pop3")]];
  const ui = {
    turnTo, v, found, p, byGrant: fits(found),
    protocol: radios("protocol", t(way.protocol),
      protocols.filter(([k]) => both || k === v.protocol || offered.includes(k)), v.protocol),
    pass: password({
      label: t(appOnly(p) ? "wizard.apppassword" : "wizard.password"), value: state.password, required: true,
    }),
    adv: advanced({ host: v.host, port: v.port, security: v.security, username: v.username }, v.security === "none",
      !["guess", "none"].includes(found.source)),
    whose: h("div", { class: "whose" }),
    trouble: h("div", { class: "trouble-box" }),
    pop3: h("p", { class: "hint" }, p?.help.pop3),
    finish: steady(h("button", { class: "primary", type: "submit" }, t(way.finish))),
  };
  ui.own = way.fields?.(ui) || {};
  ui.fields = { ...ui.own, protocol: ui.protocol, ...ui.adv.fields };
  show(ui.protocol.el, both);
  if (!v.host || found.source === "guess" || state.open) ui.adv.el.open = true;
  const back = h("button", { type: "button", onclick: () => { keep(ui); turnTo(1); } }, t("back"));
  const { start, ...names } = ui.own;
  ui.form = h("form", { novalidate: true, class: "panel" },
    h("p", { class: "for" }, icon("mail"), h("span", null, state.email), p && h("span", { class: "badge" }, p.name)),
    ui.whose, ui.trouble, Object.values(names).map((f) => f.el), ui.protocol.el, ui.pop3, start?.el, ui.pass.el,
    ui.adv.el, h("div", { class: "actions" }, back, ui.finish));
  return ui;
}

/** advise shows what is to be known of the provider's POP3. */
function advise(ui) {
  show(ui.pop3, Boolean(ui.p?.help.pop3) && (ui.protocol.value || ui.v.protocol) === "pop3");
}

function listen(ui) {
  const { fields } = ui;
  way.listen?.(ui);
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
  for (const [name, own] of Object.entries(ui.own)) ui.v[name] = "value" in own ? own.value : text(own);
  Object.assign(ui.v, {
    protocol: ui.protocol.value || ui.v.protocol,
    host: labels(text(f["server.host"])), port: text(f["server.port"]), security: f["server.security"].input.value,
    username: text(f.username),
  });
  if (ui.fields.password) state.password = ui.pass.input.value;
  state.open = ui.adv.el.open;
  save();
}

/** body is the mailbox as the API takes it. */
function body(ui) {
  const { v } = ui;
  const login = ui.byGrant
    ? { oauth_grant: state.grant.id, confirm_address: state.confirmed }
    : { password: state.password };
  const b = {
    email: state.email, ...login, protocol: v.protocol,
    server: { host: v.host, port: portOf(v.port), security: v.security }, username: v.username,
  };
  if (ui.found.provider) b.provider = ui.found.provider;
  way.body?.(v, b);
  return b;
}

/** wrongOf is what is wrong with what was entered, as far as the page can tell. */
function wrongOf(v) {
  const wrong = way.wrong?.(v) || [];
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
    const result = await test(b, {
      email: state.email, help: ui.p?.help, protocol: ui.v.protocol, known: known(ui), tested: way.tested,
      anyway: way.anyway,
    });
    if (result.ok || result.anyway) await way.done(b, result, (e) => problem(ui, e));
    else if (result.problem) problem(ui, result.problem);
    else if (result.diagnosis) diagnosed(ui, result.diagnosis);
  } finally { ui.finish.disabled = false; }
}
