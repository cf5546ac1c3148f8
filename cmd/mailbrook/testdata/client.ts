// An integrator's first program: it adds an account, looks at it, changes one
// setting, follows the events and deletes it. It ends with an error when
// anything is not as the document says.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Schemas = components["schemas"];
declare const process: { env: Record<string, string> };
const { BASE, TOKEN, PASSWORD, REMOTE } = process.env;
const headers = { Authorization: `Bearer ${TOKEN}`, "Accept-Language": "pl" };
const api = createClient<paths>({ baseUrl: BASE, headers });

function must(ok: boolean, what: string, seen: unknown): asserts ok {
  if (!ok) throw new Error(`${what}: ${JSON.stringify(seen)}`);
}

/** settings is what an edit may change. */
function settings(a: Schemas["Account"]) {
  const { status, updated_at, ...rest } = a;
  return rest;
}

const body: Schemas["NewAccount"] = {
  email: "jan@poczta.example.test", password: PASSWORD, username: "anna", name: "Stare", folder: "Stare",
  sender_name: "Jan Stary", server: JSON.parse(REMOTE), folders: { exclude: ["Spam"] },
};
// @ts-expect-error A member that does not exist.
const wrong: Schemas["AccountPatch"] = { enabledd: false };
// @ts-expect-error A word that is not one of them.
const worse: Schemas["NewAccount"]["protocol"] = "jmap";
must(wrong !== undefined && worse !== undefined, "never", null);

const refused = await api.POST("/v1/accounts", { body: { ...body, name: "" } });
const problem = refused.error;
must(problem?.code === "validation_failed" && problem.errors?.[0]?.field === "name", "an empty name", problem);

const added = await api.POST("/v1/accounts", { body });
must(added.data !== undefined, "adding", added.error);
const id = added.data.id;
const path = { params: { path: { id } } };

const got = await api.GET("/v1/accounts/{id}", path);
must(got.data?.sender_name === "Jan Stary", "reading", got);
const before = settings(got.data);

const changed = await api.PATCH("/v1/accounts/{id}", { ...path, body: { poll_interval_seconds: 86400 } });
must(changed.data !== undefined, "changing", changed.error);
const want = JSON.stringify({ ...before, poll_interval_seconds: 86400 });
must(JSON.stringify(settings(changed.data)) === want, "changed more", changed.data);

const list = await api.GET("/v1/accounts");
must(list.data?.accounts.length === 1, "listing", list);

const stream = await api.GET("/v1/events", { parseAs: "stream" });
must(stream.response.ok && stream.data !== null && stream.data !== undefined, "following", stream.error);
const reader = (stream.data as unknown as ReadableStream<Uint8Array>).getReader();
const utf8 = new TextDecoder();
let text = "";

/** next is the data of the next event of a name. */
async function next(name: string): Promise<string> {
  for (;;) {
    const end = text.indexOf("\n\n");
    if (end >= 0) {
      const lines = text.slice(0, end).split("\n");
      text = text.slice(end + 2);
      if (lines.includes("event: " + name)) {
        return lines.filter((l) => l.startsWith("data: ")).map((l) => l.slice(6)).join("\n");
      }
      continue;
    }
    const part = await reader.read();
    must(!part.done, "the stream ended before " + name, text);
    text += utf8.decode(part.value, { stream: true });
  }
}

const first: Schemas["Account"] = JSON.parse(await next("account"));
must(first.id === id, "the first event", first);

const deleted = await api.DELETE("/v1/accounts/{id}", path);
must(deleted.response.status === 204, "deleting", deleted.error);
const removed: Schemas["RemovedEvent"] = JSON.parse(await next("removed"));
must(removed.account_id === id, "the removed event", removed);
await reader.cancel();

const gone = await api.GET("/v1/accounts/{id}", path);
must(gone.error?.code === "not_found", "after deleting", gone);
