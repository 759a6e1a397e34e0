// Operations of real Node SDKs, as calls.py: `node calls.mjs PLACES` writes {results, versions} to standard output.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import OpenAI from "openai";
import { OpenAIRealtimeWebSocket } from "openai/realtime/websocket";
import { Agent, WebSocket, setGlobalDispatcher } from "undici";
import Anthropic from "@anthropic-ai/sdk";
import { embed, generateText, streamText } from "ai";
import { createOpenAI } from "@ai-sdk/openai";
import { createAnthropic } from "@ai-sdk/anthropic";

const at = JSON.parse(process.argv[2]);
globalThis.WebSocket = WebSocket; // Node before 22 has none of its own
setGlobalDispatcher(new Agent({ connect: { ca: readFileSync(at.authority) } }));
const messages = [{ role: "user", content: "Hello" }];
const openai = new OpenAI({ baseURL: at.url + "/v1", apiKey: at.token, maxRetries: 0 });
const overTls = new OpenAI({ baseURL: at.tls + "/v1", apiKey: at.token });
const anthropic = new Anthropic({ baseURL: at.anthropic, apiKey: at.token, maxRetries: 0 });
const vercel = createOpenAI({ baseURL: at.url + "/v1", apiKey: at.token });
const vercelAnthropic = createAnthropic({ baseURL: at.anthropic + "/v1", apiKey: at.token });
const message = { model: "claude-sonnet-5", max_tokens: 9, messages };

function same(got, wanted) {
  if (got !== wanted) throw new Error(`${JSON.stringify(got)} in place of ${JSON.stringify(wanted)}`);
}

async function joined(stream, part) {
  let text = "";
  for await (const one of stream) text += part(one) ?? "";
  return text;
}

const operations = [
  ["openai", "chat", async () =>
    same((await openai.chat.completions.create({ model: "gpt-4o", messages })).choices[0].message.content, "Hello!")],
  ["openai", "chat, streamed", async () => {
    const stream = await openai.chat.completions.create({ model: "gpt-4o", messages, stream: true });
    same(await joined(stream, (chunk) => chunk.choices[0].delta.content), "Hello!");
  }],
  ["openai", "embeddings", async () =>
    same((await openai.embeddings.create({ model: "text-embedding-3-small", input: ["a", "b"] })).data.length, 2)],
  ["openai", "responses and their turns", async () => {
    const first = await openai.responses.create({ model: "gpt-kept", input: "Hello" });
    const second = await openai.responses.create({ model: "gpt-kept", input: "And?", previous_response_id: first.id });
    same(second.previous_response_id, first.id);
  }],
  ["openai", "an upload", async () => {
    const file = new File(["{}"], "a.jsonl");
    const made = await openai.files.create({ file, purpose: "batch" }, { query: { model: "gpt-kept" } });
    same((await openai.files.retrieve(made.id)).id, made.id);
  }],
  ["openai", "realtime, as in a browser", () => new Promise((done, fail) => {
    const session = new OpenAIRealtimeWebSocket({ model: "gpt-realtime" }, overTls);
    session.on("error", fail);
    session.on("session.created", () => session.send({ type: "response.create" }));
    session.on("response.done", (event) => {
      session.close();
      try { done(same(event.response.usage.total_tokens, 30)); } catch (error) { fail(error); }
    });
    setTimeout(fail, 5000, new Error("nothing was said"));
  })],
  ["openai", "an error", async () => {
    const failed = await openai.chat.completions.create({ model: "nothing", messages }).catch((error) => error);
    same(failed instanceof OpenAI.NotFoundError && Boolean(failed.requestID), true);
  }],
  ["@anthropic-ai/sdk", "messages", async () =>
    same((await anthropic.messages.create(message)).content[0].text, "Hello!")],
  ["@anthropic-ai/sdk", "messages, streamed", async () =>
    same((await anthropic.messages.stream(message).finalMessage()).content[0].text, "Hello!")],
  ["@anthropic-ai/sdk", "an error", async () => {
    const failed = await anthropic.messages.create({ ...message, model: "nothing" }).catch((error) => error);
    same(failed instanceof Anthropic.NotFoundError && Boolean(failed.requestID), true);
  }],
  ["ai", "chat", async () =>
    same((await generateText({ model: vercel.chat("gpt-4o"), prompt: "Hello" })).text, "Hello!")],
  ["ai", "chat, streamed", async () =>
    same(await joined(streamText({ model: vercel.chat("gpt-4o"), prompt: "Hello" }).textStream, (part) => part), "Hello!")],
  ["ai", "embeddings", async () => {
    const model = (vercel.textEmbeddingModel ?? vercel.embedding)("text-embedding-3-small");
    same((await embed({ model, value: "a" })).embedding.length, 3);
  }],
  ["ai", "anthropic", async () =>
    same((await generateText({ model: vercelAnthropic("claude-sonnet-5"), prompt: "Hello" })).text, "Hello!")],
];

function version(name) {
  let folder = dirname(createRequire(import.meta.url).resolve(name));
  for (;;) {
    try {
      const found = JSON.parse(readFileSync(join(folder, "package.json")));
      if (found.name === name) return found.version;
    } catch { /* not here */ }
    folder = dirname(folder);
  }
}

const results = [];
const versions = {};
for (const [client, name, call] of operations) {
  const shown = `${client} (Node)`;
  versions[shown] ??= version(client);
  let result = "ok";
  try {
    await call();
  } catch (error) {
    result = `${error.name}: ${error.message}`.slice(0, 300);
  }
  results.push([shown, name, result]);
}
process.stdout.write("\n" + JSON.stringify({ results, versions }) + "\n");
process.exit(0);
