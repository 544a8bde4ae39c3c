// Drives the app as a person would, then takes a picture of every screen.
//   node tests/run.mjs [--lapidary PROGRAM | --server URL] [--pictures DIR]
// Without either it starts the mock and serves dist/. With --lapidary the program serves the demo suite, and the static copy
// that it writes is walked through, too. CHROMIUM names the browser.
import { parseArgs } from "node:util";
import { launch, openPage } from "./browser.mjs";
import { STEPS, facts, failures } from "./journey.mjs";
import { takeAll } from "./screens.mjs";
import { startCopy, startLapidary, startMock } from "./servers.mjs";
import { walkStatic } from "./static.mjs";

const options = { lapidary: { type: "string" }, server: { type: "string" }, pictures: { type: "string" } };
const { lapidary, server, pictures } = parseArgs({ options }).values;

let failed = 0;

async function step(name, run) {
  const began = performance.now();
  const word = await run().then(
    (note) => (note ? `skipped, ${note}` : "ok"),
    (error) => {
      failed += 1;
      return `FAILED\n${error.stack}`;
    },
  );
  console.log(
    `${name.padEnd(16)} ${Math.round(performance.now() - began)
      .toString()
      .padStart(6)} ms  ${word}`,
  );
}

/** One step on a page of its own, which must not complain of anything. */
async function walk(browser, run, known) {
  const { page, complaints } = await openPage(browser);
  page.on("dialog", (dialog) => {
    complaints.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  const note = await run({ page, browser: page.context(), ...known });
  await page.context().close();
  if (complaints.length) throw new Error(`the console: ${complaints.join("\n")}`);
  return note;
}

async function copy(browser) {
  const { base, stop } = await startCopy(lapidary);
  await walkStatic(await openPage(browser), base).finally(stop);
}

async function photograph(browser, known) {
  const wrong = await takeAll(browser, known, pictures);
  if (wrong.length) throw new Error(wrong.join("\n"));
}

const given = server ? { base: server.replace(/\/$/, ""), stop: () => {} } : null;
const { base, stop } = given ?? (await (lapidary ? startLapidary(lapidary) : startMock()));
const browser = await launch();
try {
  const known = await facts(base);
  for (const [name, run] of Object.entries(STEPS)) await step(name, () => walk(browser, run, known));
  await step("failures", async () => failures({ page: (await openPage(browser)).page, base }));
  if (lapidary) await step("static copy", () => copy(browser));
  if (pictures) await step("pictures", () => photograph(browser, known));
} finally {
  await browser.close();
  stop();
}
console.log(failed ? `${failed} FAILED` : "all ok");
process.exit(failed ? 1 : 0);
