// What the wizard asks for beside a mailbox and its password when it is to be an account: names, a folder, where to
// start.

import { post, Problem } from "./api.js";
import { h, icon } from "./dom.js";
import * as live from "./events.js";
import { dotted, field, others, radios, startOptions, warned } from "./form.js";
import { t } from "./i18n.js";
import { letters } from "./letters.js";
import { go, user } from "./page.js";
import { forget, state, stepper } from "./wizardstate.js";

/** account is the way of adding one; see way in wizardstate.js. */
export const account = {
  kind: "account", path: "/accounts/new", email: "wizard.email", safe: "wizard.safe", locked: "wizard.locked",
  forwards: true,
  protocols: ["imap", "pop3"], protocol: "form.protocol", finish: "wizard.finish", tested: "test.saving",
  anyway: true, head, defaults, fields, listen, wrong, body, done,
};

function head(n) {
  return h("header", { class: "wizard-head" },
    h("p", { class: "crumb" }, h("a", { href: "/" }, icon("back"), t("back.list"))),
    h("h1", { tabindex: "-1" }, t("wizard.title")), stepper("wizard.step", [1, 2], n),
    h("p", { class: "hint" }, t("wizard.into", { user: user() })));
}

function defaults(v, found) {
  if (!state.touched.name) v.name = letters(found.name);
  if (!state.touched.folder) v.folder = "";
  v.start ||= "all";
}

function fields({ v, found }) {
  return {
    name: field({
      name: "name", label: t("form.name"), hint: t("form.name.hint"), value: v.name, autocomplete: "off",
      maxlength: "100", required: true,
    }),
    sender_name: field({
      name: "sender_name", label: t("form.sender"), hint: t("form.sender.hint"), value: v.sender_name || "",
      autocomplete: "name", maxlength: "200",
    }),
    folder: field({
      name: "folder", label: t("form.folder"), hint: t("wizard.folder.hint"), value: v.folder,
      placeholder: state.touched.name ? "" : found.folder, autocomplete: "off", maxlength: "200",
    }),
    start: radios("start", t("form.start"), startOptions(), v.start),
  };
}

function listen({ own: { name, folder } }) {
  dotted(folder);
  name.input.addEventListener("input", () => {
    state.touched.name = true;
    folder.input.placeholder = ""; // The server derives it from the name.
  });
  folder.input.addEventListener("input", () => { state.touched.folder = true; });
}

function wrong(v) {
  return v.name ? [] : [["name", t("field.required")]];
}

function body(v, b) {
  b.sender_name = v.sender_name;
  if (state.touched.name) b.name = v.name; // The server chooses what nobody touched.
  if (v.folder) b.folder = v.folder;
  if (v.start === "new") b.start = "new";
  if (v.start === "days") b.start = { days: 30 };
}

/** done saves the account, whose connection was tested. */
async function done(b, result, failed) {
  try {
    const a = await post("/v1/accounts", { ...b, skip_test: true });
    result.close?.();
    forget();
    live.put(a);
    go("/", { id: a.id, text: t("card.new", { name: a.name }) + others(result.report) + warned(result.report) });
  } catch (e) {
    result.close?.();
    failed(e);
    if (e instanceof Problem && e.code === "account_limit_reached") live.load().catch(() => {});
  }
}
