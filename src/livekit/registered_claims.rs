//! The few claims that decide whether a token is valid. Does not decide that.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use crate::clock::UnixTime;
use crate::json::{Scan, Scanner, Text, Unambiguous, refuse_duplicates};
use crate::livekit::claims::Claims;

/// The claims that decide whether a token is valid (RFC 7519, section 4.1), and a webhook's digest. Reading them refuses duplicate
/// names, at any depth.
#[derive(Debug)]
pub(crate) struct Registered<'a> {
    pub(crate) iss: Option<Cow<'a, str>>,
    pub(crate) exp: Option<UnixTime>,
    pub(crate) nbf: Option<UnixTime>,
    pub(crate) iat: Option<UnixTime>,
    pub(crate) sha256: Option<Cow<'a, str>>,
}

impl<'a> Registered<'a> {
    /// Those of `claims`.
    pub(crate) fn of(claims: &'a Claims) -> Self {
        let text = |claim: &'a String| Some(Cow::Borrowed(&**claim)).filter(|claim| !claim.is_empty());
        Self { iss: text(&claims.iss), exp: claims.exp, nbf: claims.nbf, iat: claims.iat, sha256: text(&claims.sha256) }
    }
}

impl<'a> Scan<'a> for Registered<'a> {
    fn scan(scanner: &mut Scanner<'a>) -> Option<Self> {
        let mut claims = Self { iss: None, exp: None, nbf: None, iat: None, sha256: None };
        let mut others = Vec::new();
        scanner.object(|scanner, name| match name {
            "iss" => scanner.once_optional(&mut claims.iss),
            "exp" => scanner.once_optional(&mut claims.exp),
            "nbf" => scanner.once_optional(&mut claims.nbf),
            "iat" => scanner.once_optional(&mut claims.iat),
            "sha256" => scanner.once_optional(&mut claims.sha256),
            _ => scanner.other(name, &mut others),
        })?;
        Some(claims)
    }
}

impl<'de> Deserialize<'de> for Registered<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RegisteredVisitor;

        impl<'de> Visitor<'de> for RegisteredVisitor {
            type Value = Registered<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of claims")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let (mut iss, mut exp, mut nbf, mut iat, mut sha256) = (None, None, None, None, None);
                let mut others = Vec::new();
                while let Some(name) = map.next_key::<Text<'de>>()? {
                    match &*name.0 {
                        "iss" => read_once(&mut map, &mut iss)?,
                        "exp" => read_once(&mut map, &mut exp)?,
                        "nbf" => read_once(&mut map, &mut nbf)?,
                        "iat" => read_once(&mut map, &mut iat)?,
                        "sha256" => read_once(&mut map, &mut sha256)?,
                        _ => {
                            map.next_value::<Unambiguous>()?;
                            others.push(name);
                        }
                    }
                }
                refuse_duplicates(others)?;
                let text = |claim: Option<Option<Text<'de>>>| claim.flatten().map(|text| text.0);
                Ok(Registered {
                    iss: text(iss),
                    exp: exp.flatten(),
                    nbf: nbf.flatten(),
                    iat: iat.flatten(),
                    sha256: text(sha256),
                })
            }
        }

        deserializer.deserialize_map(RegisteredVisitor)
    }
}

/// Reads the member's value into `claim`, unless it holds one. A `null` counts as given.
#[inline]
fn read_once<'de, T: Deserialize<'de>, A: MapAccess<'de>>(map: &mut A, claim: &mut Option<T>) -> Result<(), A::Error> {
    match claim.replace(map.next_value()?) {
        None => Ok(()),
        Some(_) => Err(A::Error::custom("a claim is given twice")),
    }
}
