//! Chooses between JSON and Server-Sent Events by `Accept` (RFC 9110, section 12.5.1). Does not know what is answered.

use hyper::header::{ACCEPT, HeaderMap};

use crate::http::headers::list;

/// Whether the client prefers Server-Sent Events to JSON. If it likes both equally, it gets JSON, unless it names the other type.
pub(super) fn wants_stream(headers: &HeaderMap) -> bool {
    let ranges: Vec<(&str, f32)> = list(headers, ACCEPT).map(range).collect();
    // The most specific range counts.
    let weight = |ranked: &[&str]| {
        let find = |wanted: &&str| ranges.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        ranked.iter().find_map(find).map_or(0.0, |(_, weight)| *weight)
    };
    let stream = weight(&["text/event-stream", "text/*", "*/*"]);
    let json = weight(&["application/json", "application/*", "*/*"]);
    let is_named = ranges.iter().any(|(name, _)| name.eq_ignore_ascii_case("text/event-stream"));
    stream > json || (stream == json && stream > 0.0 && is_named)
}

/// A range of media types and its weight, from 0 to 1.
fn range(text: &str) -> (&str, f32) {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let weight = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
    // An invalid weight is ignored.
    let weight = weight.and_then(|(_, weight)| weight.trim().parse().ok()).filter(|weight| (0.0..=1.0).contains(weight));
    (name, weight.unwrap_or(1.0))
}

#[cfg(test)]
mod tests {
    use hyper::header::{ACCEPT, HeaderMap, HeaderValue};

    use super::wants_stream;

    fn is_stream(values: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT, HeaderValue::from_static(value));
        }
        wants_stream(&headers)
    }

    #[test]
    fn clients_that_prefer_or_name_it_get_a_stream() {
        for values in [
            &["text/event-stream"][..],
            &["Text/Event-Stream; charset=utf-8"],
            &["text/event-stream, */*"],
            &["application/json, text/event-stream"],
            &["application/json;q=0.9, text/event-stream"],
            &["application/json;q=0.4,text/event-stream;q=0.5"],
            &["application/json; q=0", "text/event-stream ; Q=0.001"],
            &["text/*"],
            &["text/*, */*;q=0.5"],
            &["text/event-stream;q=2"],
        ] {
            assert!(is_stream(values), "{values:?}");
        }
    }

    #[test]
    fn all_others_get_json() {
        for values in [
            &[][..],
            &["*/*"],
            &["application/json"],
            &["text/event-stream;q=0"],
            &["text/event-stream;q=0.000, */*"],
            &["text/event-stream;q=0.5, application/json"],
            &["text/event-stream;q=0.5, */*"],
            &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
            &["image/png"],
            &["", ",", ";q=1", "text", "/", "text/event-streams", "text/event-stream-x"],
        ] {
            assert!(!is_stream(values), "{values:?}");
        }
    }
}
