// Every screen in light, dark and at phone width: a picture of each for people to look at, and axe-core's verdict.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { PHONE, openPage, settled, violations } from "./browser.mjs";

const TEXT = encodeURIComponent("Dora in purple handed a coat to Ned in blue. The giver wore purple.");

export function screens({ source, feature, dead }) {
  const at = `/f/${source}/${feature.index}`,
    other = feature.neighbours.across[0] ?? feature.neighbours.same[0];
  return {
    home: "/",
    microscope: `/microscope?text=${TEXT}`,
    life: `/microscope?text=${TEXT}&token=3`,
    feature: at,
    ...(dead ? { dead: `/f/${source}/${dead.index}` } : {}),
    ...(other ? { compare: `${at}?compare=${other.source}/${other.index}` } : {}),
    embed: `${at}?embed=true&embedexplanation=true&embedplots=true&embedtest=true`,
    search: "/search?q=the",
    "search-text": `/search?kind=text&q=${TEXT}`,
    empty: "/search?q=zzzz",
    "microscope-first": "/microscope",
    "search-first": "/search",
    "steer-first": "/steer",
    steer: `/steer?prompt=${TEXT}&f=${encodeURIComponent(`${source}/${feature.index}/add/${Number(feature.max.toPrecision(2))}`)}`,
    suite: "/suite",
    browse: `/browse/${source}`,
  };
}

const MODES = {
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  phone: { colorScheme: "light", viewport: PHONE, hasTouch: true },
};

async function picture(browser, known, mode, name, path, folder) {
  const { page, complaints } = await openPage(browser, MODES[mode]);
  await page.goto(known.base + path);
  await settled(page);
  if (name === "steer") {
    await page.locator(".again code").waitFor({ timeout: 60000 });
    await page.getByRole("button", { name: "Sweep" }).click();
    await page.waitForFunction(() => document.querySelectorAll(".swept dt").length === 12, undefined, {
      timeout: 120000,
    });
  }
  await page.screenshot({ path: `${folder}/${name}-${mode}.png`, fullPage: true });
  const found = await violations(page);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  await page.context().close();
  assert.deepEqual(found, [], `${name} in ${mode}: axe-core`);
  assert.deepEqual(complaints, [], `${name} in ${mode}: the console`);
  assert.ok(overflow <= 0, `${name} in ${mode}: ${overflow} pixels too wide`);
}

/** Takes all pictures; answers what was wrong with any. */
export async function takeAll(browser, known, folder) {
  mkdirSync(folder, { recursive: true });
  const wrong = [];
  for (const mode of Object.keys(MODES))
    for (const [name, path] of Object.entries(screens(known)))
      await picture(browser, known, mode, name, path, folder).catch((error) => wrong.push(error.message));
  return wrong;
}
