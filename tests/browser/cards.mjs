// The cards and the dashboard in a running Home Assistant, as its first user uses them; prints what was seen as JSON.
// usage: node cards.mjs URL FOLDER PATH
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
const require = createRequire(`${process.env.BROWSER_MODULES}/`);
const { chromium } = require("playwright-core");
const { default: engine } = await import(require.resolve("@sparticuz/chromium"));
const [url, folder, path] = process.argv.slice(2);
const tokens = JSON.parse(readFileSync(`${folder}/tokens.json`, "utf8"));
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const own = process.env.CHROMIUM;
const executablePath = own || (await engine.executablePath());
const args = own ? ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"] : [...engine.args, "--no-sandbox"];
const seen = { errors: [], axe: [] };
const PHONE = { width: 412, height: 915 };
const DESK = { width: 1280, height: 900 };

async function page(name, { viewport = DESK, dark = false, language } = {}, work) {
  const browser = await chromium.launch({ executablePath, headless: true, args });
  const context = await browser.newContext({ viewport, colorScheme: dark ? "dark" : "light", locale: "en-GB", timezoneId: "Asia/Tokyo", reducedMotion: "reduce", acceptDownloads: true });
  await context.addInitScript(
    ([base, token, language]) => {
      const expires = Date.now() + token.expires_in * 1000;
      localStorage.setItem("hassTokens", JSON.stringify({ ...token, hassUrl: base, clientId: `${base}/`, expires }));
      localStorage.setItem("dockedSidebar", '"auto"');
      if (language) localStorage.setItem("selectedLanguage", JSON.stringify(language));
    },
    [url, tokens, language],
  );
  const page = await context.newPage();
  page.on("pageerror", (error) => seen.errors.push(`${name}: ${error.stack ?? error.message}`));
  page.on("console", (message) => message.type() === "error" && seen.errors.push(`${name}: ${message.text()}`));
  try {
    await work(page);
  } catch (error) {
    await page.screenshot({ path: `${folder}/failed-${name}.png` });
    throw error;
  } finally {
    await browser.close();
  }
}

async function open(page, view, card, nth = 0) {
  await page.goto(`${url}${path}/${view}`, { waitUntil: "domcontentloaded" });
  const found = page.locator(card).nth(nth);
  await found.waitFor({ timeout: 30000 });
  await found.locator("ha-card").first().waitFor();
  await page.waitForTimeout(2500);
  return found;
}

// Only what is ours: the frame around it is Home Assistant's.
async function check(page, name, card) {
  await page.evaluate(axe);
  const found = await page.evaluate(async (selector) => {
    const find = (node) => {
      for (const each of node.querySelectorAll("*")) {
        if (each.matches(selector)) return each;
        const inner = each.shadowRoot && find(each.shadowRoot);
        if (inner) return inner;
      }
      return null;
    };
    const result = await window.axe.run(find(document), { resultTypes: ["violations"] });
    return result.violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target.join(" ")} ${node.failureSummary.slice(0, 200)}`));
  }, card);
  // The day's chart within the card is Home Assistant's own.
  seen.axe.push(...found.filter((text) => !text.includes("history-graph") && !text.includes("state-history")).map((text) => `${name}: ${text}`));
}

for (const [name, more] of [
  ["light", {}],
  ["dark", { dark: true }],
  ["phone", { viewport: PHONE }],
  ["phone-dark", { viewport: PHONE, dark: true }],
  ["japanese", { language: "ja", viewport: PHONE }],
]) {
  await page(name, more, async (page) => {
    const card = await open(page, "overview", "apis-community-card");
    await page.screenshot({ path: `${folder}/overview-${name}.png` });
    seen[`overview-${name}`] = await card.locator("ha-card").innerText();
    await check(page, `overview-${name}`, "apis-community-card");
    await check(page, `deals-${name}`, "apis-deals-card");
  });
}

await page("houses", {}, async (page) => {
  const card = await open(page, "houses", "apis-unit-card");
  await page.screenshot({ path: `${folder}/houses.png` });
  await check(page, "houses", "apis-unit-card");
  // By hand only in the mode for it.
  await card.getByRole("button", { name: "Control by hand" }).click();
  seen.handBefore = await card.locator("dialog").innerText();
  assert.equal(await card.getByRole("button", { name: "Send" }).isDisabled(), true);
  await page.keyboard.press("Escape");
});

await page("houses-phone", { viewport: PHONE, dark: true }, async (page) => {
  await open(page, "houses", "apis-unit-card");
  await page.screenshot({ path: `${folder}/houses-phone.png` });
  await check(page, "houses-phone", "apis-unit-card");
});

await page("scenario", {}, async (page) => {
  const card = await open(page, "scenario", "apis-scenario-card");
  await card.locator("fieldset").first().waitFor();
  await page.waitForTimeout(800);
  await page.screenshot({ path: `${folder}/scenario.png` });
  await check(page, "scenario", "apis-scenario-card");
  seen.preview = await card.locator("p[role=status]").first().innerText();
  // What is wrong is told while it is typed, and cannot be saved.
  await card.getByRole("button", { name: "Add a part of the day" }).click();
  await card.locator("fieldset").nth(1).locator("input[type=time]").first().fill("06:00");
  await card.locator("fieldset").nth(1).locator("input[type=time]").first().dispatchEvent("change");
  await page.waitForTimeout(900);
  seen.wrong = await card.locator("p[role=status]").first().innerText();
  assert.equal(await card.getByRole("button", { name: "Save", exact: true }).isDisabled(), true);
  await card.getByRole("button", { name: "Undo" }).click();
  await card.getByRole("button", { name: "Undo" }).click();
  await page.waitForTimeout(900);
  // Another wish, tried and saved: short no more asks, but gives.
  const limit = card.getByRole("slider", { name: /short: asks to charge/ });
  await limit.fill("2500");
  await limit.dispatchEvent("change");
  await page.waitForTimeout(900);
  await card.getByRole("button", { name: "Save", exact: true }).click();
  await card.getByText("Saved.").waitFor();
  seen.versions = await card.locator("select").last().innerText();
  await page.screenshot({ path: `${folder}/scenario-saved.png` });
});

await page("scenario-phone", { viewport: PHONE }, async (page) => {
  const card = await open(page, "scenario", "apis-scenario-card");
  await card.locator("fieldset").first().waitFor();
  await page.screenshot({ path: `${folder}/scenario-phone.png`, fullPage: true });
});

await page("keyboard", {}, async (page) => {
  const card = await open(page, "overview", "apis-community-card");
  await card.getByRole("button", { name: "Arrange houses" }).focus();
  await page.keyboard.press("Enter");
  const house = card.locator("g.house").first();
  await house.focus();
  const before = await house.getAttribute("transform");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  await page.waitForTimeout(400);
  seen.moved = before !== (await house.getAttribute("transform"));
  const after = await house.getAttribute("transform");
  await card.getByRole("button", { name: "Done" }).focus();
  await page.keyboard.press("Enter");
  await page.reload();
  await page.locator("apis-community-card g.house").first().waitFor({ timeout: 30000 });
  await page.waitForTimeout(2000);
  seen.stays = after === (await page.locator("apis-community-card g.house").first().getAttribute("transform"));
  const again = page.locator("apis-community-card");
  await again.locator("g.house").first().focus();
  await page.keyboard.press("Enter");
  await page.locator("ha-more-info-dialog").waitFor({ state: "attached" });
  await page.waitForTimeout(800);
  await page.keyboard.press("Escape");
  await page.waitForTimeout(500);
  await again.getByRole("button", { name: "Arrange houses" }).click();
  await again.getByRole("button", { name: "Automatic" }).click();
});

await page("deals", {}, async (page) => {
  await open(page, "overview", "apis-community-card");
  const card = page.locator("apis-deals-card");
  await card.locator("tbody tr").first().waitFor({ timeout: 15000 });
  await card.locator("tbody button").first().click();
  await page.waitForTimeout(400);
  seen.detail = await card.locator("dialog").innerText();
  await page.screenshot({ path: `${folder}/deal.png` });
  await page.keyboard.press("Escape");
  const [download] = await Promise.all([page.waitForEvent("download"), card.getByRole("button", { name: "CSV" }).click()]);
  seen.csv = readFileSync(await download.path(), "utf8").split("\r\n")[0];
});

// A deal from its creation to its completion, and a converter by hand.
await page("watched", {}, async (page) => {
  const card = await open(page, "overview", "apis-community-card");
  const act = (domain, service, data, target, answer) =>
    page.evaluate(
      ([domain, service, data, target, answer]) => document.querySelector("home-assistant").hass.callService(domain, service, data, target, false, answer),
      [domain, service, data, target, answer],
    );
  const mode = (option) => act("select", "select_option", { option }, { entity_id: "select.sea_street_mode" });
  const things = await page.evaluate(async () => {
    const { hass } = document.querySelector("home-assistant");
    const [{ entry_id }] = await hass.callWS({ type: "apis/communities" });
    return hass.callWS({ type: "apis/entities", entry_id });
  });
  await mode("heteronomous");
  const { response } = await act("apis", "get_deals", { state: "running" }, undefined, true);
  for (const deal of response.deals) await act("apis", "stop_deal", { deal_id: deal.deal_id });
  await card.getByText("Nobody shares now.").first().waitFor({ timeout: 90000 });
  await act("apis", "create_deal", { device_id: things.units.E003.device_id, partner_device_id: things.units.E004.device_id, amount_wh: 3 });
  await card.locator("path.stream").first().waitFor({ timeout: 30000 });
  await card.getByText("House 3 gives").waitFor({ timeout: 60000 });
  await page.screenshot({ path: `${folder}/deal-runs.png` });
  await card.getByText("Nobody shares now.").first().waitFor({ timeout: 90000 });
  const row = page.locator("apis-deals-card tbody tr").first();
  await row.getByText("Completed").waitFor({ timeout: 20000 });
  seen.completed = await row.innerText();

  await mode("manual");
  const house = await open(page, "houses", "apis-unit-card", 1);
  await house.getByRole("button", { name: "Control by hand" }).click();
  await house.locator("select[name=mode]").selectOption("voltage_reference");
  await house.locator("input[name=voltage]").fill("350");
  await page.screenshot({ path: `${folder}/hand.png` });
  await check(page, "hand", "apis-unit-card");
  await house.getByRole("button", { name: "Send" }).click();
  await house.getByText("holds the line", { exact: false }).first().waitFor({ timeout: 30000 });
  seen.byHand = await house.locator("p.note").first().innerText();
  await act("apis", "control_converter", { device_id: things.units.E002.device_id, mode: "wait" });
  await mode("autonomous");
});

for (const view of ["history", "commissioning"]) {
  await page(view, {}, async (page) => {
    await page.goto(`${url}${path}/${view}`, { waitUntil: "domcontentloaded" });
    await page.waitForTimeout(6000);
    await page.screenshot({ path: `${folder}/${view}.png` });
  });
}
console.log(JSON.stringify(seen));
