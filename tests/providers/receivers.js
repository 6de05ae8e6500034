// The receivers of the guide's page on the relay, as they are written there, each in a process of its own. Does not know who sends.

import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const PAGE = readFileSync(here('../../src/guide/relay.md'), 'utf8');
/** Where `.ci/run` installs what `requirements.txt` names. */
const PYTHON = process.env.RECEIVER_PYTHON ?? here('../../target/receivers/bin/python');

/** What the receiver in Rust needs is built here once. */
const RUST = here('../../target/receivers/rust');

/** How each language's receiver is written into a folder and run there. */
const LANGUAGES = {
  js: {
    isThere: () => true,
    run: (folder, code) => {
      symlinkSync(here('node_modules'), join(folder, 'node_modules'));
      writeFileSync(join(folder, 'receiver.mjs'), code);
      return [process.execPath, 'receiver.mjs'];
    },
  },
  python: {
    isThere: () => existsSync(PYTHON),
    run: (folder, code) => {
      writeFileSync(join(folder, 'receiver.py'), code);
      return [PYTHON, 'receiver.py'];
    },
  },
  go: {
    isThere: () => spawnSync('go', ['version']).status === 0,
    run: (folder, code) => {
      cpSync(here('go'), folder, { recursive: true });
      writeFileSync(join(folder, 'main.go'), code);
      const build = spawnSync('go', ['build', '-mod=readonly', '-o', 'receiver', '.'], { cwd: folder, encoding: 'utf8' });
      if (build.status !== 0) throw new Error(build.stderr);
      return [join(folder, 'receiver')];
    },
  },
  rust: {
    isThere: () => spawnSync('cargo', ['--version']).status === 0,
    run: (folder, code) => {
      cpSync(here('rust'), folder, { recursive: true });
      mkdirSync(join(folder, 'src'));
      writeFileSync(join(folder, 'src/main.rs'), code);
      const build = spawnSync('cargo', ['build', '--locked', '--quiet', '--target-dir', RUST], { cwd: folder, encoding: 'utf8' });
      if (build.status !== 0) throw new Error(build.stderr);
      return [join(RUST, 'debug/receiver')];
    },
  },
};

export const isThere = (language) => LANGUAGES[language].isThere();

/** The page's block of this language. */
function block(language) {
  const blocks = [...PAGE.matchAll(new RegExp(`^\`\`\`${language}(?:,ignore)?\n(.*?)^\`\`\``, 'gms'))];
  if (blocks.length !== 1) throw new Error(`the page has ${blocks.length} blocks of ${language}`);
  return blocks[0][1];
}

/** Starts the receiver of this language, which verifies with `secret`. `printed` waits for its next line. */
export async function startReceiver(language, secret) {
  const folder = mkdtempSync(join(tmpdir(), 'receiver-'));
  const port = await freePort();
  const [program, ...args] = LANGUAGES[language].run(folder, block(language).replace('3000', port));
  const child = spawn(program, args, {
    cwd: folder,
    env: { PATH: process.env.PATH, RELAY_SECRET: secret },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const stop = async () => {
    child.kill();
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    rmSync(folder, { recursive: true });
  };
  await listening(port);
  return { url: `http://127.0.0.1:${port}/livekit`, printed: async () => (await lines.next()).value, stop };
}

async function freePort() {
  const server = createServer();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address();
  server.close();
  return port;
}

async function listening(port) {
  for (;;) {
    const socket = connect(port, '127.0.0.1');
    const is = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'error').then(() => false)]).catch(() => false);
    socket.destroy();
    if (is) return;
    await setTimeout(20);
  }
}
