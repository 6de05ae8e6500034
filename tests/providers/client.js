// A client of roomkey and of the servers beside it. Does not know what they should answer.

import { claimsOf } from '../browser/roomkey.js';

/** `fetch` that keeps cookies as a browser does, and follows no redirect. `cookie` is the header that it sends. */
export function cookieFetch() {
  const jar = new Map();
  const cookie = () => [...jar].map((pair) => pair.join('=')).join('; ');
  const fetchWithCookies = async (url, { headers = {}, ...options } = {}) => {
    const response = await fetch(url, { ...options, headers: { ...headers, cookie: cookie() }, redirect: 'manual' });
    for (const line of response.headers.getSetCookie()) {
      const [name, ...value] = line.split(';')[0].split('=');
      jar.set(name, value.join('='));
    }
    return response;
  };
  return Object.assign(fetchWithCookies, { cookie });
}

/** Asks roomkey's /token for this room. `claims` are those of the token, if there is one. */
export async function askToken(roomkey, room, headers = {}) {
  const response = await fetch(`${roomkey.url}/token`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ roomName: room }),
  });
  const body = await response.json();
  return { status: response.status, headers: response.headers, body, claims: body.token && claimsOf(body.token) };
}

export const bearer = (token) => ({ authorization: `Bearer ${token}` });
