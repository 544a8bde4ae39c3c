// Writes a static copy of the mock, as `lapidary serve --export-site` does: the app with the answers beside it as files.
// node mock/export.mjs DIR
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { FEATURES, sources } from "./features.mjs";
import { feature, features, plots, suite } from "./routes.mjs";

const folder = process.argv[2];
const write = (path, data) => {
  const file = join(folder, "api/v1", `${path}.json`);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, JSON.stringify(data));
};

cpSync(fileURLToPath(new URL("../dist", import.meta.url)), folder, { recursive: true });
const index = join(folder, "index.html");
writeFileSync(
  index,
  readFileSync(index, "utf8")
    .replace("<head>", '<head><meta name="lapidary-static" content="true">')
    .replaceAll('="/', '="./'),
);
write("suite", suite());
write("plots", plots());
for (const source of sources) {
  write(`features/${source}`, features(source, new URLSearchParams({ limit: String(FEATURES) })));
  for (let i = 0; i < FEATURES; i++) write(`feature/${source}/${i}`, feature(source, i));
}
