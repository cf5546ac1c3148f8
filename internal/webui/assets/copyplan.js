// Copying a mailbox, step 3: what is copied and what is not, with the names of folders to edit.

import { post } from "./api.js";
import { announce, h, notice, put, say, show, steady } from "./dom.js";
import { complain, field, select } from "./form.js";
import { count, date, folderName, full, language, names, size, span, t } from "./i18n.js";
import { body, choose, draft, save } from "./copydraft.js";
import { head } from "./copysides.js";

/** most is how many folders are shown before somebody asks for the others. */
const most = 100;

/** mount builds the step; failed says where else an error leads, or what to show. */
export function mount(turnTo, failed) {
  const ui = { turnTo, failed, stop: new AbortController(), fields: {}, box: h("div", { class: "stack" }), rows: [] };
  ui.el = h("div", null, head(3, t("copies.plan.lead")), ui.box);
  const made = fingerprint();
  if (draft.plan && draft.planned === made) draw(ui); else look(ui);
  return { el: ui.el, leave: () => { ui.stop.abort(); save(); } };
}

/** fingerprint is of what a plan depends on. */
const fingerprint = () => language() + JSON.stringify(body(),
  (name, value) => (["password", "map"].includes(name) ? undefined : value));

/** look asks for the plan, which may take minutes. */
async function look(ui) {
  const back = h("button", { type: "button", onclick: () => leaveFor(ui, 2) }, t("back"));
  put(ui.box, h("section", { class: "panel" },
    h("p", { role: "status", class: "strong" }, t("copies.plan.looking")), h("progress", {
      "aria-label": t("copies.plan.looking"),
    }), h("p", { class: "hint" }, t("copies.plan.patience")), h("div", { class: "actions" }, back)));
  try {
    draft.plan = await post("/v1/copies/plan", body(), ui.stop.signal);
  } catch (e) {
    if (e.name === "AbortError") return;
    const box = ui.failed(e);
    if (!box) return;
    const again = h("button", { type: "button", class: "primary", onclick: () => look(ui) }, t("again"));
    put(ui.box, box, h("div", { class: "actions" }, back, again));
    announce(box.textContent, true);
    again.focus();
    return;
  }
  const { folders } = draft.plan;
  draft.usual ||= Object.fromEntries(folders.map((f) => [f.source, f.selected]));
  draft.chosen ||= { ...draft.usual };
  draft.planned = fingerprint();
  save();
  draw(ui);
  announce(t("copies.plan.ready"));
  ui.el.querySelector("h1").focus();
}

function leaveFor(ui, step) {
  if (step === 2) draft.asking = false;
  ui.turnTo(step);
}

/** draw shows the plan. */
function draw(ui) {
  const { plan } = draft;
  ui.rows = [];
  ui.sums = { messages: h("dd"), bytes: h("dd"), folders: h("dd") };
  ui.room = h("div", { class: "stack", role: "status" });
  ui.again = h("button", { type: "button", onclick: () => look(ui) }, t("copies.plan.again"));
  ui.stale = h("div", { hidden: true }, notice("info", null, h("p", null, t("copies.plan.stale")),
    h("p", { class: "actions start" }, ui.again)));
  const next = steady(h("button", { type: "submit", class: "primary" }, t("wizard.next")));
  const form = h("form", { novalidate: true },
    summary(ui), ui.room, warnings(plan), folders(ui), tooLarge(plan), options(ui), left(plan), ui.stale,
    h("div", { class: "actions" },
      h("button", { type: "button", onclick: () => leaveFor(ui, 2) }, t("back")), next));
  form.addEventListener("submit", (e) => { e.preventDefault(); submit(ui); });
  put(ui.box, form);
  changed(ui);
}

const panel = (key, ...content) => {
  const id = "plan-" + key;
  return h("section", { class: "panel", "aria-labelledby": id }, h("h2", { id }, t("copies.plan." + key)), content);
};

const fact = (label, value) => h("div", null, h("dt", null, label),
  value.tagName === "DD" ? value : h("dd", null, value));

function summary(ui) {
  const { plan, sides, into } = draft;
  return panel("what",
    h("dl", { class: "evidence" }, fact(t("copies.from"), sides.source.email),
      fact(t("copies.to"), into === "own" ? t("copies.yours") : sides.target.email),
      fact(t("copies.folders"), ui.sums.folders), fact(t("copies.messages"), ui.sums.messages),
      fact(t("copies.size"), ui.sums.bytes), plan.seconds !== null && fact(t("copies.time"), time(plan))));
}

/** time is how long it takes, as far as anybody can tell: never less than is said. */
function time({ seconds, days }) {
  const whole = seconds < 3600 ? seconds : seconds - seconds % 3600;
  return days > 1 ? t("copies.time.days", { n: days }) : t("copies.time.least", { span: span(whole) });
}

/** warnings are what to know before the start, the gravest first. */
function warnings(plan) {
  const { clashes, refused_flags: flags, refused_keywords: keywords, shared } = plan, marks = [...flags, ...keywords];
  return [
    !plan.writable && notice("bad", t("copies.plan.readonly"), h("p", null, t("copies.plan.readonly.advice"))),
    clashes.length > 0 && notice("warn", t("copies.plan.clashes"), h("p", null, t("copies.plan.clashes.advice")),
      h("ul", null, clashes.map((c) => h("li", { class: "folder-name" },
        c.folders.map(folderName).join(", ") + " → " + folderName(c.target))))),
    marks.length > 0 && notice("info", t("copies.plan.marks"), h("p", null, t("copies.plan.marks.advice")),
      h("p", { class: "mono" }, marks.join(" "))),
    shared.length > 0 && notice("info", t("copies.plan.shared", { n: shared.length }),
      h("p", null, t("copies.plan.shared.advice"))),
  ];
}

/** folders is the list of folders, with the name that each gets. */
function folders(ui) {
  const list = [...draft.plan.folders].sort((a, b) =>
    (b.source === "INBOX") - (a.source === "INBOX") || a.source.localeCompare(b.source));
  const ul = h("ul", { class: "mapping" });
  const add = (some) => some.forEach((f) => ul.append(folder(ui, f)));
  const more = h("button", { type: "button", hidden: list.length <= most }, t("copies.plan.all", { n: list.length }));
  more.addEventListener("click", () => {
    add(list.slice(most));
    show(more, false);
    ul.children[most].querySelector("input").focus();
  });
  add(list.slice(0, most));
  return panel("folders", h("p", { class: "hint" }, t("copies.plan.folders.lead")), ul, more);
}

function folder(ui, f) {
  const name = folderName(f.source), box = h("input", { type: "checkbox", checked: draft.chosen[f.source] });
  const target = field({
    name: "map", label: t("copies.plan.name", { name }), value: draft.names[f.source] || f.target, autocomplete: "off",
    maxlength: "1000",
  });
  target.label.className = "unseen";
  target.el.classList.add("folder-name");
  const held = h("small", null, messages(f));
  const about = [
    f.renamed && t("copies.renamed." + f.renamed), f.exists && t("copies.plan.exists"), f.shared && t("copies.shared"),
    f.too_large > 0 && t("copies.plan.large", { n: f.too_large }),
  ].filter(Boolean).join(" · ");
  say(target.hint, about);
  show(target.hint, about);
  box.addEventListener("change", () => {
    choose(draft.plan.folders, draft.chosen, f, box.checked);
    for (const r of ui.rows) r.look();
    changed(ui);
  });
  target.input.addEventListener("input", () => { draft.names[f.source] = target.input.value.trim(); });
  const look = () => { box.checked = Boolean(draft.chosen[f.source]); target.input.disabled = !box.checked; };
  look();
  ui.rows.push({ f, target, look });
  return h("li", null, h("label", { class: "pick" }, box, h("span", { class: "folder-name" }, name, held)), target.el);
}

/** messages is how much is in a folder. */
const messages = ({ messages: n, bytes }) =>
  t("messages", { n }) + (bytes === null ? "" : " · " + size(bytes));

/** tooLarge lists what the new mailbox does not take. */
function tooLarge(plan) {
  const { too_large: list, too_large_count: n, max_bytes: limit } = plan;
  if (!n) return null;
  return panel("toolarge", h("p", null, t("copies.plan.large.text", { n }), " ",
    limit !== null && t("copies.plan.large.limit", { limit: size(limit) })),
  h("p", { class: "hint" }, t("copies.plan.large.advice")),
  h("details", { class: "detail" }, h("summary", null, t("copies.plan.large.show")),
    h("ul", { class: "skipped" }, list.map(large)),
    n > list.length && h("p", { class: "hint" }, t("copies.plan.large.more", { n: n - list.length }))));
}

function large(m) {
  const at = m.date || m.received_at;
  const by = [m.sender, at && h("time", { datetime: at, title: full(at) }, date(at))].filter(Boolean);
  return h("li", null, h("div", null,
    h("p", { class: "strong", dir: "auto" }, m.subject || t("account.skipped.nosubject")),
    by.length > 0 && h("p", { dir: "auto" }, by.flatMap((x, i) => (i ? [", ", x] : [x]))),
    h("p", { class: "hint" }, size(m.size) + ", ", t("account.skipped.in", { folder: folderName(m.folder) }))));
}

/** options are the further settings. */
function options(ui) {
  const o = draft.options, pick = (name, values, now) => select(name, t("copies.option." + name),
    values.map((v) => [v, t("copies.option." + name + "." + v)]), o[name] || now, t("copies.option." + name + ".hint"));
  const day = (name) => field({
    name, label: t("copies.option." + name), type: "date", value: o[name]?.slice(0, 10) || "",
  });
  ui.fields = {
    order: pick("order", ["oldest_first", "newest_first"]),
    verify: pick("verify", ["quick", "sample", "full"], "sample"),
    since: day("since"), before: day("before"),
  };
  const fold = h("details", { class: "advanced" }, h("summary", null, h("span", null, t("copies.options"),
    h("small", null, t("copies.options.hint")))),
  h("div", { class: "grid" }, Object.values(ui.fields).map((f) => f.el)));
  ui.fold = fold;
  for (const [name, f] of Object.entries(ui.fields)) {
    f.input.addEventListener("change", () => {
      const { value } = f.input;
      if (!value) delete o[name]; else o[name] = f.input.type === "date" ? value + "T00:00:00Z" : value;
      changed(ui);
    });
  }
  return fold;
}

/** left says what no copy brings. */
const left = (plan) => plan.not_included.length > 0 && panel("left",
  h("p", { class: "hint" }, t("copies.plan.left.lead")),
  h("ul", { class: "dashed" }, plan.not_included.map((x) => h("li", null, x.text))));

/** changed shows how much is chosen now, and whether it fits. */
function changed(ui) {
  const { plan, chosen } = draft, on = plan.folders.filter((f) => chosen[f.source]);
  const n = on.reduce((sum, f) => sum + f.messages, 0);
  const bytes = on.some((f) => f.bytes === null) ? null : on.reduce((sum, f) => sum + f.bytes, 0);
  say(ui.sums.folders, count(on.length));
  say(ui.sums.messages, count(n));
  say(ui.sums.bytes, bytes === null ? t("copies.unknown") : size(bytes));
  put(ui.room, room(plan.room, bytes, n));
  show(ui.stale, draft.planned !== fingerprint());
}

/** room says whether what is chosen fits. */
function room(r, bytes, n) {
  if (r.fits === "unknown") return notice("info", null, h("p", null, t("copies.room.unknown")));
  const free = r.limit_bytes === null ? null : Math.max(0, r.limit_bytes - (r.used_bytes || 0));
  const places = r.limit_messages === null ? null : Math.max(0, r.limit_messages - (r.used_messages || 0));
  const bad = free !== null && bytes !== null && bytes > free || places !== null && n > places;
  if (!bad && r.fits === "yes") {
    return free === null ? null : notice("good", null, h("p", null, t("copies.room.yes", { free: size(free) })));
  }
  if (!bad) return null;
  return notice("warn", t("copies.room.no"), free !== null && bytes > free
    && h("p", null, t("copies.room.bytes", { free: size(free), needed: size(bytes) })),
  places !== null && n > places && h("p", null, t("copies.room.messages", { free: places, needed: n })),
  h("p", null, t("copies.room.advice")));
}

/** submit continues, unless two folders have one name, or one has none. */
function submit(ui) {
  const taken = new Map(), on = ui.rows.filter((r) => draft.chosen[r.f.source]);
  for (const r of ui.rows) r.target.fail("");
  if (!draft.plan.folders.some((f) => draft.chosen[f.source])) {
    announce(t("copies.plan.none"), true);
    put(ui.room, notice("bad", null, h("p", null, t("copies.plan.none"))));
    ui.room.scrollIntoView({ block: "nearest" });
    return;
  }
  for (const r of on) {
    const name = r.target.input.value.trim(), same = taken.get(name);
    const wrong = !name ? t("field.required") : same ? t("copies.plan.twice", { name: folderName(same) }) : "";
    if (wrong) { complain({ map: r.target }, [["map", wrong]]); return; }
    taken.set(name, r.f.source);
  }
  const { since, before } = draft.options;
  if (since && before && since >= before) {
    complain(ui.fields, [["before", t("copies.option.before.wrong")]], ui.fold);
    return;
  }
  save();
  ui.turnTo(4);
}

/** described is what was chosen, in a few words, for the last step. */
export function described() {
  const { plan, chosen } = draft, on = plan.folders.filter((f) => chosen[f.source]);
  const bytes = on.some((f) => f.bytes === null) ? null : on.reduce((sum, f) => sum + f.bytes, 0);
  const n = on.reduce((sum, f) => sum + f.messages, 0);
  return names([t("folders", { n: on.length }), messages({ messages: n, bytes })]);
}
