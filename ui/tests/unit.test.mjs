// The parts of the app that are arithmetic or parsing, each against values worked out by hand.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { createServer } from "vite";

globalThis.document = { querySelector: () => null };
const vite = await createServer({
  root: fileURLToPath(new URL("..", import.meta.url)),
  appType: "custom",
  server: { middlewareMode: true, hmr: false, ws: false, watch: null },
  optimizeDeps: { noDiscovery: true },
  logLevel: "error",
});
after(() => vite.close());
const load = (path) => vite.ssrLoadModule(path);

test("events are cut where they end, and the rest waits", async () => {
  const { split } = await load("/src/sse.ts");
  const { events, rest } = split('event: token\ndata: {"text":"a\\n"}\n\n: a comment\n\ndata: 1\r\n\r\nevent: tok');
  assert.deepEqual(events, [
    { event: "token", data: { text: "a\n" } },
    { event: "message", data: 1 },
  ]);
  assert.equal(rest, "event: tok");
});

test("ticks are round and inside", async () => {
  const { linearTicks, logTicks } = await load("/src/charts/scale.ts");
  assert.deepEqual(linearTicks(0, 1, 5), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(linearTicks(-3, 3, 6), [-3, -2, -1, 0, 1, 2, 3]);
  assert.deepEqual(logTicks(1, 100, 6), [1, 3, 10, 30, 100]);
  assert.deepEqual(logTicks(1e-5, 1, 3), [1e-5, 1e-3, 1e-1]);
  assert.ok(logTicks(2.8, 8, 6).length >= 3);
});

test("a logarithmic scale puts the geometric mean in the middle", async () => {
  const { log, linear } = await load("/src/charts/scale.ts");
  assert.ok(Math.abs(log([1, 100], [0, 200])(10) - 100) < 1e-9);
  assert.equal(linear([0, 4], [100, 0])(1), 75);
});

test("a label goes where it covers nothing, or nowhere", async () => {
  const { placeLabels } = await load("/src/charts/labels.ts");
  const at = (x, y) => ({ x, y, text: "2" });
  assert.deepEqual(placeLabels([at(100, 100)]), [{ x: 108, y: 94 }]);
  // The upper right of the first mark is where the second one lies, so its label goes to the upper left.
  assert.deepEqual(placeLabels([at(100, 100), at(112, 92)]), [
    { x: 84.8, y: 94 },
    { x: 120, y: 86 },
  ]);
  // Around one place there is room for two labels on each side, of which the middle one would touch both.
  const alike = placeLabels(Array.from({ length: 6 }, () => at(100, 100)));
  assert.deepEqual(alike.map(Boolean), [true, true, true, true, false, false]);
  assert.equal(new Set(alike.slice(0, 4).map((p) => `${p.x} ${p.y}`)).size, 4);
});

test("numbers have three digits and a real minus", async () => {
  const { number, percent, score, signed, visible } = await load("/src/format.ts");
  assert.equal(number(0.01234), "0.0123");
  assert.equal(number(-0.5), "−0.500");
  assert.equal(number(0.0000046), "4.6e−6");
  assert.equal(number(12345), "12,345");
  assert.equal(number(null), "–");
  assert.equal(score(8, "features"), "8");
  assert.equal(score(8, "features/row"), "8.00");
  assert.equal(percent(0.018), "1.8 %");
  assert.equal(signed(2), "+2.00");
  assert.equal(visible(" a\n"), "·a↵");
});

test("a steering address comes back as it was", async () => {
  const { address, parse } = await load("/src/parts/setup.ts");
  const setup = {
    prompt: "a & b",
    features: [
      { source: "2-res-1k", index: 7, method: "clamp", strength: -1.5 },
      { source: "0-mlp-1k", index: 0, method: "ablate", strength: 0 },
    ],
    positions: "answer",
    max_tokens: 12,
    temperature: 0,
    top_p: 0.9,
    seed: 3,
  };
  assert.deepEqual(parse(new URLSearchParams(address(setup).split("?")[1])), setup);
});

test("a foreign steering address is brought within bounds", async () => {
  const { parse } = await load("/src/parts/setup.ts");
  const setup = parse(new URLSearchParams("f=x&f=a/1/push/3&max_tokens=1e9&temperature=nan&positions=nowhere"));
  assert.deepEqual(setup.features, []);
  assert.equal(setup.max_tokens, 256);
  assert.equal(setup.temperature, 0.5);
  assert.equal(setup.positions, "all");
});

test("what is read off the microscope", async () => {
  const { overText, strengths, valuesOf } = await load("/src/parts/seen.ts");
  const f = (index, value, density) => ({ index, value, density, explanation: null });
  const seen = {
    tokens: ["<bos>", "a", "b"],
    special: [true, false, false],
    sources: [
      { source: "s", site: "0.res", tokens: [[f(9, 50, 0.1)], [f(1, 2, 0.3), f(2, 1, 0.01)], [f(1, 4, 0.3)]] },
      { source: "t", site: "0.mlp", tokens: [[], [f(5, 3, 0.1)], []] },
    ],
  };
  assert.deepEqual(valuesOf(seen, { source: "s", index: 1 }), [0, 2, 4]);
  assert.deepEqual(strengths(seen), [0, 0.75, 0.5]);
  assert.deepEqual(
    overText(seen, "s", "rarity").map((r) => r.index),
    [2, 9, 1],
  );
});

test("a static copy sorts, filters and pages by itself", async () => {
  const { staticGet } = await load("/src/static.ts");
  const row = (index, density, max, explanation) => ({ index, density, max, explanation, top_token: " x", f1: null });
  const files = {
    "api/v1/features/s.json": {
      source: "s",
      total: 3,
      offset: 0,
      features: [row(0, 0.1, 1, "a colour"), row(1, 0.2, 5, null), row(2, 0, 0, "dead")],
    },
    "api/v1/suite.json": { dictionaries: [{ source: "s" }] },
  };
  const read = async (file) => files[file];
  const list = await staticGet("features/s?sort=density&order=desc&alive=true&limit=1&offset=0", read);
  assert.deepEqual([list.total, list.features.map((f) => f.index)], [2, [1]]);
  assert.deepEqual(
    (await staticGet("search?q=Colour", read)).results.map((r) => [r.source, r.index]),
    [["s", 0]],
  );
  assert.equal((await staticGet("search?q=x&kind=token", read)).total, 3);
  const strong = await staticGet("search?q=x&kind=token&sort=max&min_max=0.5", read);
  assert.deepEqual([strong.total, strong.results.map((r) => r.index), strong.note], [2, [1, 0], null]);
  const hidden = await staticGet("search?q=colour&max_density=0.05", read);
  assert.deepEqual([hidden.total, hidden.note], [0, "the filters hide all of the 1 features that were found"]);
  assert.equal((await staticGet("search?q=our", read)).note, "no explanation has these words");
  assert.equal((await staticGet("search?q=%3F", read)).note, "nothing to search for: type letters or digits");
});

test("an outlier does not flatten the shades of the others", async () => {
  const { shades } = await load("/src/parts/column.tsx");
  const values = [1, 2, 4, 8, 16, 32, 64, 128, 256, 1e9];
  const dictionaries = [...values, null].map((x) => ({ scores: { x } }));
  // Between 2 and 256, one being trimmed at each end, 16 lies at log 8 / log 128 = 3/7.
  const higher = dictionaries.map(shades(dictionaries, { key: "x", better: "higher" }));
  assert.deepEqual([higher[0], higher[1], higher[4], higher[8], higher[9], higher[10]], [0, 0, 2, 5, 5, null]);
  assert.equal(shades(dictionaries, { key: "x", better: "lower" })(dictionaries[4]), 3);
});

test("sites stand in the order in which a layer computes them", async () => {
  const { inOrder } = await load("/src/parts/kinds.ts");
  assert.deepEqual(inOrder(["res", "zzz", "mlp", "att", "res"]), ["att", "mlp", "res", "zzz"]);
});
