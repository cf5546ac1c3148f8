// Adding an account, in two steps. What was typed is kept while the page is
// open, and (without the password) in this tab's storage, in case the user has
// to sign in again or loads the page again. Who begins anew begins with nothing.

import { get, post, query, Problem } from "./api.js";
import { h, say, show, steady, icon, notice, external, announce } from "./dom.js";
import * as live from "./events.js";
import { t } from "./i18n.js";
import { labels, letters } from "./letters.js";
import { explain, go, safety, startedAnew, user } from "./page.js";
import { advanced, complain, failure, field, forgetful, given, isAddress, others, password, pointedAt, portOf, problemFields, radios, startOptions, test, unblame, usualPort, warned } from "./form.js";
import { arrived, differs, leave, signedInAs } from "./signin.js";

const store = "mailbrook.wizard";
const fresh = () => ({ step: 1, email: "", password: "", grant: null, confirmed: false, values: {}, touched: {}, domain: "", chosen: "", meant: "", opened: "" });
let state = fresh();
let providers = null;
let presets = ""; // The language that they came in.
let translated = false; // The page is shown anew in another language, not come back to.

function save() {
  const rest = { ...state, user: user(), password: "" };
  try { sessionStorage.setItem(store, JSON.stringify(rest)); } catch { /* There is none. */ }
}

function restore() {
  if (state.user && state.user !== user()) state = fresh();
  if (state.email) return;
  try {
    const kept = JSON.parse(sessionStorage.getItem(store) || "null");
    if (kept && kept.user === user()) state = { ...fresh(), ...kept, password: "", step: kept.step };
  } catch { /* There is none, or it is not ours. */ }
}

function forget() {
  state = fresh();
  try { sessionStorage.removeItem(store); } catch { /* There is none. */ }
}

export async function page() {
  if (startedAnew()) forget();
  restore();
  state.user = user();
  const [list] = await Promise.all([
    providers && presets === document.documentElement.lang ? null : get("/v1/providers"),
    live.allowed() ? null : live.load(),
  ]);
  if (list) { providers = list.providers; presets = document.documentElement.lang; }
  if (!await comeBack() && !translated) unchoose();
  translated = false;
  const el = h("div", { class: "page narrow" });
  const n = live.accounts().length;
  if (n >= live.allowed() && !state.email) {
    el.append(h("h1", { tabindex: "-1" }, t("wizard.limit.title")), notice("info", null, h("p", null, t("wizard.limit.text", { n, limit: live.allowed() }))),
      h("p", null, h("a", { class: "button primary", href: "/" }, t("back.list"))));
    return { el, title: t("wizard.title") };
  }
  let shown;
  const turnTo = (step, then) => {
    state.step = step;
    save();
    shown?.leave?.();
    shown = step === 1 ? first(turnTo) : second(turnTo);
    el.replaceChildren(shown.el);
    scrollTo(0, 0);
    if (then) then(shown); else shown.begin();
  };
  state.step = state.step === 2 && state.settings && state.email ? 2 : 1;
  shown = state.step === 1 ? first(turnTo) : second(turnTo);
  el.append(shown.el);
  return { el, title: t("wizard.title"), ready: () => { if (state.step === 1 || state.grant) shown.begin(); }, leave: () => shown.leave?.(), keep: () => { shown.keep(); translated = true; } };
}

/** unchoose forgets the provider that was chosen by its name, and all that followed from it: a choice is for
 * the address at hand, and is made anew by who comes back to the page. */
function unchoose() {
  if (!state.chosen || state.step === 2) return;
  state.chosen = state.asked = state.opened = "";
  state.settings = null;
}

/** comeBack goes on where the user left for the provider's page, and says whether it was there. */
async function comeBack() {
  const asked = new URLSearchParams(location.search).get("email");
  if (asked && (!state.email || state.email === asked)) {
    state.email = state.opened = asked;
    history.replaceState(null, "", location.pathname + location.hash);
  }
  const grant = await arrived();
  if (!grant) return false;
  if (grant.gone) {
    state.step = 1;
    state.opened = state.email;
    state.grant = null;
    state.trouble = () => notice("warn", null, h("p", null, t("signin.gone")));
    return true;
  }
  state.email ||= grant.email || "";
  Object.assign(state, { grant, confirmed: false, password: "" });
  if (!isAddress(state.email)) return true;
  await settle(state.email);
  state.opened = state.email;
  state.step = 2;
  save();
  return true;
}

/** settle looks up the settings for an address, unless they are known. */
async function settle(address, signal) {
  if (state.settings && state.asked === address) return state.settings;
  const domain = address.split("@")[1].toLowerCase();
  if (domain !== state.domain) { state.values = { sender_name: state.values.sender_name }; state.touched = {}; }
  state.domain = domain;
  state.refused = false;
  state.settings = byName(await get("/v1/autoconfig" + query({ email: address }), signal), address);
  state.asked = address;
  return state.settings;
}

/** tiles are the providers to choose from for people who look for a name. */
const tiles = [["google", "Google"], ["aol", "AOL"], ["yahoo", "Yahoo"], ["outlook", "Outlook"], ["wp", "WP"], ["onet", "Onet"], ["o2", "o2"],
  ["interia", "Interia"], ["ovhpl", "OVH"], ["homepl", "home.pl"], ["forpsi", "Forpsi"], ["other", ""]];

/** byName takes the settings of the provider that was chosen by its name, where
 * nothing is known of the address. */
function byName(found, address) {
  const p = providers.find((x) => x.id === state.chosen && x.id !== "other");
  if (!p || !["guess", "none"].includes(found.source)) return found;
  return { ...found, source: "chosen", provider: p.id, protocols: p.protocols, username: address };
}

/** slip is the domain that was probably meant, until the user has said that the
 * one in the address is right. */
const slip = (found) => (found?.did_you_mean && state.meant !== state.email.split("@")[1] ? found.did_you_mean : null);

/** fits says whether what was allowed is of any use with these settings. */
const fits = (found) => Boolean(state.grant && providerOf(found) && state.grant.presets.includes(providerOf(found).id));

function head(n) {
  return h("header", { class: "wizard-head" },
    h("p", { class: "crumb" }, h("a", { href: "/" }, icon("back"), t("back.list"))),
    h("h1", { tabindex: "-1" }, t("wizard.title")),
    h("ol", { class: "stepper" }, [1, 2].map((i) =>
      h("li", { class: i < n ? "past" : i === n ? "now" : "", "aria-current": i === n ? "step" : undefined },
        h("span", { class: "num", "aria-hidden": "true" }, i < n ? icon("check") : String(i)), h("span", { class: "unseen" }, t("wizard.step", { n: i }) + ": "), t("wizard.step" + i)))),
    h("p", { class: "hint" }, t("wizard.into", { user: user() })));
}

const providerOf = (settings) => providers.find((p) => p.id === settings?.provider && p.id !== "other");

/** Step 1: the address alone; then the ways to sign in that its provider has. */
function first(turnTo) {
  const email = field({ name: "email", label: t("wizard.email"), type: "email", value: state.email, autocomplete: "off", inputmode: "email", required: true });
  const pass = password({ label: t("wizard.password"), value: state.password, required: true });
  const recognised = h("div", { class: "recognised", "aria-live": "polite" });
  const names = h("fieldset", { class: "tiles" }, h("legend", null, t("wizard.tiles")), tiles.map(([id, name]) =>
    h("button", { type: "button", class: "tile", "aria-pressed": String(state.chosen === id), "data-id": id, onclick: () => choose(id) }, name || t("wizard.tiles.other"))));
  const way = h("div", { class: "way" });
  const there = h("button", { type: "button", class: "primary" });
  const or = h("p", { class: "hint or" });
  const signin = h("div", { class: "signin" }, there, or);
  const safe = safety();
  const trouble = h("div", { class: "trouble-box" });
  const next = steady(h("button", { class: "primary", type: "submit" }, t("wizard.next")));
  const form = h("form", { novalidate: true, class: "panel" }, trouble, email.el, recognised, names, signin, way, pass.el, safe, h("div", { class: "actions" }, next));
  forgetful(form, trouble, { email, password: pass });
  offer(null);
  if (state.lost) { pass.fail(t("wizard.lost")); state.lost = false; }
  let timer = 0, asking = null, stop = new AbortController();

  const keep = () => {
    state.email = email.input.value.trim();
    state.password = pass.input.value;
    save();
  };
  const opened = () => state.opened === state.email && !slip(state.settings);
  /** locked says that a provider lets nobody in whom this service could be. */
  const locked = (p) => Boolean(p && !p.oauth && p.auth.every((a) => a === "oauth2"));
  /** offer shows the ways to sign in that the provider has. */
  function offer(found) {
    const p = providerOf(found), done = found && fits(found), open = Boolean(found) && opened();
    const onPage = open && Boolean(p?.oauth), byPassword = open && !locked(p) && (!p?.oauth || p.auth.some((a) => a !== "oauth2"));
    show(names, !open && (!p || found.source === "chosen")); // What is known of an address goes before a choice.
    show(recognised, !open || done || !locked(p) || found.source === "chosen"); // That it cannot be added says more.
    show(signin, onPage && !done);
    show(or, byPassword);
    if (p) say(there, t("wizard.signin", { name: p.name }));
    const app = Boolean(p?.auth.includes("app_password") && !p.auth.includes("password"));
    say(or, t(app ? "wizard.or" : "wizard.or.password"));
    say(pass.label, t(app ? "wizard.apppassword" : "wizard.password"));
    way.replaceChildren(...(open && !done ? [locked(p) ? forward(p) : byPassword && p && howTo(p)].filter(Boolean) : []));
    for (const el of [pass.el, safe]) show(el, byPassword && !done);
    show(next, !open || byPassword || done);
    next.className = onPage && !done ? "" : "primary";
  }
  /** howTo is what to do at the provider before the password is of any use. */
  function howTo(p) {
    const { help } = p;
    const links = new Map([
      [help.app_password_url, t("wizard.help.apppassword.link")], [help.enable_access_url, t("wizard.help.enable.link")], [help.url, t("wizard.help.more", { name: p.name })],
    ].reverse().filter(([url]) => url)); // Of one address the first name is said.
    const shown = [...links].reverse().map(([url, text]) => external(url, text, t("newtab"))).filter(Boolean);
    const either = p.auth.includes("app_password") && p.auth.includes("password") && t("wizard.help.either");
    if (!help.steps.length && !help.note && !shown.length && !either) return null;
    return h("div", { class: "howto" }, help.steps.length > 0 && h("ol", { class: "numbered" }, help.steps.map((x) => h("li", null, x))),
      either && h("p", { class: "hint" }, either), help.note && h("p", { class: "hint" }, help.note), shown.length > 0 && h("ul", { class: "links" }, shown.map((l) => h("li", null, l))));
  }
  /** forward is the way round a provider that lets nobody in: no password is asked for. */
  function forward(p) {
    return notice("warn", t("wizard.locked", { name: p.name }), p.help.note && h("p", null, p.help.note), h("p", null, t("wizard.forward")),
      h("ol", { class: "numbered" }, [1, 2, 3].map((i) => h("li", null, t("wizard.forward." + i, { name: p.name, user: user() })))),
      p.help.url && h("p", null, external(p.help.url, t("wizard.help.more", { name: p.name }), t("newtab"))),
      h("p", { class: "actions start" }, h("button", { type: "button", onclick: clear }, t("wizard.another"))));
  }
  /** clear takes the address back, and offers all the providers again. */
  function clear() {
    email.input.value = pass.input.value = "";
    state.chosen = state.asked = state.opened = "";
    state.settings = null;
    keep();
    press();
    recognised.replaceChildren();
    offer(null);
    email.input.focus();
  }
  there.addEventListener("click", async () => {
    keep();
    const p = providerOf(state.settings);
    if (!p || complain({ email }, isAddress(state.email) ? [] : [["email", t("field.email")]])) return;
    there.disabled = true;
    if (!await leave(p.id, { email: state.email }, "/accounts/new" + query({ email: state.email }))) there.disabled = false;
  });
  function picture(found) {
    const p = providerOf(found), domain = state.email.split("@")[1], meant = slip(found);
    if (meant) return question(meant, domain);
    if (p && fits(found)) return by("good", p, found, h("p", null, signedInAs(state.grant)));
    if (p) return by(locked(p) ? "info" : "good", p, found);
    if (found.source === "autoconfig" || found.source === "srv") return notice("good", t("wizard.found", { domain }));
    return notice("info", null, h("p", null, t(found.source === "guess" ? "wizard.guess" : "wizard.unknown", { domain })));
  }
  /** question asks about a domain that is probably mistyped, before any password. */
  function question(meant, domain) {
    const right = state.email.split("@")[0] + "@" + meant;
    const yes = () => { email.input.value = right; keep(); return look(); };
    const no = () => { state.meant = domain; refresh(); };
    const then = (f) => async () => { await f(); (opened() ? next : email.input).focus(); };
    return notice("warn", t("wizard.meant", { domain: meant }),
      h("p", { class: "actions start" }, h("button", { type: "button", class: "primary", onclick: then(yes) }, t("wizard.meant.yes", { email: right })),
        h("button", { type: "button", onclick: then(no) }, t("wizard.meant.no", { domain }))));
  }
  function refresh() {
    keep();
    recognised.replaceChildren(picture(state.settings));
    offer(state.settings);
  }
  /** by is a notice of the provider: recognised by the address, or chosen by its name, which can be taken back. */
  function by(kind, p, found, ...body) {
    if (found.source !== "chosen") return notice(kind, t("wizard.recognised", { name: p.name }), body);
    const name = tiles.find(([id]) => id === p.id)?.[1] || p.name;
    return notice(kind, t("wizard.chosen", { name }), body,
      h("p", { class: "actions start" }, h("button", { type: "button", class: "link", onclick: another }, t("wizard.chosen.other", { name }))));
  }
  /** another takes the choice back and offers all the providers again. */
  async function another() {
    keep();
    state.chosen = state.asked = state.opened = "";
    state.password = pass.input.value = "";
    press();
    await look();
    offer(state.settings);
    names.querySelector("button").focus();
  }
  const press = () => { for (const b of names.querySelectorAll("button")) b.setAttribute("aria-pressed", String(b.dataset.id === state.chosen)); };
  function choose(id) {
    state.chosen = state.chosen === id ? "" : id;
    press();
    state.asked = "";
    keep();
    if (isAddress(state.email)) look();
    email.input.focus();
  }
  async function recognise() {
    const address = email.input.value.trim();
    if (!isAddress(address)) { state.settings = null; recognised.replaceChildren(); offer(null); return null; }
    if (state.settings && state.asked === address) { if (!recognised.childElementCount) refresh(); return state.settings; }
    stop.abort();
    stop = new AbortController();
    const found = await settle(address, stop.signal);
    state.confirmed = false;
    refresh();
    return found;
  }
  const look = () => { asking = recognise().catch((e) => { if (e.name !== "AbortError") asking = null; return null; }); return asking; };
  email.input.addEventListener("input", () => {
    keep();
    if (state.opened && !opened()) { // A password typed for one address is not sent for another.
      pass.input.value = "";
      state.opened = "";
      keep();
      offer(null);
    }
    clearTimeout(timer);
    timer = setTimeout(look, 300);
  });
  email.input.addEventListener("change", () => { clearTimeout(timer); look(); });
  pass.input.addEventListener("input", keep);
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    keep();
    clearTimeout(timer);
    if (complain({ email }, isAddress(state.email) ? [] : [["email", t(state.email ? "field.email" : "field.required")]])) return;
    const needed = () => !fits(state.settings) && !state.password;
    next.disabled = true;
    trouble.replaceChildren();
    try {
      const was = opened();
      await recognise();
      if (slip(state.settings)) { recognised.querySelector("button").focus(); return; }
      state.opened = state.email;
      refresh();
      if (!was && needed()) { begin(); return; }
      if (next.hidden || !signin.hidden && needed() && pass.el.hidden) { begin(); return; }
      if (!pass.el.hidden && complain({ password: pass }, needed() ? [["password", t("field.required")]] : [])) return;
      turnTo(2);
    } catch (e2) {
      if (e2.name === "AbortError") return;
      if (!complain({ email, password: pass }, problemFields(e2))) {
        const text = explain(e2, true);
        if (text) trouble.replaceChildren(notice("bad", t("error.title"), h("p", null, text)));
        announce(text, true);
      }
    } finally { next.disabled = false; }
  });
  if (state.trouble) { trouble.replaceChildren(state.trouble()); state.trouble = null; }
  if (state.settings && state.asked === state.email) refresh();
  else if (isAddress(state.email)) look();
  /** begin brings the user to what comes next. */
  function begin() {
    if (!state.email || !opened()) email.input.focus();
    else if (!signin.hidden) there.focus();
    else if (!pass.el.hidden) pass.input.focus();
    else if (!next.hidden) next.focus();
    else email.input.focus();
  }
  return {
    el: h("div", null, head(1), form), keep, fields: { email, password: pass }, begin,
    leave() { clearTimeout(timer); stop.abort(); keep(); },
  };
}

/** defaults are the values that step 2 begins with. */
function defaults() {
  const found = state.settings, v = state.values;
  const protocols = Object.keys(found.protocols || {});
  v.protocol = protocols.includes(v.protocol) || (state.touched.protocol && v.protocol) ? v.protocol : protocols[0] || "imap";
  if (!state.touched.server) Object.assign(v, server(found, v.protocol));
  if (!state.touched.username) v.username = found.username || state.email;
  if (!state.touched.name) v.name = letters(found.name);
  if (!state.touched.folder) v.folder = "";
  v.start ||= "all";
  return v;
}

function server(found, protocol) {
  const x = found.protocols?.[protocol];
  return { host: x?.host.replace("{domain}", state.email.split("@")[1]) || "", port: x?.port || usualPort(protocol, "tls"), security: x?.security || "tls" };
}

/** Step 2: names, folder, protocol, start, and the server under a fold. */
function second(turnTo) {
  const v = defaults();
  const found = state.settings, p = providerOf(found);
  const name = field({ name: "name", label: t("form.name"), hint: t("form.name.hint"), value: v.name, autocomplete: "off", maxlength: "100", required: true });
  const sender = field({ name: "sender_name", label: t("form.sender"), hint: t("form.sender.hint"), value: v.sender_name || "", autocomplete: "name", maxlength: "200" });
  const folder = field({ name: "folder", label: t("form.folder"), hint: t("wizard.folder.hint"), value: v.folder, placeholder: state.touched.name ? "" : found.folder, autocomplete: "off", maxlength: "200" });
  const offered = Object.keys(found.protocols || {});
  const both = offered.length !== 1;
  const protocol = radios("protocol", t("form.protocol"), [["imap", t("form.protocol.imap")], ["pop3", t("form.protocol.pop3")]].filter(([k]) => both || offered.includes(k)), v.protocol);
  const start = radios("start", t("form.start"), startOptions(), v.start);
  const adv = advanced({ host: v.host, port: v.port, security: v.security, username: v.username }, v.security === "none", !["guess", "none"].includes(found.source));
  const app = Boolean(p?.auth.includes("app_password") && !p.auth.includes("password"));
  const pass = password({ label: t(app ? "wizard.apppassword" : "wizard.password"), value: state.password, required: true });
  const byGrant = fits(found), whose = h("div", { class: "whose" });
  const trouble = h("div", { class: "trouble-box" });
  const finish = steady(h("button", { class: "primary", type: "submit" }, t("wizard.finish")));
  const back = h("button", { type: "button", onclick: () => { keep(); turnTo(1); } }, t("back"));
  const fields = { name, sender_name: sender, folder, protocol, start, ...adv.fields };
  show(protocol.el, both);
  if (!v.host || found.source === "guess") adv.el.open = true;
  if (state.open) adv.el.open = true;
  const pop3 = h("p", { class: "hint" }, p?.help.pop3);
  const advise = () => show(pop3, Boolean(p?.help.pop3) && (protocol.value || v.protocol) === "pop3");
  advise();
  const form = h("form", { novalidate: true, class: "panel" },
    h("p", { class: "for" }, icon("mail"), h("span", null, state.email), p && h("span", { class: "badge" }, p.name)),
    whose, trouble, name.el, sender.el, folder.el, protocol.el, pop3, start.el, pass.el, adv.el, h("div", { class: "actions" }, back, finish));

  forgetful(form, trouble, fields);
  show(pass.el, false);
  if (state.refused && !byGrant) askAgain();

  /** askAgain has a refused password entered here, beside the user name, which may be what is wrong. */
  function askAgain() {
    state.refused = true;
    fields.password = pass;
    show(pass.el, true);
    adv.el.open = true;
  }
  /** confirm says who signed in at the provider, and when that is somebody
   * else than was typed, has the user choose. It says whether that is open. */
  function confirm() {
    if (!byGrant) return false;
    const open = differs(state.grant, state.email) && !state.confirmed;
    if (!open) { whose.replaceChildren(notice("good", null, h("p", null, signedInAs(state.grant)))); return false; }
    const choose = async (address) => {
      keep();
      if (address === state.email) state.confirmed = true;
      else { state.email = state.opened = address; await settle(address).catch(explain); }
      turnTo(2);
    };
    whose.replaceChildren(notice("warn", t("signin.differs"), h("p", null, t("signin.differs.text", { signed: state.grant.email, email: state.email })),
      h("p", { class: "actions start" },
        h("button", { type: "button", onclick: () => choose(state.grant.email) }, t("signin.use", { email: state.grant.email })),
        h("button", { type: "button", onclick: () => choose(state.email) }, t("signin.keep", { email: state.email })))));
    return true;
  }
  function keep() {
    const f = adv.fields;
    Object.assign(v, {
      name: name.input.value.trim(), sender_name: sender.input.value.trim(), folder: folder.input.value.trim(), protocol: protocol.value || v.protocol, start: start.value,
      host: labels(f["server.host"].input.value.trim()), port: f["server.port"].input.value.trim(), security: f["server.security"].input.value, username: f.username.input.value.trim(),
    });
    if (fields.password) state.password = pass.input.value;
    state.open = adv.el.open;
    save();
  }
  function body() {
    const b = {
      email: state.email, ...(byGrant ? { oauth_grant: state.grant.id, confirm_address: state.confirmed } : { password: state.password }), sender_name: v.sender_name, protocol: v.protocol,
      server: { host: v.host, port: portOf(v.port), security: v.security }, username: v.username,
    };
    if (state.touched.name) b.name = v.name; // What nobody touched is the server's to find.
    if (v.folder) b.folder = v.folder;
    if (found.provider) b.provider = found.provider;
    if (v.start === "new") b.start = "new";
    if (v.start === "days") b.start = { days: 30 };
    return b;
  }
  name.input.addEventListener("input", () => {
    state.touched.name = true;
    folder.input.placeholder = ""; // The server makes it of the name.
  });
  folder.input.addEventListener("input", () => { state.touched.folder = true; });
  adv.fields.username.input.addEventListener("input", () => { state.touched.username = true; });
  for (const k of ["server.host", "server.port"]) adv.fields[k].input.addEventListener("input", () => { state.touched.server = true; });
  adv.fields["server.security"].input.addEventListener("change", () => {
    const port = adv.fields["server.port"].input, kind = adv.fields["server.security"].input.value;
    if ([993, 143, 995, 110].includes(Number(port.value))) port.value = usualPort(protocol.value, kind);
    state.touched.server = true;
  });
  protocol.onchange(() => {
    state.touched.protocol = true;
    advise();
    for (const k of Object.keys(adv.fields)) adv.fields[k].fail("");
    const f = adv.fields, x = server(found, protocol.value);
    if (!state.touched.server) f["server.host"].input.value = letters(x.host);
    if (!state.touched.server || [993, 143, 995, 110].includes(Number(f["server.port"].input.value))) {
      f["server.port"].input.value = state.touched.server ? usualPort(protocol.value, f["server.security"].input.value) : x.port;
    }
    if (!state.touched.server) f["server.security"].input.value = x.security;
  });
  form.addEventListener("input", keep);
  form.addEventListener("change", keep);

  function local() {
    const wrong = [];
    if (!v.name) wrong.push(["name", t("field.required")]);
    if (!v.host) wrong.push(["server.host", t("field.required")]);
    if (!portOf(v.port)) wrong.push(["server.port", t("field.port")]);
    if (!v.username) wrong.push(["username", t("field.required")]);
    return wrong;
  }
  /** lead brings the user to the field concerned, on whichever step it is. A box that would say once what the field
   * says is for what no field bears. */
  function lead(wrong, box, once) {
    if (wrong.some(([f]) => f === "oauth_grant")) { // It is over: the way to the provider's page is on step 1.
      state.grant = null;
      state.opened = state.email;
      state.trouble = () => notice("warn", null, h("p", null, t("signin.gone")));
      turnTo(1);
      return;
    }
    const there = wrong.filter(([f]) => f === "email" || f === "password");
    if (there.length && !wrong.some(([f]) => fields[f])) {
      state.trouble = once ? null : box;
      state.opened = state.email;
      turnTo(1, (s1) => { complain(s1.fields, there); });
      return;
    }
    trouble.replaceChildren(...(box && !once ? [box()] : []));
    if (complain(fields, wrong, adv.el)) return;
    if (once) trouble.replaceChildren(box());
    trouble.scrollIntoView({ block: "nearest" });
  }
  function diagnosed(d, wait) {
    if (d.code === "auth_failed" && !byGrant) askAgain();
    lead(pointedAt(d, known()), () => failure(d, p?.help, wait));
  }
  const known = () => given(p, v.protocol, { host: v.host, port: portOf(v.port) });
  function problem(e) {
    if (e.status === 401) return;
    if (e.body?.diagnosis) { diagnosed(e.body.diagnosis, e.wait); return; }
    const wrong = problemFields(e), text = explain(e, true);
    const box = () => notice("bad", e.code === "account_limit_reached" ? t("wizard.limit.title") : t("error.title"), h("p", null, text),
      e.code === "account_limit_reached" && h("p", null, h("a", { href: "/" }, t("back.list"))));
    lead(wrong, box, true);
    if (!wrong.length) announce(text, true);
  }
  form.addEventListener("submit", async (e) => {
    e.preventDefault();
    keep();
    trouble.replaceChildren();
    unblame(fields);
    if (complain(fields, local(), adv.el)) return;
    if (confirm()) { whose.querySelector("button").focus(); return; }
    if (!byGrant && !state.password) { lead([["password", t("wizard.lost")]]); return; }
    finish.disabled = true;
    try {
      const b = body();
      const result = await test(b, { email: state.email, help: p?.help, protocol: v.protocol, known: known() });
      if (!result.ok && !result.anyway) {
        if (result.problem) problem(result.problem);
        else if (result.diagnosis) diagnosed(result.diagnosis);
        return;
      }
      try {
        const a = await post("/v1/accounts", { ...b, skip_test: true });
        result.close?.();
        forget();
        live.put(a);
        go("/", { id: a.id, text: t("card.new", { name: a.name }) + others(result.report) + warned(result.report) });
      } catch (e2) {
        result.close?.();
        problem(e2);
        if (e2 instanceof Problem && e2.code === "account_limit_reached") live.load().catch(() => {});
      }
    } finally { finish.disabled = false; }
  });
  confirm();
  return {
    el: h("div", null, head(2), form), keep, fields,
    begin() { (whose.querySelector("button") || name.input).focus(); },
    leave: keep,
  };
}
