// Drives the app as a person would, then takes a picture of every screen.
//   node tests/run.mjs [--server URL] [--pictures DIR] [--static URL]
// Without --server it starts the mock and serves dist/. --static also walks a copy that `serve --export-site` wrote. CHROMIUM names the browser.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { launch, openPage } from "./browser.mjs";
import { STEPS, facts, failures } from "./journey.mjs";
import { takeAll } from "./screens.mjs";
import { walkStatic } from "./static.mjs";

const { values } = parseArgs({
  options: { server: { type: "string" }, pictures: { type: "string" }, static: { type: "string" } },
});

function startMock() {
  const mock = spawn(process.execPath, [fileURLToPath(new URL("../mock/server.mjs", import.meta.url)), "0"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  return new Promise((ready) =>
    mock.stdout.on("data", (line) => ready({ mock, base: String(line).match(/http\S+/)[0] })),
  );
}

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

let failed = 0;
const { mock, base } = values.server ? { mock: null, base: values.server.replace(/\/$/, "") } : await startMock();
const browser = await launch();
try {
  const known = await facts(base);
  for (const [name, run] of Object.entries(STEPS))
    await step(name, async () => {
      const { page, complaints } = await openPage(browser);
      page.on("dialog", (dialog) => {
        complaints.push(`a dialog: ${dialog.message()}`);
        dialog.dismiss();
      });
      const note = await run({ page, browser: page.context(), ...known });
      await page.context().close();
      if (complaints.length) throw new Error(`the console: ${complaints.join("\n")}`);
      return note;
    });
  await step("failures", async () => {
    const { page } = await openPage(browser);
    await failures({ page, base });
  });
  if (values.static) await step("static", async () => walkStatic(await openPage(browser), values.static));
  if (values.pictures)
    await step("pictures", async () => {
      const wrong = await takeAll(browser, known, values.pictures);
      if (wrong.length) throw new Error(wrong.join("\n"));
    });
} finally {
  await browser.close();
  mock?.kill();
}
console.log(failed ? `${failed} FAILED` : "all ok");
process.exit(failed ? 1 : 0);
