// Owns the tests of which pages may read answers, errors above all: a page that may not is told nothing, not even a status.

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
];

/** The status and the JSON that a page gets to see; null where it may not. */
async function asked(page, url, { path, body, method = 'POST' }) {
  return page.evaluate(async ([url, method, body]) => {
    try {
      const headers = { 'Content-Type': 'application/json' };
      const response = await fetch(url, { method, headers, body: JSON.stringify(body) });
      return { status: response.status, json: await response.json() };
    } catch (error) {
      return { status: null, error: String(error) };
    }
  }, [url + path, method, body]);
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
