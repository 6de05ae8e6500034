// Tests livekit-client with the cookie of an application's session: pages of a listed origin use it, others cannot.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startApplication } from '../providers/application.js';
import { customerPolicy } from '../providers/policy.js';
import { claimsOf, openPage, startBrowser, startPages, startRoomkey } from './harness.js';

let browser, application, pages, otherPages, roomkey;

before(async () => {
  [browser, application, pages, otherPages] = await Promise.all([startBrowser(), startApplication(), startPages(), startPages()]);
  roomkey = await startRoomkey({ env: { CORS_ORIGIN: pages.origin }, policy: customerPolicy(application) });
});
after(() => Promise.all([browser?.close(), application?.stop(), pages?.stop(), otherPages?.stop(), roomkey?.stop()]));

/** Signs Ana in at the application, if asked to, and opens the page at `origin` beside it. */
async function openBeside(origin, { isSignedIn = true } = {}) {
  const context = await browser.newContext();
  if (isSignedIn) {
    const page = await context.newPage();
    await page.goto(`${application.url}/login`);
    await page.fill('[name=user]', 'Ana');
    await page.click('button');
    await page.waitForURL(`${application.url}/api/me`);
  }
  application.asked.length = 0;
  return openPage(context, origin);
}

const endpoint = ({ url }) => `${url}/connection-details`;

/** The token that livekit-client gets, or why it gets none. */
function tokenOf({ page }, credentials, on = roomkey) {
  return page.evaluate(async ([url, credentials]) => {
    try {
      const { participantToken } = await window.livekit.TokenSource.endpoint(url, { credentials }).fetch({});
      return { token: participantToken };
    } catch ({ message }) {
      return { message };
    }
  }, [endpoint(on), credentials]);
}

test('a page of a listed origin gets a token for the session', async () => {
  const { token, message } = await tokenOf(await openBeside(pages.origin), 'include');
  const { sub, name, video } = claimsOf(token ?? assert.fail(message));
  assert.deepEqual([sub, name, video.room], ['customer-7', 'Ana', 'support-7']);
  assert.equal(application.asked.length, 1);
});

test('a page of a listed origin reads why it gets none', async () => {
  for (const [isSignedIn, credentials] of [[false, 'include'], [true, 'omit'], [true, 'same-origin']]) {
    const { message } = await tokenOf(await openBeside(pages.origin, { isSignedIn }), credentials);
    assert.match(message, /received 401/, `${isSignedIn} ${credentials}`);
  }
  assert.equal(application.asked.length, 0);
});

test('a page of another origin gets no token, whether or not Chromium sends the cookie', async () => {
  // Ports make no site: the first is of the application's own site, the second of another one.
  for (const [origin, isCookieSent] of [[otherPages.origin, true], [pages.otherOrigin, false]]) {
    const opened = await openBeside(origin);
    assert.match((await tokenOf(opened, 'include')).message, /Failed to fetch/, origin);

    // What needs no preflight is sent, but is no JSON.
    const { page } = opened;
    const answered = page.waitForResponse(endpoint(roomkey));
    const simple = { method: 'POST', mode: 'no-cors', credentials: 'include', body: '{}' };
    await page.evaluate(([url, simple]) => fetch(url, simple), [endpoint(roomkey), simple]);
    const answer = await answered;
    assert.equal(answer.status(), 415);
    assert.equal((await answer.allHeaders())['access-control-allow-credentials'], undefined);
    assert.equal(application.asked.length, 0, origin);

    await page.evaluate((url) => fetch(url, { mode: 'no-cors', credentials: 'include' }), `${application.url}/api/me`);
    assert.equal('cookie' in application.asked[0].headers, isCookieSent, origin);
  }
});

test('where any page may read, none may use the session', async (t) => {
  const open = await startRoomkey({ policy: customerPolicy(application) });
  t.after(open.stop);
  const opened = await openBeside(pages.origin);
  assert.match((await tokenOf(opened, 'include', open)).message, /Failed to fetch/);
  assert.match((await tokenOf(opened, 'omit', open)).message, /received 401/);
  assert.equal(application.asked.length, 0);
});
