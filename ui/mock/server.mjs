// A stand-in for `lapidary serve`: the contract's routes over made-up data, and the built app under the same strict Content-Security-Policy.
// node mock/server.mjs [PORT]
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import {
  Refused,
  feature,
  features,
  microscope,
  plots,
  random,
  search,
  searchText,
  similar,
  suite,
} from "./routes.mjs";
import { steer, sweep } from "./stream.mjs";

const dist = fileURLToPath(new URL("../dist", import.meta.url));
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".json": "application/json",
};
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const GET = [
  [/^\/api\/v1\/suite$/, () => suite()],
  [/^\/api\/v1\/features\/([^/]+)$/, (m, query) => features(m[1], query)],
  [/^\/api\/v1\/feature\/([^/]+)\/(\d+)$/, (m) => feature(m[1], m[2])],
  [/^\/api\/v1\/random$/, (_, query) => random(query)],
  [/^\/api\/v1\/search$/, (_, query) => search(query)],
  [/^\/api\/v1\/plots$/, () => plots()],
];
const POST = {
  "/api/v1/activations": microscope,
  "/api/v1/search/text": searchText,
  "/api/v1/search/similar": similar,
};
const STREAM = { "/api/v1/steer": steer, "/api/v1/steer/sweep": sweep };

const json = (response, status, body) => {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
};

async function body(request) {
  let text = "";
  for await (const chunk of request) text += chunk;
  try {
    return JSON.parse(text);
  } catch {
    throw new Refused(400, "the body is not JSON", "send an object");
  }
}

function file(path, response) {
  const asked = join(dist, normalize(path));
  const found =
    asked.startsWith(dist) && existsSync(asked) && statSync(asked).isFile()
      ? asked
      : extname(path)
        ? null
        : join(dist, "index.html");
  if (!found) return json(response, 404, { error: `no file ${path}`, hint: "open the home page" });
  response.writeHead(200, {
    "content-type": TYPES[extname(found)] ?? "application/octet-stream",
    "content-security-policy": POLICY,
  });
  createReadStream(found).pipe(response);
}

async function answer(request, response) {
  const { pathname, searchParams } = new URL(request.url, "http://mock");
  if (request.method === "POST" && STREAM[pathname]) return STREAM[pathname](await body(request), response);
  if (request.method === "POST" && POST[pathname]) return json(response, 200, POST[pathname](await body(request)));
  for (const [pattern, handler] of GET) {
    const match = pathname.match(pattern);
    if (request.method === "GET" && match) return json(response, 200, handler(match, searchParams));
  }
  if (pathname.startsWith("/api/")) throw new Refused(404, `no route ${pathname}`, "see the contract");
  file(decodeURIComponent(pathname), response);
}

const server = createServer((request, response) =>
  answer(request, response).catch((error) => {
    if (!(error instanceof Refused)) console.error(error);
    json(response, error.status ?? 500, { error: error.message, hint: error.hint ?? "see the mock's terminal" });
  }),
);
server.listen(Number(process.argv[2] ?? 4173), "127.0.0.1", () =>
  console.log(`mock at http://127.0.0.1:${server.address().port}`),
);
