// The real roomkey, for tests that need no browser too. Does not know what any test expects.

import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

let built;

/** The program as it is now, built once. */
function roomkeyProgram() {
  built ??= buildRoomkey();
  return built;
}

function buildRoomkey() {
  const build = spawnSync('cargo', ['build', '--locked', '--bin', 'roomkey', '--message-format=json-render-diagnostics'], {
    cwd: REPOSITORY,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const messages = (build.stdout ?? '').split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
  const program = messages.find((message) => message.target?.name === 'roomkey' && message.executable)?.executable;
  if (!program) throw new Error('cargo built no program');
  return program;
}

/** Runs roomkey with these arguments, and returns what it prints. */
export function runRoomkey(...args) {
  const { status, stdout, stderr } = spawnSync(roomkeyProgram(), args, { env: {}, encoding: 'utf8' });
  if (status !== 0) throw new Error(`roomkey ended with status ${status}: ${stderr}`);
  return stdout.trim();
}

/** Starts roomkey with these variables, arguments, policy and targets on a free port. Its URL has no slash at its end. */
export async function startRoomkey({ env = {}, args = [], policy, relay } = {}) {
  const directory = mkdtempSync(join(tmpdir(), 'roomkey-'));
  if (policy !== undefined) {
    writeFileSync(join(directory, 'policy.toml'), policy);
    env = { ROOMKEY_POLICY: 'policy.toml', ...env };
  }
  if (relay !== undefined) {
    writeFileSync(join(directory, 'relay.toml'), relay);
    env = { ROOMKEY_RELAY: 'relay.toml', ...env };
  }
  const start = (port) => startRoomkeyIn(directory, { SERVER_PORT: port, ...env }, args);
  let { url, end } = await start('0');
  /** Stops it, waits for `meanwhile`, and starts it again at the same address. */
  const restart = async (meanwhile) => {
    await end();
    await meanwhile?.();
    ({ end } = await start(new URL(url).port));
  };
  const stop = async () => {
    await end();
    rmSync(directory, { recursive: true });
  };
  return { url, directory, restart, stop };
}

async function startRoomkeyIn(directory, env, args) {
  const child = spawn(roomkeyProgram(), args, {
    cwd: directory,
    env: { SERVER_BIND: '127.0.0.1', LOG_FORMAT: 'json', ...env },
    stdio: ['ignore', 'inherit', 'pipe'],
  });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const end = async () => {
    child.kill();
    await ended;
  };
  for await (const line of createInterface(child.stderr)) {
    const { message, address } = JSON.parse(line);
    if (message === 'listening') {
      child.stderr.resume();
      return { url: address, end };
    }
  }
  throw new Error(`roomkey ended with status ${await ended}`);
}

/** The claims of a token, unverified. */
export function claimsOf(token) {
  return JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
}
