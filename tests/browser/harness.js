// What the tests share: the real roomkey, a web server for pages of another origin, and a real Chromium. Does not know what any
// test expects.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

export * from './roomkey.js';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
const LIVEKIT_CLIENT = fileURLToPath(new URL('node_modules/livekit-client/dist/livekit-client.esm.mjs', import.meta.url));
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
// Without a display, without a sandbox (root cannot have one), and without what Chromium does on the network by itself.
const CHROMIUM_ARGUMENTS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const PAGE = `<!doctype html>
<title>A page of another origin</title>
<link rel="icon" href="data:,">
<script type="module">
  import * as livekit from '/livekit-client.mjs';
  window.livekit = livekit;
</script>`;

/** Starts nginx in front of the server at `upstream`. `statuses` returns the statuses of its answers so far. */
export async function startNginx(upstream) {
  const directory = mkdtempSync(join(tmpdir(), 'nginx-'));
  const port = await freePort();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${directory}/${name};`);
  writeFileSync(join(directory, 'nginx.conf'), `
    daemon off; master_process off; pid ${directory}/pid; error_log stderr error;
    events {}
    http {
      log_format status $status; access_log ${directory}/log status; ${temporary.join(' ')}
      server {
        listen 127.0.0.1:${port};
        location / { proxy_pass ${upstream}; proxy_http_version 1.1; proxy_set_header Connection ""; }
      }
    }`);
  const child = spawn('nginx', ['-p', directory, '-c', join(directory, 'nginx.conf')], { stdio: 'ignore' });
  const ended = new Promise((resolve) => child.once('exit', resolve).once('error', resolve));
  const url = `http://127.0.0.1:${port}`;
  const isUp = () => fetch(url).then(() => true, () => false);
  while (!(await isUp())) {
    if (child.exitCode !== null || child.pid === undefined) throw new Error(`nginx does not run: ${await ended}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const stop = async () => {
    child.kill();
    await ended;
    rmSync(directory, { recursive: true });
  };
  const statuses = () => readFileSync(join(directory, 'log'), 'utf8').split('\n').filter(Boolean).map(Number);
  return { url, statuses, stop };
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** The first block of JavaScript on a page of the guide that contains `part`. */
export function guideScript(page, part) {
  const blocks = readFileSync(join(REPOSITORY, 'src/guide', page), 'utf8').split('```js\n').slice(1);
  return blocks.map((block) => block.split('```')[0]).find((block) => block.includes(part));
}

/** Serves the page at two origins: `localhost` is another one than `127.0.0.1`. */
export async function startPages() {
  const files = { '/': ['text/html', PAGE], '/livekit-client.mjs': ['text/javascript', readFileSync(LIVEKIT_CLIENT)] };
  const server = createServer((request, response) => {
    const [type, content] = files[request.url] ?? ['text/plain', 'not here'];
    response.writeHead(request.url in files ? 200 : 404, { 'content-type': type }).end(content);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  const stop = () => new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  });
  return { origin: `http://127.0.0.1:${port}`, otherOrigin: `http://localhost:${port}`, stop };
}

/** Starts Chromium with a temporary profile. */
export function startBrowser() {
  return chromium.launch({ executablePath: CHROMIUM, args: CHROMIUM_ARGUMENTS });
}

/** Opens the page at `origin`, with livekit-client in `window.livekit`. `requests` collects the POSTs that it sends. */
export async function openPage(browser, origin) {
  const page = await browser.newPage();
  const requests = [];
  page.on('request', (request) => {
    if (request.method() === 'POST') requests.push(request);
  });
  await page.goto(origin);
  await page.waitForFunction(() => window.livekit);
  return { page, requests };
}
