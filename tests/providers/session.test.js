// Tests a `forward` caller with a real application: each answer that the application can give, the cookies, and the cache.

import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { startRoomkey } from '../browser/roomkey.js';
import { COOKIE, startApplication, whoAmI } from './application.js';
import { askToken, bearer, cookieFetch } from './client.js';
import { customerPolicy } from './policy.js';

const ORIGIN = 'https://shop.example';
const GRANTS = { room: 'support-7', roomJoin: true, canPublish: true, canSubscribe: true, canPublishData: true };

const policy = ({ cache = '1m', authorization = false } = {}) => `
  ${customerPolicy(application, `timeout = "1s"\ncache = "${cache}"\nauthorization = ${authorization}`)}

  [[rule]]
  name = "visitor"
  caller = "anonymous"
  room = "lobby"
  identity = "visitor-{random}"
  allow = ["subscribe"]
`;

let application, roomkey;

before(async () => {
  application = await startApplication();
  roomkey = await startRoomkey({ env: { CORS_ORIGIN: ORIGIN }, policy: policy() });
});
after(() => Promise.all([application?.stop(), roomkey?.stop()]));
afterEach(() => {
  application.answer = whoAmI;
  application.asked.length = 0;
});

/** A browser in which a customer has just signed in: roomkey knows no answer for this session yet. */
async function signedIn(user = 'Ana') {
  const browser = cookieFetch();
  await browser(`${application.url}/login`, { method: 'POST', body: new URLSearchParams({ user }) });
  return browser;
}

const ask = (browser, room, headers = {}) => askToken(roomkey, room, { cookie: browser.cookie(), ...headers });

async function assertCustomer(browser) {
  const { status, claims } = await ask(browser, 'support-7');
  assert.equal(status, 200);
  assert.deepEqual([claims.sub, claims.name, claims.video], ['customer-7', 'Ana', GRANTS]);
}

/** The lobby is open to everybody, the customer's room is not. */
async function assertVisitor(headers, on = roomkey) {
  const { status, claims } = await askToken(on, 'lobby', headers);
  assert.equal(status, 200);
  assert.match(claims.sub, /^visitor-[a-z0-9]{16}$/);
  assert.equal((await askToken(on, 'support-7', headers)).status, 403);
}

test('a customer who signed in opens the own room, and no other', async () => {
  const browser = await signedIn();
  await assertCustomer(browser);
  const other = await ask(browser, 'support-8');
  assert.deepEqual([other.status, other.body], [403, { errorMessage: 'you may not join this room' }]);
});

test('without the cookie, the application is not asked', async () => {
  await assertVisitor({});
  await assertVisitor({ cookie: 'theme=dark' });
  assert.equal(application.asked.length, 0);
});

const NOT_SIGNED_IN = {
  'a redirect to the login page': (_, response) => response.redirect('/login'),
  'a redirect to another page, with JSON': (_, response) => response.status(307).location('/api/me').json({ user: { id: 7 } }),
  '204': (_, response) => response.sendStatus(204),
  '401': (_, response) => response.status(401).json({ error: 'sign in' }),
  'JSON without a subject': (_, response) => response.json({ user: null }),
  'an empty subject': (_, response) => response.json({ user: { id: '' } }),
  'a subject that is a list': (_, response) => response.json({ user: { id: [7] } }),
};
for (const [name, answer] of Object.entries(NOT_SIGNED_IN)) {
  test(`not signed in: ${name}`, async () => {
    const browser = await signedIn();
    application.answer = answer;
    await assertVisitor({ cookie: browser.cookie() });
    assert.ok(application.asked.length > 0);
    assert.ok(application.asked.every(({ path }) => path === '/api/me'), 'no redirect is followed');
  });
}

test('a cookie of no session is not signed in', () => assertVisitor({ cookie: `${COOKIE}=s%3Aforged.signature` }));

test('the application refuses', async () => {
  const browser = await signedIn();
  application.answer = (_, response) => response.status(403).json({ user: { id: 7 } });
  for (const room of ['support-7', 'lobby']) assert.equal((await ask(browser, room)).status, 403);
});

const UNKNOWN = {
  '500': (_, response) => response.status(500).json({ user: { id: 7 } }),
  '404': (_, response) => response.status(404).json({ user: { id: 7 } }),
  'a page': (_, response) => response.send('<p>Hello, Ana</p>'),
  'more than 64 KiB': (_, response) => response.json({ user: { id: 7, name: 'Ana' }, orders: 'x'.repeat(64 * 1024) }),
  'more than 64 KiB without a length': (_, response) => {
    for (let count = 0; count < 9; count += 1) response.write(' '.repeat(8 * 1024));
    response.end(JSON.stringify({ user: { id: 7, name: 'Ana' } }));
  },
  'nothing, then the end': (_, response) => response.socket.destroy(),
  'half of it': (_, response) => {
    response.type('json').setHeader('content-length', 100);
    response.write('{"user":', () => response.socket.destroy());
  },
  'no answer': () => {},
  'a head and no body': (_, response) => response.type('json').flushHeaders(),
};
for (const [name, answer] of Object.entries(UNKNOWN)) {
  test(`unknown, and never anonymous: ${name}`, async () => {
    const browser = await signedIn();
    application.answer = answer;
    const { status, headers, claims } = await ask(browser, 'lobby');
    assert.deepEqual([status, headers.get('retry-after'), claims], [503, '1', undefined]);
    application.answer = whoAmI;
    await assertCustomer(browser); // a failure is not kept
  });
}

test('an application that is down', async () => {
  const browser = await signedIn();
  await application.down();
  const { status, headers } = await ask(browser, 'lobby');
  assert.deepEqual([status, headers.get('retry-after')], [503, '1']);
  await application.up();
  await assertCustomer(browser);
});

test('only the named cookie goes to the application, and no cookie comes back', async () => {
  const browser = await signedIn();
  const session = browser.cookie();
  const cookie = `theme=dark; ${session}; csrf=${COOKIE}`;
  const { status, headers } = await ask(browser, 'support-7', { cookie, 'x-api-key': 'mine' });
  assert.deepEqual([status, headers.get('set-cookie')], [200, null]);
  const [request] = application.asked;
  assert.deepEqual([request.method, request.originalUrl, request.headers.cookie], ['GET', '/api/me', session]);
  assert.deepEqual([request.headers.accept, request.headers.authorization], ['application/json', undefined]);
  assert.equal(request.headers['x-api-key'], undefined);
  assert.equal(request.headers['x-forwarded-for'], '127.0.0.1');
  assert.equal(request.headers['x-forwarded-host'], new URL(roomkey.url).host);
  assert.equal(request.headers['x-forwarded-proto'], 'http');
  assert.ok(request.headers['x-request-id']);
  assert.ok((await browser(`${application.url}/api/me`)).headers.has('set-cookie'), 'the application did set one');
});

test('one answer serves many requests', async () => {
  const browser = await signedIn();
  const burst = () => Promise.all(Array.from({ length: 20 }, () => assertCustomer(browser)));
  await burst();
  await burst();
  assert.equal(application.asked.length, 1);
  const { claims } = await ask(await signedIn('Ben'), 'support-8'); // another session has an answer of its own
  assert.deepEqual([claims.sub, application.asked.length], ['customer-8', 2]);
});

test('the application can forbid to keep its answer', async () => {
  const browser = await signedIn();
  application.answer = (request, response) => whoAmI(request, response.set('cache-control', 'no-store'));
  for (let count = 1; count <= 3; count += 1) {
    await assertCustomer(browser);
    assert.equal(application.asked.length, count);
  }
});

test('a customer who signs out is a visitor as soon as the kept answer ends', async (t) => {
  const brief = await startRoomkey({ policy: policy({ cache: '1s' }) });
  t.after(brief.stop);
  const browser = await signedIn();
  const headers = { cookie: browser.cookie() };
  assert.equal((await askToken(brief, 'support-7', headers)).status, 200);
  await assertCustomer(browser);
  await browser(`${application.url}/logout`, { method: 'POST' });
  await assertCustomer(browser); // for a minute

  let answer;
  for (let tries = 0; answer?.status !== 403 && tries < 100; tries += 1) {
    await setTimeout(100);
    answer = await askToken(brief, 'support-7', headers);
  }
  await assertVisitor(headers, brief);
});

test('Authorization goes to an application that takes it, and what does not hold is never anonymous', async (t) => {
  const keyed = await startRoomkey({ policy: policy({ authorization: true }) });
  t.after(keyed.stop);
  application.answer = ({ headers: { authorization } }, response) => {
    if (authorization === 'Bearer key-of-ana') response.json({ user: { id: 7, name: 'Ana' } });
    else response.redirect('/login');
  };
  const { status, claims } = await askToken(keyed, 'support-7', bearer('key-of-ana'));
  assert.deepEqual([status, claims?.sub], [200, 'customer-7']);
  for (const room of ['support-7', 'lobby']) {
    const refused = await askToken(keyed, room, bearer('key-of-nobody'));
    assert.deepEqual([refused.status, refused.headers.get('www-authenticate')], [401, 'Bearer']);
  }
  // Where the application does not take it, it is not even asked.
  application.asked.length = 0;
  const browser = await signedIn();
  application.asked.length = 0;
  assert.equal((await ask(browser, 'support-7', bearer('key-of-ana'))).status, 401);
  assert.equal(application.asked.length, 0);
});

test('a cookie counts only for pages of listed origins, and of roomkey itself', async (t) => {
  const open = await startRoomkey({ policy: policy() });
  t.after(open.stop);
  const cookie = (await signedIn()).cookie();
  const answered = async (on, headers) => {
    const answer = await askToken(on, 'support-7', { cookie, ...headers });
    return [answer.status, answer.headers.get('access-control-allow-credentials')];
  };
  assert.deepEqual(await answered(roomkey, { origin: ORIGIN }), [200, 'true']);
  assert.deepEqual(await answered(roomkey, { origin: ORIGIN, 'sec-fetch-site': 'cross-site' }), [200, 'true']);
  assert.equal((await answered(roomkey, { origin: roomkey.url }))[0], 200);
  for (const on of [roomkey, open]) {
    for (const origin of ['https://evil.example', `${ORIGIN}.evil.example`, application.url, 'null']) {
      assert.deepEqual(await answered(on, { origin }), [403, null], origin);
      await assertVisitor({ cookie, origin }, on);
      assert.deepEqual(await answered(on, { origin, 'sec-fetch-site': 'cross-site' }), [403, null], origin);
    }
    assert.deepEqual(await answered(on, { 'sec-fetch-site': 'cross-site' }), [403, null]);
    // Not even the lobby: the browser says that another site uses the cookie.
    assert.equal((await askToken(on, 'lobby', { cookie, 'sec-fetch-site': 'cross-site' })).status, 403);
  }
});
