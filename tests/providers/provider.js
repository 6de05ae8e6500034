// A real OpenID provider, whose tokens come from its own flows. Does not know roomkey.

import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';
import { cookieFetch } from './client.js';
import { start } from './server.js';

export const AUDIENCE = 'https://rooms.example';
const KEY_TYPES = {
  RS256: ['rsa', { modulusLength: 2048 }],
  ES256: ['ec', { namedCurve: 'P-256' }],
  EdDSA: ['ed25519', {}],
};
export const ALGORITHMS = Object.keys(KEY_TYPES);
const ACCOUNTS = {
  ana: { role: 'teacher', course: 7, name: 'Ana Díaz' },
  ben: { role: 'pupil', course: 7, name: 'Ben' },
};
/** What the tokens say of a client that acts for itself. */
const CLIENT = { role: 'teacher', course: 8, name: 'Timetable' };
const SECRET = randomBytes(32).toString('hex');
// Nothing listens there: the client reads the code from the last redirect.
const CALLBACK = 'https://app.example/callback';

/** Starts a provider on a free port. Its access tokens are JWTs for the resource that is asked for. */
export async function startProvider() {
  let answer, keys, nextKeys;
  const server = createServer((request, response) => answer(request, response));
  const { url: issuer, ...running } = await start(server);

  const serve = (published) => {
    keys = published;
    answer = new Provider(issuer, configuration(keys)).callback();
  };
  serve(newKeys());

  return {
    issuer,
    ...running,
    /** From now on nothing is answered, and connections stay open. */
    hang: () => { answer = () => {}; },
    /** Ends when the next request comes. */
    nextRequest: () => once(server, 'request'),
    // The three steps in which oidc-provider's documentation says to rotate keys.
    publishNewKeys: () => {
      nextKeys = newKeys();
      serve([...keys, ...nextKeys]);
    },
    useNewKeys: () => serve([...nextKeys, ...keys.filter((key) => !nextKeys.includes(key))]),
    retireOldKeys: () => serve(nextKeys),
    /** A token for the client itself, which is named after the algorithm. */
    clientToken: async (algorithm, resource = AUDIENCE) => {
      const { access_token } = await tokens(issuer, algorithm, { grant_type: 'client_credentials', scope: 'join', resource });
      return access_token;
    },
    /** All tokens that a client gets when this account signs in. */
    signIn: (algorithm, account) => signIn(issuer, algorithm, account),
  };
}

function newKeys() {
  return Object.entries(KEY_TYPES).map(([alg, [type, options]]) => {
    const { privateKey } = generateKeyPairSync(type, options);
    return { ...privateKey.export({ format: 'jwk' }), alg, use: 'sig' };
  });
}

function configuration(keys) {
  return {
    jwks: { keys },
    clients: ALGORITHMS.map((algorithm) => ({
      client_id: algorithm,
      client_secret: SECRET,
      grant_types: ['client_credentials', 'authorization_code', 'refresh_token'],
      id_token_signed_response_alg: algorithm,
      redirect_uris: [CALLBACK],
    })),
    cookies: { keys: [SECRET] },
    enabledJWA: { idTokenSigningAlgValues: ALGORITHMS },
    extraTokenClaims: (_, token) => ACCOUNTS[token.accountId] ?? CLIENT,
    features: {
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, resource, client) => ({
          audience: resource,
          scope: 'join',
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: client.idTokenSignedResponseAlg } },
        }),
      },
    },
    findAccount: (_, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  };
}

/** The flow of OAuth 2.0's authorization code, with the provider's own pages for the login and the consent. */
async function signIn(issuer, client, account) {
  const browser = cookieFetch();
  const verifier = randomBytes(32).toString('hex');
  const query = new URLSearchParams({
    client_id: client,
    response_type: 'code',
    redirect_uri: CALLBACK,
    scope: 'openid offline_access join',
    prompt: 'consent',
    resource: AUDIENCE,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  });
  let url = await follow(browser, `${issuer}/auth?${query}`);
  for (const prompt of ['login', 'consent']) {
    const body = new URLSearchParams({ prompt, login: account, password: 'any' });
    url = await follow(browser, url, { method: 'POST', body });
  }
  const code = new URL(url).searchParams.get('code');
  if (!code) throw new Error(`the provider gave no code: ${url}`);
  const grant = { grant_type: 'authorization_code', code, redirect_uri: CALLBACK, code_verifier: verifier, resource: AUDIENCE };
  return tokens(issuer, client, grant);
}

/** Follows redirects, and returns the URL of the page or of the client's callback. */
async function follow(browser, url, options) {
  const response = await browser(url, options);
  if (response.status < 300 || response.status > 399) return url;
  const next = new URL(response.headers.get('location'), url).href;
  return next.startsWith(CALLBACK) ? next : follow(browser, next);
}

async function tokens(issuer, client, grant) {
  const authorization = `Basic ${Buffer.from(`${client}:${SECRET}`).toString('base64')}`;
  const body = new URLSearchParams(grant);
  const response = await fetch(`${issuer}/token`, { method: 'POST', headers: { authorization }, body });
  if (!response.ok) throw new Error(`the provider gave no token: ${await response.text()}`);
  return response.json();
}
