// Runs the guide's script for following, unchanged: behind nginx, while roomkey restarts, while tokens expire, and after events
// were deleted.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { guideScript, openPage, runRoomkey, startBrowser, startNginx, startPages, startRoomkey } from './harness.js';

// roomkey takes a token for a minute longer than it says, because clocks differ.
const LEEWAY = 60;
const PATIENCE = 30_000;
let browser, pages;

before(async () => {
  [browser, pages] = await Promise.all([startBrowser(), startPages()]);
});
after(() => Promise.all([browser?.close(), pages?.stop()]));

function deliver({ url }, identity) {
  runRoomkey('webhook', 'send', '--url', `${url}/webhook`, '--event', 'participant_joined', '--room', 'daily', '--identity', identity);
}

/** A token of the development key that reads everything, and holds for so many seconds. */
function tokenFor(seconds) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const end = Math.floor(Date.now() / 1000) + seconds - LEEWAY;
  const input = `${part({ alg: 'HS256' })}.${part({ iss: 'devkey', exp: end, video: { roomList: true } })}`;
  return `${input}.${createHmac('sha256', 'secret').update(input).digest('base64url')}`;
}

async function eventually(what, isTrue) {
  const end = Date.now() + PATIENCE;
  while (!isTrue()) {
    assert.ok(Date.now() < end, `in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

test('on over a restart behind nginx, the end of a token, and deleted events', async () => {
  const roomkey = await startRoomkey();
  const nginx = await startNginx(roomkey.url);
  try {
    const { page } = await openPage(browser, pages.origin);
    const said = [];
    let lifetime = 600;
    let canMakeTokens = true;
    page.on('console', (message) => {
      if (['log', 'warning'].includes(message.type())) said.push(message.text());
    });
    await page.route('**/events-token', (route) => (canMakeTokens ? route.fulfill({ body: tokenFor(lifetime) }) : route.abort()));
    const answered = (status, times = 1) => eventually(`${times} of ${status}`, () => nginx.statuses().filter((each) => each === status).length >= times);
    const has = (text) => eventually(text, () => said.some((line) => line.includes(text)));

    deliver(roomkey, 'first');
    await page.addScriptTag({ content: guideScript('inbox.md', 'new EventSource').replaceAll('http://localhost:6080', nginx.url) });
    await has('first joined daily');

    await roomkey.restart(() => answered(502));
    deliver(roomkey, 'after the restart');
    await has('after the restart joined');

    // The application may be away, too.
    canMakeTokens = false;
    lifetime = 4;
    const before = nginx.statuses().filter((status) => status === 502).length;
    await roomkey.restart(async () => {
      await answered(502, before + 1);
      await new Promise((resolve) => setTimeout(resolve, 2500));
      canMakeTokens = true;
    });
    await answered(401);
    lifetime = 600;
    deliver(roomkey, 'after the token');
    await has('after the token joined');

    await roomkey.restart(() => ['', '-wal', '-shm'].forEach((end) => rmSync(join(roomkey.directory, `roomkey.db${end}`), { force: true })));
    await has('are deleted, going on after');
    deliver(roomkey, 'after the gap');
    await has('after the gap joined');
    const expected = ['first joined', 'after the restart joined', 'after the token joined', 'the events after', 'after the gap joined'];
    assert.equal(said.length, expected.length, said.join('\n'));
    expected.forEach((begin, index) => assert.ok(said[index].startsWith(begin), said.join('\n')));
  } finally {
    await Promise.all([nginx.stop(), roomkey.stop()]);
  }
});

test('an EventSource of a browser waits for an inbox that cannot be read, and hears of the gap', async () => {
  const roomkey = await startRoomkey({ env: { ROOMKEY_TEST_PANICS: '.' } });
  try {
    const broken = join(roomkey.directory, 'inbox-read');
    writeFileSync(broken, '');
    const { page } = await openPage(browser, pages.origin);
    await page.evaluate((url) => {
      window.source = new EventSource(url);
      window.got = [];
      ['gap', 'participant_joined'].forEach((name) => window.source.addEventListener(name, (event) => {
        window.got.push({ type: event.type, lastEventId: event.lastEventId, data: JSON.parse(event.data) });
      }));
    }, `${roomkey.url}/events?after=0001d2a0b3c40000&access_token=${tokenFor(600)}`);
    await page.waitForFunction(() => window.source.readyState === EventSource.OPEN);
    rmSync(broken);
    deliver(roomkey, 'alice');
    await page.waitForFunction(() => window.got.length === 2);
    const [gap, joined] = await page.evaluate(() => window.got);
    assert.deepEqual([gap.type, gap.data], ['gap', { after: '0001d2a0b3c40000', oldest: gap.lastEventId }]);
    assert.equal(joined.data.participant.identity, 'alice');
    assert.ok(gap.lastEventId < joined.lastEventId);
  } finally {
    await roomkey.stop();
  }
});

test('a page that begins now hears only what comes, under every name', async () => {
  const roomkey = await startRoomkey();
  try {
    deliver(roomkey, 'before');
    const { page } = await openPage(browser, pages.origin);
    await page.evaluate((url) => {
      window.source = new EventSource(url);
      window.got = [];
      window.source.onmessage = ({ data }) => window.got.push(JSON.parse(data).participant.identity);
    }, `${roomkey.url}/events?after=latest&named=false&access_token=${tokenFor(600)}`);
    await page.waitForFunction(() => window.source.readyState === EventSource.OPEN);
    // It is cut before anything came, and misses nothing of what comes until it is back.
    await roomkey.restart();
    deliver(roomkey, 'meanwhile');
    await page.waitForFunction(() => window.got.length === 1);
    deliver(roomkey, 'after');
    await page.waitForFunction(() => window.got.length === 2);
    assert.deepEqual(await page.evaluate(() => window.got), ['meanwhile', 'after']);
  } finally {
    await roomkey.stop();
  }
});
