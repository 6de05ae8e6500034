// A real application with a login page and cookie sessions. Does not know roomkey.

import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import express from 'express';
import session from 'express-session';
import { start } from './server.js';

const USERS = { Ana: { id: 7, name: 'Ana' }, Ben: { id: 8, name: 'Ben' } };
/** The name that express-session gives its cookie. */
export const COOKIE = 'connect.sid';

/** Starts the application on a free port. `asked` collects the requests for /api/me and those that follow its redirects. */
export async function startApplication() {
  const asked = [];
  const application = { asked, answer: whoAmI };
  const app = express();
  // Each answer sets the cookie again, so that a session ends a while after its last use.
  app.use(session({ secret: randomBytes(32).toString('hex'), resave: false, saveUninitialized: false, rolling: true }));
  app.get('/api/me', (request, response) => {
    asked.push(request);
    application.answer(request, response);
  });
  app.get('/login', (request, response) => {
    asked.push(request);
    response.send('<form method="post"><input name="user"><button>Sign in</button></form>');
  });
  app.post('/login', express.urlencoded(), (request, response) => {
    request.session.user = USERS[request.body.user];
    response.redirect('/api/me');
  });
  app.post('/logout', (request, response, next) => {
    request.session.destroy((error) => (error ? next(error) : response.sendStatus(204)));
  });

  return Object.assign(application, await start(createServer(app)));
}

/** What /api/me answers. */
export function whoAmI({ session: { user } }, response) {
  if (user) response.json({ user });
  else response.redirect('/login');
}
