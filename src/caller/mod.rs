//! How a caller proves itself: which caller a request's credentials belong to, and what they say of it. Does not know any rule, nor the
//! server's requests.

pub(crate) mod claim_path;
pub(crate) mod matchers;
pub(crate) mod settings;
