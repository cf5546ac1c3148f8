// Naming a mailbox, step 1: the address alone; then the ways to sign in that its provider has.

import { query } from "./api.js";
import { announce, external, h, notice, say, show, steady } from "./dom.js";
import { complain, field, forgetful, isAddress, password, problemFields } from "./form.js";
import { t } from "./i18n.js";
import { explain, safety, user } from "./page.js";
import { leave, signedInAs } from "./signin.js";
import { appOnly, fits, lookUp, providerOf, save, state, way } from "./wizardstate.js";

/** tiles are the providers to choose from for people who look for a name. */
const tiles = [
  ["google", "Google"], ["aol", "AOL"], ["yahoo", "Yahoo"], ["outlook", "Outlook"], ["wp", "WP"], ["onet", "Onet"],
  ["o2", "o2"], ["interia", "Interia"], ["ovhpl", "OVH"], ["homepl", "home.pl"], ["forpsi", "Forpsi"], ["other", ""],
];

/** mount builds the step. What it consists of, and what it waits for, is in one object (ui), which every function
 * below is given. */
export function mount(turnTo) {
  const ui = build(turnTo);
  forgetful(ui.form, ui.trouble, { email: ui.email, password: ui.pass });
  offer(ui, null);
  if (state.lost) { ui.pass.fail(t("wizard.lost")); state.lost = false; }
  ui.there.addEventListener("click", () => toProvider(ui));
  ui.email.input.addEventListener("input", () => typed(ui));
  ui.email.input.addEventListener("change", () => { clearTimeout(ui.timer); look(ui); });
  ui.pass.input.addEventListener("input", () => keep(ui));
  ui.form.addEventListener("submit", (e) => { e.preventDefault(); submit(ui); });
  if (state.trouble) { ui.trouble.replaceChildren(state.trouble()); state.trouble = null; }
  if (state.settings && state.asked === state.email) refresh(ui);
  else if (isAddress(state.email)) look(ui);
  return {
    el: h("div", null, way.head(1), ui.form), fields: { email: ui.email, password: ui.pass },
    keep: () => keep(ui), begin: () => begin(ui),
    leave() { clearTimeout(ui.timer); ui.stop.abort(); keep(ui); },
  };
}

function build(turnTo) {
  const ui = {
    turnTo, timer: 0, stop: new AbortController(),
    email: field({
      name: "email", label: t(way.email), type: "email", value: state.email, autocomplete: "off",
      inputmode: "email", required: true,
    }),
    pass: password({ label: t("wizard.password"), value: state.password, required: true }),
    recognised: h("div", { class: "recognised", "aria-live": "polite" }),
    way: h("div", { class: "way" }),
    there: h("button", { type: "button", class: "primary" }),
    or: h("p", { class: "hint or" }),
    safe: safety(way.safe),
    trouble: h("div", { class: "trouble-box" }),
    next: steady(h("button", { class: "primary", type: "submit" }, t("wizard.next"))),
  };
  ui.names = h("fieldset", { class: "tiles" }, h("legend", null, t("wizard.tiles")), tiles.map(([id, name]) =>
    h("button", {
      type: "button", class: "tile", "aria-pressed": String(state.chosen === id), "data-id": id,
      onclick: () => choose(ui, id),
    }, name || t("wizard.tiles.other"))));
  ui.signin = h("div", { class: "signin" }, ui.there, ui.or);
  ui.form = h("form", { novalidate: true, class: "panel" }, ui.trouble, ui.email.el, ui.recognised, ui.names,
    ui.signin, ui.way, ui.pass.el, ui.safe, h("div", { class: "actions" },
      way.back && h("button", { type: "button", onclick: () => { keep(ui); way.back(); } }, t("back")), ui.next));
  return ui;
}

function keep(ui) {
  state.email = ui.email.input.value.trim();
  state.password = ui.pass.input.value;
  save();
}

/** slip is the domain that was probably meant, until the user has said that the one in the address is right. */
const slip = (found) =>
  (found?.did_you_mean && state.meant !== state.email.split("@")[1] ? found.did_you_mean : null);

/** opened says whether the ways to sign in are shown for this address. */
const opened = () => state.opened === state.email && !slip(state.settings);

/** locked says that a provider accepts no sign-in that this service could use. */
const locked = (p) => Boolean(p && !p.oauth && p.auth.every((a) => a === "oauth2"));

/** offer shows the ways to sign in that the provider has. */
function offer(ui, found) {
  const p = providerOf(found), done = found && fits(found), open = Boolean(found) && opened();
  const onPage = open && Boolean(p?.oauth);
  const byPassword = open && !locked(p) && (!p?.oauth || p.auth.some((a) => a !== "oauth2"));
  const chosen = found?.source === "chosen";
  show(ui.names, !open && (!p || chosen)); // What is known of an address goes before a choice.
  show(ui.recognised, !open || done || !locked(p) || chosen); // That it cannot be added says more.
  show(ui.signin, onPage && !done);
  show(ui.or, byPassword);
  if (p) say(ui.there, t("wizard.signin", { name: p.name }));
  const app = appOnly(p);
  say(ui.or, t(app ? "wizard.or" : "wizard.or.password"));
  say(ui.pass.label, t(app ? "wizard.apppassword" : "wizard.password"));
  const help = open && !done && (locked(p) ? forward(ui, p) : byPassword && p && howTo(p));
  ui.way.replaceChildren(...(help ? [help] : []));
  for (const el of [ui.pass.el, ui.safe]) show(el, byPassword && !done);
  show(ui.next, !open || byPassword || done);
  ui.next.className = onPage && !done ? "" : "primary";
}

/** howTo is what to do at the provider before it accepts the password. */
function howTo(p) {
  const { help } = p;
  const links = new Map([
    [help.app_password_url, t("wizard.help.apppassword.link")],
    [help.enable_access_url, t("wizard.help.enable.link")],
    [help.url, t("wizard.help.more", { name: p.name })],
  ].reverse().filter(([url]) => url)); // Where two are the same address, the first name is shown.
  const shown = [...links].reverse().map(([url, text]) => external(url, text, t("newtab"))).filter(Boolean);
  const either = p.auth.includes("app_password") && p.auth.includes("password") && t("wizard.help.either");
  if (!help.steps.length && !help.note && !shown.length && !either) return null;
  return h("div", { class: "howto" },
    help.steps.length > 0 && h("ol", { class: "numbered" }, help.steps.map((x) => h("li", null, x))),
    either && h("p", { class: "hint" }, either), help.note && h("p", { class: "hint" }, help.note),
    shown.length > 0 && h("ul", { class: "links" }, shown.map((l) => h("li", null, l))));
}

/** forward is how to get the mail of a provider that accepts no sign-in: no password is asked for. */
function forward(ui, p) {
  return notice("warn", t(way.locked, { name: p.name }),
    p.help.note && h("p", null, p.help.note), way.forwards && h("p", null, t("wizard.forward")),
    way.forwards && h("ol", { class: "numbered" }, [1, 2, 3].map((i) =>
      h("li", null, t("wizard.forward." + i, { name: p.name, user: user() })))),
    p.help.url && h("p", null, external(p.help.url, t("wizard.help.more", { name: p.name }), t("newtab"))),
    h("p", { class: "actions start" },
      h("button", { type: "button", onclick: () => clear(ui) }, t("wizard.another"))));
}

/** clear empties the address, and offers all the providers again. */
function clear(ui) {
  ui.email.input.value = ui.pass.input.value = "";
  state.chosen = state.asked = state.opened = "";
  state.settings = null;
  keep(ui);
  press(ui);
  ui.recognised.replaceChildren();
  offer(ui, null);
  ui.email.input.focus();
}

/** toProvider leaves for the provider's own page. */
async function toProvider(ui) {
  keep(ui);
  const p = providerOf(state.settings);
  if (!p || complain({ email: ui.email }, isAddress(state.email) ? [] : [["email", t("field.email")]])) return;
  ui.there.disabled = true;
  const path = way.path + query({ side: way.side, email: state.email });
  if (!await leave(p.id, { email: state.email }, path)) ui.there.disabled = false;
}

/** picture says what is known of the address. */
function picture(ui, found) {
  const p = providerOf(found), domain = state.email.split("@")[1], meant = slip(found);
  if (meant) return question(ui, meant, domain);
  if (p && fits(found)) return by(ui, "good", p, found, h("p", null, signedInAs(state.grant)));
  if (p) return by(ui, locked(p) ? "info" : "good", p, found);
  if (found.source === "autoconfig" || found.source === "srv") return notice("good", t("wizard.found", { domain }));
  const text = t(found.source === "guess" ? "wizard.guess" : "wizard.unknown", { domain });
  return notice("info", null, h("p", null, text));
}

/** question asks about a domain that is probably mistyped, before any password. */
function question(ui, meant, domain) {
  const right = state.email.split("@")[0] + "@" + meant;
  const yes = () => { ui.email.input.value = right; keep(ui); return look(ui); };
  const no = () => { state.meant = domain; refresh(ui); };
  const then = (f) => async () => { await f(); (opened() ? ui.next : ui.email.input).focus(); };
  return notice("warn", t("wizard.meant", { domain: meant }),
    h("p", { class: "actions start" },
      h("button", { type: "button", class: "primary", onclick: then(yes) }, t("wizard.meant.yes", { email: right })),
      h("button", { type: "button", onclick: then(no) }, t("wizard.meant.no", { domain }))));
}

function refresh(ui) {
  keep(ui);
  ui.recognised.replaceChildren(picture(ui, state.settings));
  offer(ui, state.settings);
}

/** by is a notice of the provider: recognised by the address, or chosen by name, in which case it can be undone. */
function by(ui, kind, p, found, ...body) {
  if (found.source !== "chosen") return notice(kind, t("wizard.recognised", { name: p.name }), body);
  const name = tiles.find(([id]) => id === p.id)?.[1] || p.name;
  const undo = h("button", { type: "button", class: "link", onclick: () => another(ui) },
    t("wizard.chosen.other", { name }));
  return notice(kind, t("wizard.chosen", { name }), body, h("p", { class: "actions start" }, undo));
}

/** another undoes the choice and offers all the providers again. */
async function another(ui) {
  keep(ui);
  state.chosen = state.asked = state.opened = "";
  state.password = ui.pass.input.value = "";
  press(ui);
  await look(ui);
  offer(ui, state.settings);
  ui.names.querySelector("button").focus();
}

function press(ui) {
  for (const b of ui.names.querySelectorAll("button")) {
    b.setAttribute("aria-pressed", String(b.dataset.id === state.chosen));
  }
}

function choose(ui, id) {
  state.chosen = state.chosen === id ? "" : id;
  press(ui);
  state.asked = "";
  keep(ui);
  if (isAddress(state.email)) look(ui);
  ui.email.input.focus();
}

/** recognise looks up the settings for what was typed, and shows them. */
async function recognise(ui) {
  const address = ui.email.input.value.trim();
  if (!isAddress(address)) {
    state.settings = null;
    ui.recognised.replaceChildren();
    offer(ui, null);
    return;
  }
  if (state.settings && state.asked === address) {
    if (!ui.recognised.childElementCount) refresh(ui);
    return;
  }
  ui.stop.abort();
  ui.stop = new AbortController();
  await lookUp(address, ui.stop.signal);
  state.confirmed = false;
  refresh(ui);
}

/** look is recognise while somebody types: when it fails, submitting the form says so. */
const look = (ui) => recognise(ui).catch(() => {});

function typed(ui) {
  keep(ui);
  if (state.opened && !opened()) { // A password typed for one address is not sent for another.
    ui.pass.input.value = "";
    state.opened = "";
    keep(ui);
    offer(ui, null);
  }
  clearTimeout(ui.timer);
  ui.timer = setTimeout(() => look(ui), 300);
}

async function submit(ui) {
  keep(ui);
  clearTimeout(ui.timer);
  const missing = t(state.email ? "field.email" : "field.required");
  if (complain({ email: ui.email }, isAddress(state.email) ? [] : [["email", missing]])) return;
  ui.next.disabled = true;
  ui.trouble.replaceChildren();
  try {
    await advance(ui);
  } catch (e) {
    if (e.name === "AbortError") return;
    if (!complain({ email: ui.email, password: ui.pass }, problemFields(e))) {
      const text = explain(e, true);
      if (text) ui.trouble.replaceChildren(notice("bad", t("error.title"), h("p", null, text)));
      announce(text, true);
    }
  } finally { ui.next.disabled = false; }
}

/** advance shows the ways to sign in, or what is missing, or step 2. */
async function advance(ui) {
  const needed = () => !fits(state.settings) && !state.password;
  const was = opened();
  await recognise(ui);
  if (slip(state.settings)) { ui.recognised.querySelector("button").focus(); return; }
  state.opened = state.email;
  refresh(ui);
  if (!was && needed()) { begin(ui); return; }
  if (ui.next.hidden || !ui.signin.hidden && needed() && ui.pass.el.hidden) { begin(ui); return; }
  const empty = needed() ? [["password", t("field.required")]] : [];
  if (!ui.pass.el.hidden && complain({ password: ui.pass }, empty)) return;
  ui.turnTo(2);
}

/** begin brings the user to what comes next. */
function begin(ui) {
  if (!state.email || !opened()) ui.email.input.focus();
  else if (!ui.signin.hidden) ui.there.focus();
  else if (!ui.pass.el.hidden) ui.pass.input.focus();
  else if (!ui.next.hidden) ui.next.focus();
  else ui.email.input.focus();
}
