// Tests /token as the JavaScript client of OpenVidu's LiveKit tutorials uses it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { claimsOf, openPage, startBrowser, startPages, startRoomkey } from './harness.js';

let browser, pages, roomkey;

before(async () => {
  [browser, pages, roomkey] = await Promise.all([startBrowser(), startPages(), startRoomkey()]);
});
after(() => Promise.all([browser?.close(), pages?.stop(), roomkey?.stop()]));

/** What the tutorial's page does, to the letter. */
async function getToken([APPLICATION_SERVER_URL, roomName, participantName]) {
  const response = await fetch(APPLICATION_SERVER_URL + 'token', {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json'
    },
    body: JSON.stringify({
      roomName,
      participantName
    })
  });

  if (!response.ok) {
    const error = await response.json();
    throw new Error(`Failed to get token: ${error.errorMessage}`);
  }

  const token = await response.json();
  return token.token;
}

test('a token to join the room', async () => {
  const { page } = await openPage(browser, pages.origin);
  const claims = claimsOf(await page.evaluate(getToken, [`${roomkey.url}/`, 'Test Room', 'Participant7']));
  assert.deepEqual([claims.sub, claims.name], ['Participant7', 'Participant7']);
  assert.deepEqual(claims.video, { room: 'Test Room', roomJoin: true });
});

test('an error that the page shows', async () => {
  const { page } = await openPage(browser, pages.origin);
  const asked = (...names) => page.evaluate(getToken, [`${roomkey.url}/`, ...names]);
  await assert.rejects(asked('', 'Participant7'), /Failed to get token: roomName must not be empty/);
  await assert.rejects(asked('Test Room'), /Failed to get token: participantName is required/);
  await assert.rejects(asked('Test Room', 'x'.repeat(257)), /Failed to get token: participantName must be at most 256 bytes/);
});
