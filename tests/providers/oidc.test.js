// Tests an `oidc` caller with a real OpenID provider: its tokens, its keys as they change, and its outages.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { startRoomkey } from '../browser/roomkey.js';
import { askToken, bearer } from './client.js';
import { ALGORITHMS, AUDIENCE, startProvider } from './provider.js';

const policy = (issuer) => `
  [callers.school]
  kind = "oidc"
  issuer = "${issuer}"
  audience = "${AUDIENCE}"

  [[rule]]
  name = "teacher"
  caller = "school"
  claims = { role = "teacher" }
  room = "course-{claims.course}"
  identity = "{subject}"
  display = "{claims.name}"
  allow = ["publish", "subscribe", "data", "moderate"]

  [[rule]]
  name = "pupil"
  caller = "school"
  claims = { role = "pupil" }
  room = "course-{claims.course}"
  identity = "{subject}"
  display = "{claims.name}"
  allow = ["subscribe"]
`;
const TEACHER = { roomJoin: true, canPublish: true, canSubscribe: true, canPublishData: true, roomAdmin: true };
const PUPIL = { roomJoin: true, canPublish: false, canSubscribe: true, canPublishData: false };

let provider, roomkey;

before(async () => {
  provider = await startProvider();
  roomkey = await startRoomkey({ policy: policy(provider.issuer) });
});
after(() => Promise.all([provider?.stop(), roomkey?.stop()]));

/** A provider and a roomkey for one test alone. */
async function startBoth(t) {
  const provider = await startProvider();
  t.after(provider.stop);
  const roomkey = await startRoomkey({ policy: policy(provider.issuer) });
  t.after(roomkey.stop);
  // This one waits for the keys.
  const token = await provider.clientToken('RS256');
  assert.equal((await askToken(roomkey, 'course-8', bearer(token))).status, 200);
  return { provider, roomkey };
}

test('a token of a client opens the room of its rule, whatever the algorithm', async () => {
  for (const algorithm of ALGORITHMS) {
    const token = await provider.clientToken(algorithm);
    const { status, claims } = await askToken(roomkey, 'course-8', bearer(token));
    assert.equal(status, 200, algorithm);
    assert.deepEqual([claims.sub, claims.name, claims.video], [algorithm, 'Timetable', { room: 'course-8', ...TEACHER }]);
  }
});

test('people who signed in get what their rule says, and no other room', async () => {
  for (const algorithm of ALGORITHMS) {
    for (const [account, name, grants] of [['ana', 'Ana Díaz', TEACHER], ['ben', 'Ben', PUPIL]]) {
      const credential = bearer((await provider.signIn(algorithm, account)).access_token);
      for (const room of ['course-7', undefined]) {
        const { status, claims } = await askToken(roomkey, room, credential);
        assert.equal(status, 200);
        assert.deepEqual([claims.sub, claims.name, claims.video], [account, name, { room: 'course-7', ...grants }]);
      }
      const other = await askToken(roomkey, 'course-8', credential);
      assert.deepEqual([other.status, other.body], [403, { errorMessage: 'you may not join this room' }]);
    }
  }
});

test('what else the provider gives out is no credential, and one answer says so', async (t) => {
  const { access_token, id_token, refresh_token } = await provider.signIn('RS256', 'ana');
  const stranger = await startProvider();
  t.after(stranger.stop);
  const [header, claims, signature] = access_token.split('.');
  const credentials = {
    'none': {},
    'for another audience': bearer(await provider.clientToken('RS256', 'https://other.example')),
    'for an audience that begins with ours': bearer(await provider.clientToken('RS256', `${AUDIENCE}/admin`)),
    'an ID token': bearer(id_token),
    'a refresh token': bearer(refresh_token),
    'another provider': bearer(await stranger.clientToken('RS256')),
    'the signature of another token': bearer([header, claims, id_token.split('.')[2]].join('.')),
    'without its signature': bearer([header, claims, ''].join('.')),
    'not Bearer': { authorization: `Basic ${signature}` },
  };
  const answers = new Set();
  for (const [name, credential] of Object.entries(credentials)) {
    const { status, headers, body } = await askToken(roomkey, 'course-7', credential);
    assert.deepEqual([status, headers.get('www-authenticate')], [401, 'Bearer'], name);
    answers.add(JSON.stringify(body));
  }
  assert.equal(answers.size, 1);
  assert.equal((await askToken(roomkey, 'course-7', bearer(access_token))).status, 200);
});

test('keys change under load, and no request fails', async (t) => {
  const { provider, roomkey } = await startBoth(t);
  const steps = { 200: provider.publishNewKeys, 400: provider.useNewKeys, 600: provider.retireOldKeys };
  const statuses = {};
  const keys = new Set();
  let sent = 0;
  const client = async () => {
    while (sent < 800) {
      sent += 1;
      steps[sent]?.();
      const token = await provider.clientToken(ALGORITHMS[sent % ALGORITHMS.length]);
      const { status } = await askToken(roomkey, 'course-8', bearer(token));
      statuses[status] = (statuses[status] ?? 0) + 1;
      keys.add(token.split('.')[0]); // the header names the key
    }
  };
  await Promise.all(Array.from({ length: 16 }, client));
  assert.deepEqual(statuses, { 200: 800 });
  assert.equal(keys.size, 2 * ALGORITHMS.length);
});

test('a provider that is down at the start', async (t) => {
  const provider = await startProvider();
  t.after(provider.stop);
  const credential = bearer(await provider.clientToken('ES256'));
  await provider.down();
  const roomkey = await startRoomkey({ policy: policy(provider.issuer) });
  t.after(roomkey.stop);

  let answer = await askToken(roomkey, 'course-8', credential);
  assert.deepEqual([answer.status, answer.headers.get('retry-after')], [503, '5']);
  assert.equal((await fetch(`${roomkey.url}/readyz`)).status, 200, 'roomkey itself is ready');
  assert.equal((await askToken(roomkey, 'course-8')).status, 401, 'without a credential, no key is needed');

  await provider.up();
  for (let tries = 0; answer.status === 503 && tries < 10; tries += 1) {
    await setTimeout(Number(answer.headers.get('retry-after')) * 1000);
    answer = await askToken(roomkey, 'course-8', credential);
  }
  assert.equal(answer.status, 200);
});

test('a provider that goes down later', async (t) => {
  const { provider, roomkey } = await startBoth(t);
  const credentials = await Promise.all(ALGORITHMS.map(async (algorithm) => bearer(await provider.clientToken(algorithm))));
  await provider.down();
  for (const credential of credentials) {
    assert.equal((await askToken(roomkey, 'course-8', credential)).status, 200);
  }
});

test('a provider that hangs delays no token whose key is known', async (t) => {
  const { provider, roomkey } = await startBoth(t);
  const known = bearer(await provider.clientToken('RS256'));
  provider.publishNewKeys();
  provider.useNewKeys();
  const unknown = bearer(await provider.clientToken('RS256'));
  provider.hang();

  const asked = provider.nextRequest();
  let isAnswered = false;
  const late = askToken(roomkey, 'course-8', unknown).finally(() => { isAnswered = true; });
  await Promise.race([asked, late]);
  const answers = await Promise.all(Array.from({ length: 10 }, () => askToken(roomkey, 'course-8', known)));
  assert.ok(answers.every(({ status }) => status === 200));
  assert.ok(!isAnswered, 'the unknown key is still waited for');
  assert.equal((await late).status, 401);
});
