// Check report.html in headless Chromium: accessibility rules (axe-core) in each form of display,
// the slider by keyboard, the page without JavaScript, and requests to anywhere. Writes screenshots.
//
//   npm install --prefix DIR axe-core puppeteer-core
//   node tests/benchmarks/report_in_browser.mjs DIR REPORT.html PICTURES [CHROMIUM]
//
// A failure is a violation of a rule, a request, an error of the page, a slider that does not move,
// or a detail that is closed in print. The exit code is 1 if there is one.

import { mkdirSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, report, pictures, chromium = "/usr/bin/chromium"] = process.argv.slice(2);
if (!pictures) {
  console.error("usage: node report_in_browser.mjs MODULES REPORT.html PICTURES [CHROMIUM]");
  process.exit(2);
}
const require = createRequire(join(resolve(modules), "package.json"));
const puppeteer = require("puppeteer-core");
const axe = require("axe-core");
const address = pathToFileURL(resolve(report)).href;
mkdirSync(pictures, { recursive: true });

const FORMS = {
  light: { width: 1200 },
  dark: { width: 1200, features: [{ name: "prefers-color-scheme", value: "dark" }] },
  narrow: { width: 320 },
  "narrow-dark": { width: 320, features: [{ name: "prefers-color-scheme", value: "dark" }] },
  print: { width: 800, media: "print" },
  "without-script": { width: 1200, script: false },
};
const failures = [];
const browser = await puppeteer.launch({
  executablePath: chromium,
  headless: true,
  args: ["--no-sandbox", "--force-color-profile=srgb"],
});

async function open(form) {
  const page = await browser.newPage();
  await page.setViewport({ width: form.width, height: 900 });
  page.on("request", (one) => {
    if (!one.url().startsWith("data:") && one.url() !== address) failures.push(`request to ${one.url()}`);
  });
  page.on("pageerror", (fault) => failures.push(`error of the page: ${fault.message}`));
  page.on("console", (one) => {
    if (one.type() === "error") failures.push(`error in the console: ${one.text()}`);
  });
  await page.setJavaScriptEnabled(form.script ?? true);
  if (form.features) await page.emulateMediaFeatures(form.features);
  if (form.media) await page.emulateMediaType(form.media);
  await page.goto(address, { waitUntil: "load" });
  return page;
}

for (const [name, form] of Object.entries(FORMS)) {
  const page = await open(form);
  if (form.media === "print") {
    await page.evaluate(() => dispatchEvent(new Event("beforeprint")));
    if (await page.$("details:not([open])")) failures.push("a detail is closed in print");
  }
  const width = form.script === false ? null : await page.evaluate(() => document.documentElement.scrollWidth);
  if (width !== null && width > form.width) failures.push(`${name}: ${width} px wide`);
  if (form.script !== false) {
    // The policy of the page forbids scripts of others, so the rules run through the debugger.
    await page.evaluate(axe.source);
    for (const opened of [false, true]) {
      if (opened) await page.evaluate(() => document.querySelectorAll("details").forEach((one) => (one.open = true)));
      const result = await page.evaluate(() =>
        axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }),
      );
      for (const one of result.violations)
        failures.push(`${name}: ${one.id} (${one.nodes.length}): ${one.nodes[0].html.slice(0, 200)} ${one.nodes[0].failureSummary}`);
      console.log(`${name}${opened ? ", details open" : ""}: ${result.passes.length} rules pass, ${result.violations.length} violated`);
      if (!opened) await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
    }
  } else {
    await page.screenshot({ path: join(pictures, `${name}.png`), fullPage: true });
  }
  await page.close();
}

const page = await open(FORMS.light);
const sliders = await page.$$("article > .shot .slider input");
for (const slider of sliders.slice(0, 3)) {
  const split = () => slider.evaluate((one) =>
    document.getElementById(one.getAttribute("aria-controls")).style.getPropertyValue("--split"));
  await slider.focus();
  const before = await split();
  await page.keyboard.press("ArrowRight");
  const after = await split();
  await page.keyboard.press("Home");
  const start = await split();
  console.log(`slider by keyboard: ${before} -> ${after} -> ${start}`);
  if (after !== "51%" || start !== "0%") failures.push("the slider does not move by keyboard");
}
for (const box of (await page.$$("article > .shot .toggle")).slice(0, 2)) {
  const shown = () => box.evaluate((one) => {
    const name = [...one.classList].find((kind) => kind.startsWith("toggle-")).slice(7);
    return getComputedStyle(one.parentElement.querySelector(`.layer-${name}`)).display;
  });
  const before = await shown();
  await box.focus();
  await page.keyboard.press("Space");
  if ((await shown()) === before) failures.push("a check box does not change its overlay");
}
writeFileSync(join(pictures, "print.pdf"), await page.pdf({ format: "A4" }));
await browser.close();
for (const failure of failures) console.error(`FAILED ${failure}`);
console.log(`${failures.length} failures`);
process.exit(failures.length ? 1 : 0);
