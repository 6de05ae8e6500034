// Tests livekit-client's token sources: what they get, and what they keep.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { claimsOf, openPage, startBrowser, startPages, startRoomkey } from './harness.js';

const LIVEKIT_URL = 'wss://livekit.example.com';
const TTL = 3600;
let browser, pages, roomkey;

before(async () => {
  const settings = { env: { LIVEKIT_URL, TOKEN_TTL: `${TTL}s`, SANDBOX_ID: 'mine-1a2b3c,theirs' } };
  [browser, pages, roomkey] = await Promise.all([startBrowser(), startPages(), startRoomkey(settings)]);
});
after(() => Promise.all([browser?.close(), pages?.stop(), roomkey?.stop()]));

/** A page with a token source in `window.source`. */
async function withSource(make, ...parameters) {
  const opened = await openPage(browser, pages.origin);
  const handle = await opened.page.evaluateHandle(make, parameters);
  await opened.page.evaluate((source) => { window.source = source; }, handle);
  const fetched = (options, force) =>
    opened.page.evaluate(([options, force]) => window.source.fetch(options, force), [options, force]);
  return { ...opened, fetched };
}

const endpoint = () =>
  withSource(([url]) => window.livekit.TokenSource.endpoint(url), `${roomkey.url}/connection-details`);
const development = (id, baseUrl) =>
  withSource(([id, baseUrl]) => window.livekit.TokenSource.developmentTokenServer(id, { baseUrl }), id, baseUrl);

test('an endpoint with all options', async () => {
  const { fetched } = await endpoint();
  const response = await fetched({
    roomName: 'daily',
    participantName: 'Alice',
    participantIdentity: 'alice',
    participantMetadata: '{"role":"host"}',
    participantAttributes: { team: 'blue' },
    agentName: 'helper',
    agentMetadata: 'm',
    deployment: 'staging',
  });
  assert.equal(response.serverUrl, LIVEKIT_URL);
  const { iss, sub, name, metadata, attributes, roomConfig, video } = claimsOf(response.participantToken);
  assert.deepEqual([iss, sub, name, metadata], ['devkey', 'alice', 'Alice', '{"role":"host"}']);
  assert.deepEqual(attributes, { team: 'blue' });
  assert.deepEqual(roomConfig, { agents: [{ agentName: 'helper', metadata: 'm', deployment: 'staging' }] });
  assert.deepEqual(video, { room: 'daily', roomJoin: true });
});

test('an endpoint without options, and with empty ones', async () => {
  const { page, fetched } = await endpoint();
  for (const options of [{}, { roomName: '', participantName: '', participantIdentity: '', participantMetadata: '' }]) {
    const claims = claimsOf((await fetched(options)).participantToken);
    assert.match(claims.video.room, /^room-[a-z0-9]{11,}$/);
    assert.match(claims.sub, /^user-[a-z0-9]{11,}$/);
    assert.ok(!('name' in claims) && !('roomConfig' in claims));
  }
  const claims = claimsOf((await fetched({ agentName: '', agentMetadata: '' })).participantToken);
  const payload = await page.evaluate(() => window.source.getCachedResponseJwtPayload());
  assert.equal(payload.sub, claims.sub, 'livekit-client understands its room configuration');
});

test('a development token server', async () => {
  for (const baseUrl of [roomkey.url, `${roomkey.url}/`]) {
    for (const id of ['mine-1a2b3c', 'theirs']) {
      const { fetched, requests } = await development(id, baseUrl);
      const response = await fetched({ roomName: 'daily' });
      assert.equal(response.serverUrl, LIVEKIT_URL);
      assert.equal(claimsOf(response.participantToken).video.room, 'daily');
      assert.equal(requests[0].url(), `${baseUrl}/api/v2/sandbox/connection-details`);
    }
    const { fetched } = await development('nobodys', baseUrl);
    await assert.rejects(fetched({ roomName: 'daily' }), /received 401 \/ .*the X-Sandbox-ID header is missing or wrong/);
  }
});

test('an error that livekit-client tells', async () => {
  const { fetched } = await endpoint();
  await assert.rejects(fetched({ roomName: 'x'.repeat(257) }), (error) => {
    const text = 'room_name must be at most 256 bytes';
    assert.ok(error.message.includes(`received 400 / ${JSON.stringify({ errorMessage: text, error: text })}`), error.message);
    return true;
  });
});

test('a token is kept until 60 seconds before its end', async () => {
  const { page, fetched, requests } = await endpoint();
  const options = { roomName: 'daily', participantIdentity: 'alice' };
  const first = await fetched(options);
  assert.deepEqual([await fetched(options), requests.length], [first, 1]);

  const end = claimsOf(first.participantToken).exp;
  await page.clock.setFixedTime((end - 60) * 1000 - 1);
  assert.deepEqual([await fetched(options), requests.length], [first, 1]);
  await page.clock.setFixedTime((end - 60) * 1000);
  await fetched(options);
  assert.equal(requests.length, 2);
});

test('other options get a token of their own, attributes by reference', async () => {
  const { page, fetched, requests } = await endpoint();
  await fetched({ roomName: 'daily' });
  const response = await fetched({ roomName: 'weekly' });
  assert.deepEqual([claimsOf(response.participantToken).video.room, requests.length], ['weekly', 2]);

  const attributes = async (isSame) => page.evaluate(async (isSame) => {
    const participantAttributes = { team: 'blue' };
    await window.source.fetch({ participantAttributes });
    await window.source.fetch({ participantAttributes: isSame ? participantAttributes : { team: 'blue' } });
  }, isSame);
  await attributes(true);
  assert.equal(requests.length, 3);
  await attributes(false);
  assert.equal(requests.length, 5);
});

test('after a failed fetch for B the next one gives what A got, and force gets a fresh one', async () => {
  const { page, fetched, requests } = await endpoint();
  const a = await fetched({ roomName: 'a' });
  await page.route(`${roomkey.url}/**`, (route) => route.abort());
  await assert.rejects(fetched({ roomName: 'b' }), /Failed to fetch/);
  await page.unroute(`${roomkey.url}/**`);
  assert.deepEqual([await fetched({ roomName: 'b' }), requests.length], [a, 2]);

  const forced = await fetched({ roomName: 'b' }, true);
  assert.deepEqual([claimsOf(forced.participantToken).video.room, requests.length], ['b', 3]);
  const again = await fetched({ roomName: 'b' }, true);
  assert.equal(requests.length, 4);
  assert.deepEqual([await fetched({ roomName: 'b' }), requests.length], [again, 4]);
});
