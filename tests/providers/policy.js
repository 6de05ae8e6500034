// The policy for customers of the application. Does not know what the application answers.

import { COOKIE } from './application.js';

/** Customers open their own room. `settings` are further lines of the caller's section. */
export const customerPolicy = (application, settings = '') => `
  [callers.shop]
  kind = "forward"
  url = "${application.url}/api/me"
  cookies = ["${COOKIE}"]
  subject = "user.id"
  ${settings}

  [[rule]]
  name = "customer"
  caller = "shop"
  room = "support-{subject}"
  identity = "customer-{subject}"
  display = "{claims.user.name}"
  allow = ["publish", "subscribe", "data"]
`;
