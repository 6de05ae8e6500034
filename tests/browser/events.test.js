// Tests /events with the EventSource of a page of another origin: past events, new ones, and a restart of the server.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openPage, runRoomkey, startBrowser, startPages, startRoomkey } from './harness.js';

const NAMES = ['room_started', 'participant_joined', 'participant_left', 'room_finished'];
const ALL = ['--list'];
const DAILY = ['--admin', '--room', 'daily'];
let browser, pages, roomkey;

before(async () => {
  [browser, pages, roomkey] = await Promise.all([startBrowser(), startPages(), startRoomkey()]);
});
after(() => Promise.all([browser?.close(), pages?.stop(), roomkey?.stop()]));

/** Delivers an event as LiveKit does; tells its id. */
function deliver(event, room = 'daily', { url } = roomkey) {
  return JSON.parse(runRoomkey('webhook', 'send', '--url', `${url}/webhook`, '--event', event, '--room', room, '--json')).id;
}

/** A page that follows by a token with these grants; what it got is in `window.got`. */
async function follow(grants, { query = '', origin = pages.origin, url = roomkey.url } = {}) {
  const token = runRoomkey('token', 'create', '--token-only', ...grants);
  const { page } = await openPage(browser, origin);
  const resumed = [];
  page.on('request', async (request) => {
    if (request.url().startsWith(`${url}/events`)) resumed.push((await request.allHeaders())['last-event-id']);
  });
  await page.evaluate(([url, names]) => {
    window.got = [];
    window.source = new EventSource(url);
    const keep = ({ type, lastEventId, data }) => window.got.push({ type, cursor: lastEventId, event: JSON.parse(data) });
    names.forEach((name) => window.source.addEventListener(name, keep));
    window.source.addEventListener('message', keep);
  }, [`${url}/events?access_token=${token}${query}`, NAMES]);
  /** What it got, once that is so much. */
  const got = async (count) => {
    await page.waitForFunction((count) => window.got.length >= count, count);
    return page.evaluate(() => window.got);
  };
  /** What it got, once the event `id` is in it; and that event. */
  const gotEvent = async (id) => {
    await page.waitForFunction((id) => window.got.some(({ event }) => event.id === id), id);
    const events = (await got(1)).map(({ event }) => event);
    return { events, event: events.find((event) => event.id === id) };
  };
  return { page, got, gotEvent, resumed };
}

test('what was, what comes, and what comes after restarts, each once and in order', async () => {
  const ids = NAMES.map((name) => deliver(name));
  const followers = [await follow(ALL), await follow(ALL, { origin: pages.otherOrigin })];
  for (const { got } of followers) await got(ids.length);
  for (let round = 0; round < 3; round += 1) {
    ids.push(...NAMES.map((name) => deliver(name)));
    for (const { got } of followers) await got(ids.length);
    await roomkey.restart();
    // Before they are back.
    ids.push(...NAMES.map((name) => deliver(name)));
    for (const { got } of followers) await got(ids.length);
  }
  for (const { got, resumed } of followers) {
    const seen = await got(ids.length);
    assert.deepEqual(seen.map(({ event }) => event.id), ids);
    assert.deepEqual(seen.map(({ type }) => type), ids.map((_, index) => NAMES[index % NAMES.length]));
    const cursors = seen.map(({ cursor }) => cursor);
    assert.deepEqual(cursors, [...new Set(cursors)].sort());
    assert.equal(resumed[0], undefined);
    assert.ok(resumed.length >= 4 && resumed.slice(1).every((cursor) => cursors.includes(cursor)), resumed);
  }
});

test('only the events that are asked for', async () => {
  deliver('room_started', 'asked for');
  const id = deliver('participant_left', 'asked for');
  const { got } = await follow(ALL, { query: '&room=asked+for&event=participant_left&event=room_finished' });
  deliver('participant_joined', 'asked for');
  const last = deliver('room_finished', 'asked for');
  assert.deepEqual((await got(2)).map(({ event }) => event.id), [id, last]);
});

test('who may moderate a room sees that room alone, without its credentials', async () => {
  const stored = deliver('room_started', 'daily');
  deliver('room_started', 'weekly');
  const [moderator, backend] = [await follow(DAILY), await follow(ALL)];
  assert.equal((await moderator.gotEvent(stored)).event.room.turnPassword, '[redacted]');
  assert.match((await backend.gotEvent(stored)).event.room.turnPassword, /^sample-/);

  deliver('room_finished', 'weekly');
  const { events } = await moderator.gotEvent(deliver('room_finished', 'daily'));
  assert.ok(events.every(({ room }) => room.name === 'daily') && !JSON.stringify(events).includes('sample-'));
});

test('a token that grants nothing, and an origin that is not listed', async () => {
  const listed = await startRoomkey({ env: { CORS_ORIGIN: pages.origin } });
  try {
    const id = deliver('room_started', 'daily', listed);
    const refused = async (follower) => {
      await follower.page.waitForFunction(() => window.source.readyState === EventSource.CLOSED);
      assert.deepEqual(await follower.got(0), []);
    };
    await refused(await follow(['--join', '--room', 'daily', '--identity', 'alice']));
    await refused(await follow(ALL, { origin: pages.otherOrigin, url: listed.url }));
    const { got } = await follow(ALL, { url: listed.url });
    assert.equal((await got(1))[0].event.id, id);
  } finally {
    await listed.stop();
  }
});
