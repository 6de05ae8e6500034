//! Which name could be meant by one that does not exist. Does not know what the names are for.

/// What to write in place of a name that does not exist.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Suggestion {
    /// Probably this name is meant.
    Near(String),
    /// Nobody knows: these are all names.
    OneOf(Vec<String>),
}

impl Suggestion {
    /// What `name` could mean. `others` are names that one could try, each with the known one.
    pub(super) fn of<'a>(name: &str, known: impl Iterator<Item = &'a str>, others: &[(&str, &'a str)]) -> Self {
        let known: Vec<_> = known.collect();
        let tried = others.iter().copied().chain(known.iter().map(|each| (*each, *each)));
        match most_similar(name, tried.filter(|(tried, _)| is_near(name, tried))) {
            Some(near) => Self::Near(near.to_owned()),
            None => Self::OneOf(known.into_iter().map(str::to_owned).collect()),
        }
    }

    /// The suggestion in words; `what` is what the names are for.
    pub(super) fn about(&self, what: &str) -> String {
        match self {
            Self::Near(name) => format!("did you mean {name:?}?"),
            Self::OneOf(names) => match &names[..] {
                [only] => format!("the only {what} is {only:?}"),
                names => {
                    let names: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
                    format!("the {what}s are {}", names.join(", "))
                }
            },
        }
    }
}

/// The name in `known` that is the most similar to `name`.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> &'a str {
    most_similar(name, known.into_iter().map(|each| (each, each))).unwrap_or_default()
}

/// What the name that is the most similar to `name` stands for, the first of several. A common beginning counts, because names are
/// often cut short: `publish.screen`.
fn most_similar<'a, 'b>(name: &str, known: impl Iterator<Item = (&'b str, &'a str)>) -> Option<&'a str> {
    let name = comparable(name);
    let with_difference = known.map(|(each, meant)| (1.0 - strsim::jaro_winkler(&name, &comparable(each)), meant));
    with_difference.min_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, meant)| meant)
}

/// Whether `known` is easily mistyped or cut short to `name`: at most a third of the letters differ, or the end is missing.
fn is_near(name: &str, known: &str) -> bool {
    /// With fewer letters, too many names begin.
    const MIN_BEGINNING: usize = 3;
    let (name, known) = (comparable(name), comparable(known));
    let letters = name.chars().count().max(known.chars().count());
    let is_beginning = name.len() >= MIN_BEGINNING && known.starts_with(&name);
    is_beginning || strsim::damerau_levenshtein(&name, &known).saturating_mul(3) <= letters
}

/// Capital letters do not count, and neither does the end of a very long name.
fn comparable(name: &str) -> String {
    const MAX_COMPARED: usize = 64;
    name.chars().take(MAX_COMPARED).collect::<String>().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::permission::{OTHER_NAMES, PERMISSIONS};

    #[test]
    fn permissions_by_other_names() {
        for (name, meant) in [
            ("roomAdmin", "moderate"),
            ("room_admin", "moderate"),
            ("admin", "moderate"),
            ("moderator", "moderate"),
            ("roomRecord", "record"),
            ("canPublish", "publish"),
            ("can_publish", "publish"),
            ("canSubscribe", "subscribe"),
            ("canPublishData", "data"),
            ("canUpdateOwnMetadata", "own_metadata"),
            ("camera", "publish.camera"),
            ("mic", "publish.microphone"),
            ("microphone", "publish.microphone"),
            ("screen", "publish.screen_share"),
            ("screenshare", "publish.screen_share"),
            ("screen_share_audio", "publish.screen_share_audio"),
            ("publish.screen", "publish.screen_share"),
            ("PUBLISH", "publish"),
        ] {
            let known = PERMISSIONS.iter().map(|(written, _)| *written);
            assert_eq!(Suggestion::of(name, known, &OTHER_NAMES), Suggestion::Near(meant.to_owned()), "{name}");
        }
    }

    #[test]
    fn what_is_not_near_is_not_suggested() {
        for (name, known) in
            [("shcool", "anonymous"), ("", "a"), ("a", "b"), ("s", "school"), ("staff", "school"), ("roomList", "record")]
        {
            let suggestion = Suggestion::of(name, [known].into_iter(), &[]);
            assert_eq!(suggestion, Suggestion::OneOf(vec![known.to_owned()]), "{name}");
        }
    }
}
