// Tests what the relay sends with the receivers of others: LiveKit's own in each language, and that of Standard Webhooks.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { Webhook } from 'standardwebhooks';
import { runRoomkey, startRoomkey } from '../browser/roomkey.js';
import { isThere, startReceiver } from './receivers.js';
import { start } from './server.js';

const SECRET = 'a-relay-secret-of-at-least-32-bytes';
const WHSEC = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

const target = (url, more = '') => `
  [[target]]
  name = "app"
  url = "${url}"
  key = "APIrelayApp"
  secret_env = "RELAY_SECRET"
  from = "oldest"
  ${more}
`;

/** Starts a roomkey that relays to this target. */
const relaying = (relay) => startRoomkey({ relay, env: { RELAY_SECRET: SECRET, WHSEC } });

const send = (roomkey, event) => runRoomkey('webhook', 'send', '--url', `${roomkey.url}/webhook`, '--event', event);

for (const language of ['js', 'python', 'go', 'rust']) {
  const skip = !process.env.CI && !isThere(language) && `what the receiver in ${language} needs is not installed`;
  // That in Rust is compiled with all that it needs.
  test(`the guide's receiver in ${language} verifies what is sent`, { skip, timeout: 600_000 }, async (t) => {
    const receiver = await startReceiver(language, SECRET);
    t.after(() => receiver.stop());
    const roomkey = await relaying(target(receiver.url));
    t.after(() => roomkey.stop());
    for (const event of ['room_started', 'participant_joined']) {
      send(roomkey, event);
      assert.equal(await receiver.printed(), `${event} daily`);
    }
    const forged = { method: 'POST', headers: { 'content-type': 'application/webhook+json', authorization: 'x' }, body: '{}' };
    assert.equal((await fetch(receiver.url, forged)).status, 401);
  });
}

test('the library of Standard Webhooks verifies what is sent', { timeout: 60_000 }, async (t) => {
  const requests = [];
  const server = createServer(async (request, response) => {
    const body = Buffer.concat(await request.toArray()).toString();
    requests.push({ headers: request.headers, body });
    response.end();
    server.emit('received');
  });
  const received = once(server, 'received');
  const endpoint = await start(server);
  t.after(() => endpoint.stop());
  const roomkey = await relaying(target(endpoint.url, 'standard_webhooks_secret_env = "WHSEC"'));
  t.after(() => roomkey.stop());
  send(roomkey, 'room_started');
  await received;
  const [{ headers, body }] = requests;
  assert.equal(new Webhook(WHSEC).verify(body, headers).event, 'room_started');
  assert.throws(() => new Webhook(WHSEC).verify(`${body} `, headers));
  assert.equal(headers['webhook-id'], JSON.parse(body).id);
});
