// Pages of a running Home Assistant, as its first user sees them; prints what was seen as JSON.
// usage: node homeassistant.mjs URL FOLDER [{"name","path","width","height","dark","language"}...]
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
const require = createRequire(`${process.env.BROWSER_MODULES}/`);
const { chromium } = require("playwright-core");
const { default: engine } = await import(require.resolve("@sparticuz/chromium"));
const [url, folder, wanted] = process.argv.slice(2);
const tokens = JSON.parse(readFileSync(`${folder}/tokens.json`, "utf8"));
const own = process.env.CHROMIUM;
const executablePath = own || (await engine.executablePath());
const args = own ? ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"] : [...engine.args, "--no-sandbox"];
const seen = { errors: [], texts: {} };
for (const shot of JSON.parse(wanted)) {
  // The small engine is one process: it does not outlive a context.
  const browser = await chromium.launch({ executablePath, headless: true, args });
  const context = await browser.newContext({
    viewport: { width: shot.width ?? 1280, height: shot.height ?? 900 },
    colorScheme: shot.dark ? "dark" : "light",
    locale: "en-GB",
    timezoneId: "Asia/Tokyo",
    reducedMotion: "reduce",
  });
  await context.addInitScript(
    ([base, token, language]) => {
      const expires = Date.now() + token.expires_in * 1000;
      localStorage.setItem("hassTokens", JSON.stringify({ ...token, hassUrl: base, clientId: `${base}/`, expires }));
      localStorage.setItem("dockedSidebar", '"docked"');
      if (language) localStorage.setItem("selectedLanguage", JSON.stringify(language));
    },
    [url, tokens, shot.language],
  );
  const page = await context.newPage();
  page.on("pageerror", (error) => seen.errors.push(`${shot.name}: ${error.message}`));
  page.on("console", (message) => message.type() === "error" && seen.errors.push(`${shot.name}: ${message.text()}`));
  await page.goto(url + shot.path, { waitUntil: "domcontentloaded" });
  await page.waitForSelector("home-assistant", { state: "attached" });
  await page.waitForFunction(() => {
    const app = document.querySelector("home-assistant");
    return app?.hass?.connected && app.shadowRoot?.querySelector("home-assistant-main");
  });
  await page.waitForTimeout(shot.wait ?? 3500);
  await page.screenshot({ path: `${folder}/${shot.name}.png` });
  seen.texts[shot.name] = await page.evaluate(() => {
    const parts = [];
    const walk = (node) => {
      if (node.nodeType === Node.TEXT_NODE) parts.push(node.textContent.trim());
      if (node.tagName === "STYLE" || node.tagName === "SCRIPT") return;
      for (const child of node.shadowRoot?.childNodes ?? []) walk(child);
      for (const child of node.childNodes ?? []) walk(child);
    };
    walk(document.body);
    return parts.filter(Boolean).join(" ");
  });
  await browser.close();
}
console.log(JSON.stringify(seen));
