// What a person does, step by step, on a running server; each step is a promise that the app keeps. Nothing here depends on which suite is served.
import assert from "node:assert/strict";
import { DESK, PHONE, settled } from "./browser.mjs";

const SENTENCE = "The giver wore purple. <script>alert(1)</script>";
const api = async (base, path) => (await fetch(`${base}/api/v1/${path}`)).json();
const pathOf = (page) => new URL(page.url()).pathname;
const queryOf = (page) => new URL(page.url()).searchParams;

/** What the steps need to know of the suite: a dictionary, a living feature of it with its page, a dead one. */
export async function facts(base) {
  const { dictionaries } = await api(base, "suite");
  const { source } = dictionaries.find((d) => d.kind === "res" && d.layer > 0) ?? dictionaries[0];
  const living = (await api(base, `features/${source}?alive=true&sort=density&order=desc&limit=50`)).features;
  const chosen = living.find((f) => f.explanation && f.density < 0.1) ?? living[0];
  const feature = await api(base, `feature/${source}/${chosen.index}`);
  const dead =
    (await api(base, `features/${source}?sort=max&order=asc&limit=1`)).features.find((f) => f.max === 0) ?? null;
  return { base, dictionaries, source, feature, dead };
}

const open = async (page, base, path) => {
  await page.goto(base + path);
  await settled(page);
};

async function home({ page, base, dictionaries }) {
  await open(page, base, "/");
  assert.equal(await page.locator(".column .cell").count(), dictionaries.length, "every dictionary has a cell");
  const shown = () => page.locator(".column .cell").allTextContents();
  const before = await shown();
  const select = page.getByLabel("shaded by");
  const chosen = await select.evaluate((list) => list.selectedIndex);
  await select.selectOption({ index: chosen === 0 ? 1 : 0 });
  assert.notDeepEqual(await shown(), before, "another score shows other numbers");
  assert.ok((await page.locator(".chart a.mark").count()) > 0, "the Pareto plot has points");
  await labelsApart(page);
  await page.locator(".column .cell").first().click();
  await settled(page);
  assert.match(pathOf(page), /^\/browse\//, "a cell opens its dictionary");
}

/** The labels of the plots, at both widths. */
async function labelsApart(page) {
  for (const size of [PHONE, DESK]) {
    await page.setViewportSize(size);
    await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
    const boxes = await page
      .locator(".chart .mark text")
      .evaluateAll((all) => all.map((t) => t.getBoundingClientRect().toJSON()));
    assert.ok(boxes.length > 0, "some marks are labelled");
    const covers = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
    assert.deepEqual(
      boxes.filter((a, i) => boxes.some((b, j) => j < i && covers(a, b))),
      [],
      `no label covers another at ${size.width} pixels`,
    );
  }
}

async function browse({ page, base, source }) {
  await open(page, base, `/browse/${source}`);
  await page.getByLabel("sort by").selectOption("max");
  await settled(page);
  const strongest = await page.locator("tbody td:nth-child(5)").allTextContents();
  const values = strongest.map((t) => Number(t.replaceAll(",", "")));
  assert.deepEqual(
    values,
    [...values].sort((a, b) => b - a),
    "sorted by the strongest activation",
  );
  await page.locator("tbody th a").first().click();
  await settled(page);
  assert.match(pathOf(page), /^\/f\//);
  await page.goBack();
  await settled(page);
  assert.equal(queryOf(page).get("sort"), "max", "back to the same list");
}

async function readFeature({ page, base, source, feature }) {
  await open(page, base, `/f/${source}/${feature.index}`);
  assert.ok((await page.locator("h1").textContent()).length > 0);
  assert.equal(
    await page.locator(".context-list").first().locator("li").count(),
    Math.min(8, feature.contexts.top.length),
    "the top contexts are there",
  );
  assert.ok((await page.locator(".tokens .peak").count()) > 0, "the peak is marked");
  for (const view of ["Stacked", "Full"]) await page.getByText(view, { exact: true }).click();
  assert.equal(await page.locator(".effects li").count(), feature.logits.top.length + feature.logits.bottom.length);
  const { tokens } = feature.contexts.top[0];
  await page.locator("#own-text").fill(
    tokens
      .filter((t) => !/^<.*>$/.test(t))
      .join("")
      .slice(0, 300),
  );
  await page.locator(".own-text .result .on").first().waitFor();
  await page.locator("h1").click();
  await page.keyboard.press("j");
  await page.waitForURL((url) => url.pathname === `/f/${source}/${feature.next}`);
  await page.goBack();
  await settled(page);
  assert.equal(pathOf(page), `/f/${source}/${feature.index}`);
}

async function compare({ page, base, source, feature }) {
  const other = feature.neighbours.across[0] ?? feature.neighbours.same[0];
  await open(page, base, `/f/${source}/${feature.index}`);
  await page.getByRole("button", { name: "Compare…" }).click();
  await page.locator("#compare").fill(`${other.source}/${other.index}`);
  await page.keyboard.press("Enter");
  await settled(page);
  assert.equal(queryOf(page).get("compare"), `${other.source}/${other.index}`);
  assert.equal(await page.locator(".compare article").count(), 2);
}

async function deadFeature({ page, base, source, dead }) {
  if (!dead) return "no feature of this dictionary is dead";
  await open(page, base, `/f/${source}/${dead.index}`);
  assert.match(await page.locator(".notice").first().textContent(), /dead/);
}

async function searchWords({ page, base, feature }) {
  const word = feature.explanations[0]?.text.match(/\p{L}{3,}/gu)?.at(-1);
  if (!word) return "no explanation to search for";
  await open(page, base, "/");
  await page.keyboard.press("/");
  await page.locator("#q").waitFor();
  await page.keyboard.type(word);
  await page.keyboard.press("Enter");
  await page.locator(".hits li").first().waitFor();
  assert.equal(queryOf(page).get("q"), word, "the question is in the address");
  const first = await page.locator(".hits .feature-link").first().textContent();
  await page.reload();
  await settled(page);
  assert.equal(
    await page.locator(".hits .feature-link").first().textContent(),
    first,
    "the address gives the same list again",
  );
  await page.locator(".hits .feature-link").first().click();
  await settled(page);
  assert.match(pathOf(page), /^\/f\//);
  await page.goBack();
  await settled(page);
  assert.equal(await page.locator(".hits .feature-link").first().textContent(), first);
}

/** By the greatest activation, within bounds; and what is said where nothing is found. */
async function searchFiltered({ page, base, feature }) {
  const word = feature.explanations[0]?.text.match(/\p{L}{3,}/gu)?.at(-1);
  if (!word) return "no explanation to search for";
  await open(page, base, `/search?q=${encodeURIComponent(word)}`);
  const total = await page.locator("[role=status]").first().textContent();
  await page.getByLabel("sort by").selectOption("max");
  await settled(page);
  assert.equal(queryOf(page).get("sort"), "max");
  const tips = (tip) => page.locator(`.hits [data-tip="${tip}"]`).allTextContents();
  const maxima = (await tips("strongest activation")).map((text) => Number(text.replace(",", "")));
  assert.deepEqual(
    maxima,
    maxima.toSorted((a, b) => b - a),
    "the strongest first",
  );
  assert.equal(await page.locator("[role=status]").first().textContent(), total);
  await page.getByLabel("score at least").fill("1.5");
  await page.keyboard.press("Enter");
  await page.locator(".notice").waitFor();
  assert.match(await page.locator(".notice").textContent(), /^The filters hide all of the \d+ features/);
  for (const [query, said] of [
    ["zyzzyva", /^No explanation .*has these words\./],
    ["?!", /^Nothing to search for: type letters or digits\./],
  ]) {
    await open(page, base, `/search?q=${encodeURIComponent(query)}`);
    assert.match(await page.locator(".notice").first().textContent(), said);
    assert.equal(await page.locator("[role=alert]").count(), 0);
  }
}

async function searchOtherwise({ page, base, source, feature }) {
  await open(page, base, `/search?kind=text&q=${encodeURIComponent("The giver wore purple.")}`);
  assert.ok((await page.locator(".hits li").count()) > 0, "a text finds features");
  await page.locator(".strip button").nth(2).click();
  await page.waitForURL((url) => url.searchParams.get("token") === "2");
  await open(page, base, `/search?kind=similar&q=${encodeURIComponent(`${source}/${feature.index}`)}`);
  assert.ok((await page.locator(".hits li").count()) > 0, "a direction finds its like");
  const token = feature.contexts.top[0].tokens[feature.contexts.top[0].peak].trim();
  await open(page, base, `/search?kind=token&q=${encodeURIComponent(token)}`);
  assert.ok((await page.locator(".hits li").count()) > 0, `the token ${token} finds features`);
}

async function microscope({ page, base }) {
  await open(page, base, "/microscope");
  await page.locator("#text").fill(SENTENCE);
  await page.locator(".strip button").first().waitFor();
  await settled(page);
  assert.equal(queryOf(page).get("text"), SENTENCE, "the text is in the address");
  const strip = page.locator(".strip button:not(.special)");
  const tokens = await strip.allTextContents();
  // A vocabulary of words has none for the markup: such tokens are shown as empty.
  const known = tokens.includes("∅") ? SENTENCE.split("<")[0].trim() : SENTENCE;
  assert.ok(tokens.join("").startsWith(known), `the tokens are the text: ${tokens}`);
  await strip.nth(1).hover();
  await page.locator(".life .layer").first().waitFor();
  await strip.nth(1).focus();
  await page.keyboard.press("Enter");
  await page.waitForURL((url) => url.searchParams.has("token"));
  const locked = Number(queryOf(page).get("token"));
  await page.keyboard.press("ArrowRight");
  await page.waitForURL((url) => url.searchParams.get("token") === String(locked + 1));
  await page.keyboard.press("Escape");
  await page.waitForURL((url) => !url.searchParams.has("token"));
  await page.getByText("rarity", { exact: true }).click();
  await page.waitForURL((url) => url.searchParams.get("rank") === "rarity");
  await page.getByLabel("hide features denser than").selectOption("0.01");
  await settled(page);
}

async function steer({ page, base, source, feature, browser }) {
  await open(page, base, "/steer");
  await page.locator("#prompt").fill("The giver");
  await page.locator("#add").fill(`${source}/${feature.index}`);
  await page.locator(".options button").first().click();
  await page.evaluate(() => {
    const pane = document.querySelectorAll(".pane .text")[1];
    globalThis.lengths = [];
    new MutationObserver(() => globalThis.lengths.push(pane.textContent.length)).observe(pane, {
      childList: true,
      characterData: true,
      subtree: true,
    });
  });
  await page.getByRole("button", { name: "Continue the text" }).click();
  await page.locator(".again code").waitFor({ timeout: 60000 });
  const lengths = await page.evaluate(() => globalThis.lengths);
  assert.ok(new Set(lengths).size > 3, `the text grows as it comes: ${lengths}`);
  const panes = await page.locator(".pane .text").allTextContents();
  assert.equal(panes.length, 2);
  assert.ok(panes[1].startsWith("The giver") && panes[1].length > 12);
  const second = await browser.newPage();
  await second.goto(page.url());
  await second.locator(".again code").waitFor({ timeout: 60000 });
  assert.deepEqual(
    await second.locator(".pane .text").allTextContents(),
    panes,
    "the shared address writes the same text",
  );
  await second.close();
  await page.getByRole("button", { name: "Sweep" }).click();
  await page.waitForFunction(() => document.querySelectorAll(".swept dt").length === 12, undefined, {
    timeout: 120000,
  });
  await page.locator(".intervention .feature-link").click();
  await settled(page);
  await page.goBack();
  await settled(page);
  assert.equal(await page.locator("#prompt").inputValue(), "The giver", "back to the same settings");
}

async function suitePage({ page, base, dictionaries }) {
  await open(page, base, "/suite");
  assert.equal(await page.locator("tbody tr").count(), dictionaries.length);
  const l0 = page.getByRole("button", { name: "L0", exact: true });
  await l0.click();
  const column = await page.locator("thead th").evaluateAll((heads) => heads.findIndex((h) => h.textContent === "L0"));
  const values = (await page.locator(`tbody tr > :nth-child(${column + 1})`).allTextContents())
    .filter((t) => t !== "–")
    .map((t) => Number(t.replaceAll(",", "")));
  assert.deepEqual(
    values,
    [...values].sort((a, b) => a - b),
    "sorted by L0",
  );
}

async function theme({ page, base }) {
  await open(page, base, "/");
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const before = await ground();
  await page.keyboard.press("t");
  const after = await ground();
  assert.notEqual(after, before);
  await page.reload();
  await settled(page);
  assert.equal(await ground(), after, "the choice is kept");
  await page.keyboard.press("t");
}

async function embedded({ page, base, source, feature }) {
  await open(
    page,
    base,
    `/${feature.model}/${source}/${feature.index}?embed=true&embedexplanation=true&embedplots=true&embedtest=true&height=300`,
  );
  assert.equal(await page.locator("header.top").count(), 0, "no bar on top");
  assert.ok((await page.locator(".embedded .chart").count()) > 0, "plots");
  await open(
    page,
    base,
    `/f/${source}/${feature.index}?embed=true&embedexplanation=false&embedplots=false&embedtest=false`,
  );
  assert.equal(await page.locator(".embedded .chart, .embedded textarea, .embedded .explanations").count(), 0);
}

async function keysOnly({ page, base }) {
  await open(page, base, "/");
  await page.keyboard.press("Tab");
  assert.match(await page.evaluate(() => document.activeElement.textContent), /to the content/);
  await page.keyboard.press("Shift+?");
  assert.ok(await page.locator("dialog[open]").isVisible());
  await page.keyboard.press("Escape");
  await page.keyboard.press("r");
  await page.waitForURL((url) => url.pathname.startsWith("/f/"));
}

export const STEPS = {
  home,
  browse,
  readFeature,
  compare,
  deadFeature,
  searchWords,
  searchFiltered,
  searchOtherwise,
  microscope,
  steer,
  suitePage,
  theme,
  embedded,
  keysOnly,
};

/** A wrong address and a missing feature are answered in words; the browser itself complains of the 404. */
export async function failures({ page, base }) {
  await open(page, base, "/nowhere");
  assert.match(await page.locator("main").textContent(), /Nothing is at/);
  await page.goto(`${base}/f/no-such-source/7`);
  await page.getByRole("alert").waitFor();
}
