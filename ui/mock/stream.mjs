// Steering in the mock: server-sent events with a pause between tokens, so that the stream can be seen.
import { chance, concept } from "./features.mjs";
import { Refused } from "./routes.mjs";

const PLAIN =
  " The giver wore purple. There lived a wise singer named Carl. If it is March, then two months later it is May. Note: comet pebble acorn.".match(
    /\s?\w+|[^\w\s]/g,
  );
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

function open(response) {
  response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
  let gone = false;
  response.on("close", () => {
    gone = true;
  });
  return {
    gone: () => gone,
    send: (event, data) => response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`),
  };
}

function steered(features, i) {
  const fed = features.flatMap((f) =>
    concept(f.source, f.index) ? [...concept(f.source, f.index).members].map((w) => [w, Math.abs(f.strength)]) : [],
  );
  const push = Math.min(
    0.85,
    fed.reduce((sum, [, s]) => sum + s / 40, 0),
  );
  return fed.length && chance("steer", i, push) < push
    ? ` ${fed[Math.floor(chance("pick", i) * fed.length)][0]}`
    : PLAIN[i % PLAIN.length];
}

export async function steer({ prompt, features = [], max_tokens = 32, seed = 16 }, response) {
  if (!prompt?.trim()) throw new Refused(400, "the prompt is empty", "type how the text begins");
  for (const f of features)
    if (concept(f.source, f.index) === undefined)
      throw new Refused(404, `no feature ${f.source}/${f.index}`, "search for one");
  const { send, gone } = open(response);
  const texts = { default: "", steered: "" };
  for (let i = 0; i < max_tokens && !gone(); i++)
    for (const which of ["default", "steered"]) {
      const text = which === "default" ? PLAIN[i % PLAIN.length] : steered(features, i);
      texts[which] += text;
      send("token", { which, text });
      await sleep(12);
    }
  const flags = features.map((f) => ` --feature ${f.source}/${f.index}:${f.method}:${f.strength}`).join("");
  send("done", {
    default: { text: texts.default },
    steered: { text: texts.steered },
    command: `lapidary steer organism-suite --prompt ${JSON.stringify(prompt)}${flags} --max-tokens ${max_tokens} --seed ${seed}`,
    share: "/steer",
  });
  response.end();
}

export async function sweep({ prompt, feature, strengths = [] }, response) {
  if (!prompt?.trim()) throw new Refused(400, "the prompt is empty", "type how the text begins");
  const { send, gone } = open(response);
  for (const strength of strengths) {
    if (gone()) break;
    await sleep(60);
    const s = strength / 10,
      text = Array.from({ length: 12 }, (_, i) => steered([{ ...feature, strength }], i)).join("");
    send("point", {
      strength,
      effect: 5.2 * Math.tanh(0.7 * s),
      delta_loss: 0.02 + 0.34 * s * s,
      kl: (0.25 * s * s) / (1 + 0.2 * Math.abs(s)),
      text,
    });
  }
  send("done", {
    default: { effect: 0.02, text: PLAIN.slice(0, 12).join("") },
    command: `lapidary steer organism-suite --prompt ${JSON.stringify(prompt)} --feature ${feature.source}/${feature.index}:${feature.method}:0 --sweep=${strengths}`,
  });
  response.end();
}
