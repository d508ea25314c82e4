// The community card with many houses and deals, pushed once a second: long tasks, frames and memory, as JSON.
// usage: node cards.mjs CARDS.js SECONDS UNITS DEALS
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
const require = createRequire(`${process.env.BROWSER_MODULES}/`);
const { chromium } = require("playwright-core");
const { default: engine } = await import(require.resolve("@sparticuz/chromium"));
const [file, seconds, units, deals] = process.argv.slice(2);
const own = process.env.CHROMIUM;
const args = own ? ["--no-sandbox", "--disable-gpu", "--enable-precise-memory-info"] : [...engine.args, "--no-sandbox", "--enable-precise-memory-info"];
const browser = await chromium.launch({ executablePath: own || (await engine.executablePath()), headless: true, args });
const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
await page.setContent("<!doctype html><body><style>ha-card{display:block}</style></body>");
await page.addScriptTag({ type: "module", content: readFileSync(file, "utf8") });
const found = await page.evaluate(
  async ([seconds, count, running]) => {
    await customElements.whenDefined("apis-community-card");
    let tell = () => undefined;
    const id = (i) => `E${String(i + 1).padStart(3, "0")}`;
    const snapshot = (tick) => ({
      title: "Many", isAdmin: true, available: true, time: "", mode: "autonomous", gridMaster: "E001", alert: null, acceleration: 1,
      units: Array.from({ length: count }, (_, i) => ({
        unit_id: id(i), name: `House ${i + 1}`, alive: true, state_of_charge_pct: (i * 7 + tick) % 100, converter_mode: "CHARGE", grid_voltage_v: 350,
        is_grid_master: i === 0, is_voltage_reference: i === 1, solar_w: 100 + tick, load_w: 50 + i, wish: null, request_below_pct: 40, totals: {},
      })),
      deals: Array.from({ length: running }, (_, i) => ({
        deal_id: `d${i}`, from: id(i * 2), to: id(i * 2 + 1), amount_wh: 100, exchanged_wh: tick % 100, current_a: 2, point_per_wh: 10, state: "started",
      })),
    });
    const hass = {
      states: {}, language: "en", user: { is_admin: true }, callService: async () => undefined,
      connection: { subscribeMessage: async (callback) => ((tell = callback), async () => undefined) },
      callWS: async ({ type }) => (type === "apis/communities" ? [{ entry_id: "one", title: "Many", loaded: true }] : type === "apis/entities" ? { device_id: null, entities: {}, units: {} } : { value: null }),
    };
    const card = document.createElement("apis-community-card");
    card.setConfig({ type: "custom:apis-community-card" });
    card.hass = hass;
    document.body.append(card);
    await new Promise((done) => setTimeout(done, 200));
    tell({ kind: "snapshot", snapshot: snapshot(0) });
    await new Promise((done) => setTimeout(done, 1000));
    const long = [];
    new PerformanceObserver((list) => long.push(...list.getEntries().map((entry) => entry.duration))).observe({ entryTypes: ["longtask"] });
    let frames = 0;
    let going = true;
    const count_frames = () => {
      frames += 1;
      if (going) requestAnimationFrame(count_frames);
    };
    requestAnimationFrame(count_frames);
    const before = performance.memory?.usedJSHeapSize ?? 0;
    for (let tick = 1; tick <= seconds; tick += 1) {
      tell({ kind: "snapshot", snapshot: snapshot(tick) });
      await new Promise((done) => setTimeout(done, 1000));
    }
    going = false;
    const after = performance.memory?.usedJSHeapSize ?? 0;
    return { longTasks: long.length, longestMs: Math.max(0, ...long), framesPerSecond: frames / seconds, memoryMb: [before / 1e6, after / 1e6], houses: card.renderRoot.querySelectorAll("g.house").length };
  },
  [Number(seconds), Number(units), Number(deals)],
);
await browser.close();
console.log(JSON.stringify(found));
