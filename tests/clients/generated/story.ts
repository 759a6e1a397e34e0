// The whole story by the types that openapi-typescript makes; see story.py.
import createClient from "openapi-fetch";
import { createInterface } from "node:readline";
import type { paths } from "./schema.js";

const [service, token, provider, firstKey, secondKey] = process.argv.slice(2) as [string, string, string, string, string];

function check(holds: unknown, what: string): asserts holds {
  if (!holds) throw new Error(what);
}
const client = createClient<paths>({ baseUrl: service, headers: { Authorization: `Bearer ${token}` } });
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

const made = (
  await client.POST("/api/credentials", {
    body: { name: "Work TS", provider: "openai", api_key: firstKey, base_url: provider },
  })
).data;
check(made?.has_api_key, "made");
const params = { path: { id: made.id } };
check((await client.POST("/api/credentials/{id}/test", { params })).data?.success, "tested");

const found = (await client.POST("/api/credentials/{id}/discover", { params })).data;
const types = ["language", "embedding", "speech_to_text", "text_to_speech"] as const;
const models = (found?.discovered ?? []).flatMap((one) => {
  const type = types.find((each) => each === one.model_type);
  return type ? [{ name: one.name, model_type: type }] : [];
});
const registered = await client.POST("/api/credentials/{id}/register-models", { params, body: { models } });
check(registered.data?.created === models.length, "registered");
await client.POST("/api/models/auto-assign");
check((await client.GET("/api/models/defaults")).data?.default_chat_model, "default");

const lent = (await client.POST("/api/tokens", { body: { name: "app", scopes: ["invoke"] } })).data;
check(lent, "token");
const caller = createClient<paths>({ baseUrl: service, headers: { Authorization: `Bearer ${lent.token}` } });
const call = async () => {
  const body = { model: "default:chat", messages: [{ role: "user", content: "Hello" }] };
  return (await caller.POST("/v1/chat/completions", { body })).response.status;
};
check((await call()) === 200, "called");
await client.PUT("/api/credentials/{id}", { params, body: { api_key: secondKey } });
console.log("rotated");
await lines.next();
check((await call()) === 200, "called after the rotation");
await client.DELETE("/api/tokens/{id}", { params: { path: { id: lent.id } } });
check((await call()) === 401, "revoked");
check((await client.DELETE("/api/credentials/{id}", { params })).data?.deleted.length === models.length, "deleted");
const gone = await client.GET("/api/credentials/{id}", { params });
check(gone.error && "code" in gone.error && gone.error.code === "credential_not_found", "gone");
console.log("done");
process.exit(0);
