// A server that goes down and comes up again at the same address. Does not know what it serves.

import { once } from 'node:events';

/** Lets this server listen on a free port. */
export async function start(server) {
  const listen = (port) => once(server.listen(port, '127.0.0.1'), 'listening');
  await listen(0);
  const { port } = server.address();
  const down = () => new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${port}`, down, up: () => listen(port), stop: () => server.listening && down() };
}
