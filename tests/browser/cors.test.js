// Tests which pages may read answers, errors above all: other pages learn nothing, not even a status.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openPage, startBrowser, startPages, startRoomkey } from './harness.js';

let browser, pages, open, listed;

before(async () => {
  [browser, pages, open] = await Promise.all([startBrowser(), startPages(), startRoomkey()]);
  listed = await startRoomkey({ env: { CORS_ORIGIN: `https://app.example.com,${pages.origin}` } });
});
after(() => Promise.all([browser?.close(), pages?.stop(), open?.stop(), listed?.stop()]));

// Each wants a preflight, for its Content-Type is no form's.
const CASES = [
  { path: '/token', body: { roomName: 'daily', participantName: 'alice' }, status: 200 },
  { path: '/connection-details', body: {}, status: 200 },
  { path: '/token', body: {}, status: 400, members: ['errorMessage'] },
  { path: '/connection-details', body: { room_name: 1 }, status: 400, members: ['errorMessage', 'error'] },
  { path: '/api/v2/sandbox/connection-details', body: [], status: 400, members: ['errorMessage', 'error'] },
  { path: '/connection-details', body: { room_config: { egress: { room: {} } } }, status: 403, members: ['errorMessage', 'error'] },
  { path: '/token', body: {}, method: 'PUT', status: null }, // no preflight allows it
  { path: '/webhook', body: {}, status: 400, members: ['errorMessage'] },
  { path: '/tokens', body: {}, status: 404, members: ['errorMessage'] },
  { path: '/', body: {}, method: 'PATCH', status: 404, members: ['errorMessage'] },
];

/** The status and the JSON that a page gets to see; null where it may not. */
async function asked(page, url, { path, body, method = 'POST', headers = {} }) {
  return page.evaluate(async ([url, method, body, headers]) => {
    try {
      headers = { 'Content-Type': 'application/json', ...headers };
      const response = await fetch(url, { method, headers, body: body && JSON.stringify(body) });
      return { status: response.status, json: await response.json() };
    } catch (error) {
      return { status: null, error: String(error) };
    }
  }, [url + path, method, body, headers]);
}

async function assertReadable(page, url) {
  for (const each of CASES) {
    const { status, json } = await asked(page, url, each);
    assert.equal(status, each.status, `${each.method ?? 'POST'} ${each.path}`);
    if (each.members) {
      assert.deepEqual(Object.keys(json), each.members);
      assert.equal(typeof json.errorMessage, 'string');
    }
  }
}

test('every page reads everything', async () => {
  for (const origin of [pages.origin, pages.otherOrigin]) {
    const { page } = await openPage(browser, origin);
    await assertReadable(page, open.url);
  }
});

test('pages of a listed origin read everything, others nothing', async () => {
  const { page: ours } = await openPage(browser, pages.origin);
  await assertReadable(ours, listed.url);

  const { page: theirs } = await openPage(browser, pages.otherOrigin);
  for (const each of CASES) {
    const { status, error } = await asked(theirs, listed.url, each);
    assert.deepEqual([status, error], [null, 'TypeError: Failed to fetch'], each.path);
  }
});

test('a page without any preflight reads the error of a wrong path', async () => {
  for (const url of [open.url, listed.url]) {
    const { page } = await openPage(browser, pages.origin);
    const seen = await page.evaluate(async (url) => {
      const response = await fetch(url);
      return [response.status, await response.json()];
    }, `${url}/nowhere`);
    assert.deepEqual(seen, [404, { errorMessage: 'there is nothing at this path' }]);
  }
});

test('a page sends headers of its own to every path', async () => {
  const headers = {
    'x-api-key': 'secret',
    authorization: 'Bearer x',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    baggage: 'tenant=7',
    'x-request-id': 'page-1',
    'X-My_Company.Auth~2': 'y',
  };
  for (const url of [open.url, listed.url]) {
    const { page } = await openPage(browser, pages.origin);
    const token = { path: '/token', body: { roomName: 'daily', participantName: 'alice' }, headers };
    assert.equal((await asked(page, url, token)).status, 200);
    assert.equal((await asked(page, url, { ...token, path: '/token/' })).status, 200);
    const wrong = await asked(page, url, { ...token, path: '/tokn' });
    assert.deepEqual(wrong, { status: 404, json: { errorMessage: 'there is nothing at this path' } });
    const method = await asked(page, url, { path: '/nowhere', method: 'DELETE', headers });
    assert.deepEqual(method, { status: 404, json: { errorMessage: 'there is nothing at this path' } });
    const events = await asked(page, url, { path: '/events', method: 'GET', headers });
    assert.equal(events.status, 401);
  }
});

test('a page without an origin of its own reads everything where all pages may', async () => {
  const { page } = await openPage(browser, pages.origin);
  const status = await page.evaluate((url) => new Promise((resolve) => {
    const frame = document.createElement('iframe');
    frame.sandbox = 'allow-scripts'; // its origin is null, as that of a page from a file
    frame.srcdoc = `<script>
      fetch('${url}/token', { method: 'POST', headers: { 'x-api-key': 'x' }, body: '{}' })
        .then((response) => response.status, String).then((status) => parent.postMessage([origin, status], '*'));
    </script>`;
    addEventListener('message', ({ data }) => resolve(data), { once: true });
    document.body.append(frame);
  }), open.url);
  assert.deepEqual(status, ['null', 415]); // fetch says text/plain
});
