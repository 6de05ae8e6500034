//! The HTTP/1.1 server on bare hyper: listener, connections and their deadlines, router, CORS, replies. Does not know the
//! environment: every setting is an argument.

mod body;
mod boundaries;
mod budget;
mod connection;
mod content;
mod conversation;
mod cors;
mod edge;
mod endpoints;
mod framing;
mod headers;
mod inbox_metrics;
mod keyring;
mod large;
mod limits;
mod listener;
mod methods;
mod metrics;
mod observed;
mod once_a_minute;
mod origin;
mod partial_head;
mod refusal;
mod reply;
mod reply_body;
mod router;
mod routes;
mod slow_followers;
mod stop;
mod trace;
mod webhook_warnings;

pub use cors::Cors;
pub use edge::Edge;
pub use keyring::Keyring;
pub use limits::Limits;
pub use listener::{Bind, bind, listen, run};
pub use metrics::{Metrics, MetricsError};
pub(crate) use origin::parse_url;
pub use origin::{AllowedOrigin, MalformedOrigin};
