//! Chooses between JSON and Server-Sent Events by `Accept` (RFC 9110, section 12.5.1). Does not know what is answered.

use hyper::header::{ACCEPT, HeaderMap};

/// Whether the client prefers Server-Sent Events to JSON. If it likes both equally, it gets JSON, unless it names the other type.
pub(super) fn wants_stream(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let ranges: Vec<Range<'_>> = values.flat_map(|value| value.split(',')).map(Range::parse).collect();
    let (stream, is_named) = preference(&ranges, "text", "event-stream");
    let (json, _) = preference(&ranges, "application", "json");
    stream > json || (stream == json && stream > 0.0 && is_named)
}

/// The weight of a media type, from 0 to 1, and whether it is named. The most specific range counts.
fn preference(ranges: &[Range<'_>], kind: &str, subtype: &str) -> (f32, bool) {
    let is = |range: &Range<'_>, wanted: (&str, &str)| {
        range.kind.eq_ignore_ascii_case(wanted.0) && range.subtype.eq_ignore_ascii_case(wanted.1)
    };
    let find = |wanted| ranges.iter().find(|range| is(range, wanted)).map(|range| range.weight);
    match find((kind, subtype)) {
        Some(weight) => (weight, true),
        None => (find((kind, "*")).or_else(|| find(("*", "*"))).unwrap_or(0.0), false),
    }
}

/// A range of media types and its weight.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    weight: f32,
}

impl<'a> Range<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next().and_then(|range| range.split_once('/')).unwrap_or_default();
        let weight = parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.trim().eq_ignore_ascii_case("q"));
        // An invalid weight is ignored.
        let weight = weight.and_then(|(_, weight)| weight.trim().parse().ok()).filter(|weight| (0.0..=1.0).contains(weight));
        Self { kind, subtype, weight: weight.unwrap_or(1.0) }
    }
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
