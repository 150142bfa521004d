// driver.mjs DIRECTORY: drives the browser that fetch.sh brought into DIRECTORY. Reads a command as a line of JSON from stdin, answers
// each with a line on stdout, and ends with its stdin.
//
//   {"open": URL, "width": n, "height": n, "scheme": "light"|"dark", "script": bool}
//   {"until": EXPRESSION}     waits until it is true in the page
//   {"value": EXPRESSION}     -> what it is in the page
//   {"press": KEY}            on the keyboard
//   {"type": TEXT}            into what has the focus
//   {"screenshot": FILE}      of the whole page
//   {"report": true}          -> {errors, requests} since the page was opened
import { createRequire } from 'node:module';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

const WITHIN = 20000;
const directory = resolve(process.argv[2]);
const unpacked = join(directory, 'unpacked');
const puppeteer = createRequire(join(directory, 'package.json'))('puppeteer-core');

const browser = await puppeteer.launch({
  executablePath: join(unpacked, 'chromium'),
  // what holds the other end of the pipe may be killed: the browser ends with it
  pipe: true,
  args: ['--no-sandbox', '--headless=shell', '--disable-gpu', '--hide-scrollbars', '--font-render-hinting=none'],
  env: {
    HOME: unpacked,
    PATH: process.env.PATH,
    TMPDIR: unpacked,
    FONTCONFIG_PATH: join(unpacked, 'fonts'),
    ...(existsSync(join(unpacked, 'al2023/lib')) && { LD_LIBRARY_PATH: join(unpacked, 'al2023/lib') }),
  },
});

let page;
let seen;

async function open({ open: address, width, height, scheme, script }) {
  await page?.close();
  page = await browser.newPage();
  seen = { errors: [], requests: [] };
  const report = seen;
  page.on('console', (message) => {
    if (['error', 'warn'].includes(message.type())) report.errors.push(message.text());
  });
  page.on('pageerror', (error) => report.errors.push(String(error)));
  page.on('request', (request) => report.requests.push(request.url()));
  await page.setJavaScriptEnabled(script ?? true);
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: scheme ?? 'light' }]);
  await page.setViewport({ width, height, deviceScaleFactor: width < 500 ? 2 : 1 });
  await page.goto(address, { waitUntil: 'load' });
}

async function obey(command) {
  if (command.open) return open(command);
  if (command.until) return void (await page.waitForFunction(command.until, { timeout: WITHIN, polling: 100 }));
  if (command.value) return page.evaluate(command.value);
  if (command.press) return page.keyboard.press(command.press);
  if (command.type) return page.keyboard.type(command.type);
  if (command.screenshot) return void (await page.screenshot({ path: command.screenshot, fullPage: true }));
  if (command.report) return seen;
  throw new Error(`no such command: ${JSON.stringify(command)}`);
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = { ok: (await obey(JSON.parse(line))) ?? null };
  } catch (error) {
    answer = { error: String(error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await browser.close();
