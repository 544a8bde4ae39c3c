// What the tests run against: the mock, or the program itself over the demo suite, with a static copy that it wrote beside it.
import { execFile, spawn } from "node:child_process";
import { createReadStream, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const MOCK = here("../mock/server.mjs");
const MODEL = here("../../models/organism");
const DICTIONARY = here("../../models/organism-suite/2.res-width1024-lambda0.002");
/** Enough text for every feature of the demo suite that matters, little enough to be read in a minute. */
const WINDOWS = "600";
const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".json": "application/json",
};

/** Starts a process and waits until it says where it listens. */
function started(command, args) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
  return new Promise((ready, failed) => {
    child.on("exit", (code) => failed(new Error(`${command} ${args.join(" ")} ended with ${code}`)));
    child.stdout.on("data", (said) => {
      const url = String(said).match(/http:\/\/[^\s"]+?(?=\/?[\s"])/)?.[0];
      if (url) ready({ base: url, stop: () => child.kill("SIGINT") });
    });
  });
}

export const startMock = () => started(process.execPath, [MOCK, "0"]);

export const startLapidary = (program) =>
  started(program, ["serve", "organism-suite", "--max-windows", WINDOWS, "--port", "0"]);

/**
 * A static copy by the program, under a folder of a plain file server: one dictionary over a short text, since the copy of the
 * whole demo suite has a file for each of 19,456 features.
 */
export async function startCopy(program) {
  const root = mkdtempSync(join(tmpdir(), "lapidary-site-"));
  process.on("exit", () => rmSync(root, { recursive: true, force: true }));
  const run = (...args) => promisify(execFile)(program, args, { maxBuffer: 1 << 26 });
  const lines = (await run("world", "text", "--split", "eval", "--tokens", "6000")).stdout.trim().split("\n");
  writeFileSync(join(root, "text.txt"), lines.map((line) => JSON.parse(line).text).join("<|endoftext|>"));
  const asked = ["--model", MODEL, "--text", join(root, "text.txt"), "--export-site", join(root, "copy")];
  await run("serve", DICTIONARY, ...asked);
  const server = createServer((request, response) => plainFile(root, request, response));
  await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
  const stop = () => server.close();
  return { base: `http://127.0.0.1:${server.address().port}/copy/`, stop };
}

function plainFile(root, request, response) {
  const path = decodeURIComponent(new URL(request.url, "http://copy").pathname);
  const file = join(root, normalize(path.endsWith("/") ? `${path}index.html` : path));
  if (!file.startsWith(root) || !existsSync(file) || !statSync(file).isFile()) return response.writeHead(404).end();
  response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" });
  createReadStream(file).pipe(response);
}
