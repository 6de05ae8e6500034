//! API keys: a name that is in tokens and a secret that signs them, and the set of keys that a program trusts. Does not know where
//! keys come from.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use crate::json;
use crate::jws;

/// The least bytes of a secret, outside development. LiveKit Server calls shorter ones unsafe
/// (livekit `pkg/config/config.go`), as does RFC 7518, section 3.2.
pub const MIN_SECRET_BYTES: usize = 32;
/// The pair that `livekit-server --dev` trusts.
pub const DEVELOPMENT_PAIR: (&str, &str) = ("devkey", "secret");

/// An API key and its secret, ready to sign and verify. `Debug` shows the name alone.
#[derive(Clone)]
pub struct ApiKey {
    name: Arc<str>,
    /// Signs payloads that begin with `{"iss":"<name>"` and go on after a comma.
    signer: jws::Signer,
}

impl ApiKey {
    /// The key `name` with `secret`.
    ///
    /// # Errors
    /// If the name is empty, or the secret is shorter than [`MIN_SECRET_BYTES`]. LiveKit's [`DEVELOPMENT_PAIR`] is the only
    /// exception.
    pub fn new(name: &str, secret: &str) -> Result<Self, KeyError> {
        if name.is_empty() {
            return Err(KeyError::EmptyName);
        }
        let is_long_enough = secret.len() >= MIN_SECRET_BYTES || (name, secret) == DEVELOPMENT_PAIR;
        let key = jws::Key::new(secret.as_bytes()).filter(|_| is_long_enough).ok_or(KeyError::ShortSecret)?;
        let mut beginning = br#"{"iss":"#.to_vec();
        json::write(&mut beginning, name);
        Ok(Self { name: name.into(), signer: jws::Signer::new(&key, &beginning) })
    }

    /// The name: a token's `iss`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this is LiveKit's [`DEVELOPMENT_PAIR`], which everyone knows.
    #[must_use]
    pub fn is_development(&self) -> bool {
        Self::development().as_ref() == Some(self)
    }

    /// LiveKit's [`DEVELOPMENT_PAIR`].
    pub(crate) fn development() -> Option<Self> {
        Self::new(DEVELOPMENT_PAIR.0, DEVELOPMENT_PAIR.1).ok()
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        Arc::clone(&self.name)
    }

    #[cfg(feature = "server")]
    pub(crate) fn key(&self) -> &jws::Key {
        self.signer.key()
    }

    pub(crate) fn signer(&self) -> &jws::Signer {
        &self.signer
    }
}

/// Keys are equal by name and secret.
impl PartialEq for ApiKey {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.signer.key() == other.signer.key()
    }
}

impl Eq for ApiKey {}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The keys that a program trusts, at least one. The first one mints, all verify. Clones share them.
#[derive(Clone)]
pub struct ApiKeys(Arc<KeyList>);

struct KeyList {
    keys: Vec<ApiKey>,
    /// The place of each key, by its name: finding one takes about as long among a hundred.
    places: BTreeMap<Arc<str>, usize>,
}

impl KeyList {
    fn new(keys: Vec<ApiKey>) -> Self {
        let places = keys.iter().enumerate().map(|(place, key)| (key.shared_name(), place)).collect();
        Self { keys, places }
    }

    fn find(&self, name: &str) -> Option<&ApiKey> {
        self.keys.get(*self.places.get(name)?)
    }
}

impl ApiKeys {
    /// Only `key`.
    #[must_use]
    pub fn single(key: ApiKey) -> Self {
        Self(Arc::new(KeyList::new(vec![key])))
    }

    /// `first`, which mints, and `others`, which only verify.
    ///
    /// # Errors
    /// If two keys of one name have different secrets. A key that is given twice is kept once.
    pub fn new(first: ApiKey, others: impl IntoIterator<Item = ApiKey>) -> Result<Self, KeyError> {
        let mut list = KeyList::new(vec![first]);
        for key in others {
            match list.find(key.name()) {
                None => {
                    list.places.insert(key.shared_name(), list.keys.len());
                    list.keys.push(key);
                }
                Some(same) if *same == key => {}
                Some(_) => return Err(KeyError::Contradiction { name: key.name().to_owned() }),
            }
        }
        Ok(Self(Arc::new(list)))
    }

    /// The same keys, but the one called `name` mints.
    ///
    /// # Errors
    /// If there is none.
    pub fn minting_with(self, name: &str) -> Result<Self, KeyError> {
        let place = *self.0.places.get(name).ok_or_else(|| KeyError::Unknown { name: name.to_owned() })?;
        let mut keys = self.0.keys.clone();
        let key = keys.remove(place);
        keys.insert(0, key);
        Ok(Self(Arc::new(KeyList::new(keys))))
    }

    /// The key that mints.
    #[must_use]
    pub fn minting(&self) -> &ApiKey {
        #[expect(clippy::indexing_slicing, reason = "both constructors put in a first key, and no method removes it")]
        &self.0.keys[0]
    }

    /// The key called `name`.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&ApiKey> {
        self.0.find(name)
    }

    /// Whether LiveKit's [`DEVELOPMENT_PAIR`] is among them, so that everyone can sign.
    #[must_use]
    pub fn have_development(&self) -> bool {
        self.find(DEVELOPMENT_PAIR.0).is_some_and(ApiKey::is_development)
    }

    /// The names of all keys. The one that mints comes first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys.iter().map(ApiKey::name)
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ApiKeys").field(&self.0.keys).finish()
    }
}

impl From<ApiKey> for ApiKeys {
    fn from(key: ApiKey) -> Self {
        Self::single(key)
    }
}

/// Why a key, or a set of keys, is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The name is empty.
    #[error("the API key is empty")]
    EmptyName,
    /// The secret is shorter than [`MIN_SECRET_BYTES`].
    #[error("the API secret is shorter than {MIN_SECRET_BYTES} bytes")]
    ShortSecret,
    /// Two keys have the same name and different secrets.
    #[error("the API key {name:?} is given twice, with different secrets")]
    Contradiction {
        /// The name.
        name: String,
    },
    /// No key has the name.
    #[error("there is no API key {name:?}")]
    Unknown {
        /// The name.
        name: String,
    },
}
