// A static copy, on a plain file server and under any folder: all but typing and steering works.
import assert from "node:assert/strict";
import { settled } from "./browser.mjs";

export async function walkStatic({ page, complaints }, url) {
  await page.goto(url);
  await settled(page);
  assert.equal(await page.getByRole("link", { name: "Steer" }).count(), 0, "steering is not offered");
  await page.locator(".column .cell").first().click();
  await settled(page);
  assert.match(page.url(), /#\/browse\//);
  await page.locator("tbody th a").first().click();
  await page.locator(".contexts").waitFor();
  assert.ok((await page.locator(".tokens .on").count()) > 0);
  assert.equal(await page.locator("#own-text").count(), 0, "no box for one's own text");
  const said = await page.locator("h1").textContent();
  await page.keyboard.press("/");
  await page.locator("#q").fill(said.match(/\p{L}{3,}/u)?.[0] ?? "the");
  await page.keyboard.press("Enter");
  await page.locator(".hits li, .notice").first().waitFor();
  await page.goBack();
  await page.goBack();
  await settled(page);
  assert.equal(await page.locator("h1").textContent(), said);
  assert.deepEqual(complaints, []);
}
