//! Tests that the document describes what is served: the paths, their methods, the version.

use std::collections::BTreeSet;

use roomkey::clock::Clock;
use roomkey::http::{Edge, Limits};
use roomkey::policy::Policy;
use serde_json::Value;

use crate::fixtures::{SERVER_KEY, api_key, now};
use crate::harness::program::{Program, Start};

fn document(server: &Program) -> Value {
    let answer = server.request("GET", "/openapi.json", &[], "");
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, Some("*")));
    answer.json()
}

#[test]
fn it_has_every_path_with_its_methods() {
    let server = Program::start();
    let document = document(&server);
    let documented: BTreeSet<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
    let edge = Edge::new(api_key(SERVER_KEY).into(), Policy::default(), Limits::default(), Clock::from_fn(now));
    assert_eq!(documented, edge.paths().collect());

    for path in documented {
        let operations = document["paths"][&path].as_object().unwrap();
        let methods: BTreeSet<String> = operations.keys().map(|method| method.to_uppercase()).collect();
        let answer = server.request("OPTIONS", &path, &[], "");
        let allowed = answer.header("allow").unwrap().split(", ").filter(|method| *method != "OPTIONS");
        assert_eq!(methods, allowed.map(str::to_owned).collect(), "{path}");
    }
}

/// The query parameters of `/events` in the document.
fn events_parameters(document: &Value, method: &str) -> BTreeSet<String> {
    let parameters = document["paths"]["/events"][method]["parameters"].as_array().unwrap();
    let parameters = parameters.iter().map(|each| {
        let name = each["$ref"].as_str().unwrap().strip_prefix("#/components/parameters/").unwrap();
        &document["components"]["parameters"][name]
    });
    let queried = parameters.filter(|each| each["in"] == "query");
    queried.map(|each| each["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn it_has_every_parameter_of_events() {
    let server = Program::start();
    let document = document(&server);
    // The server names them in the error about an unknown one.
    let error = server.request("GET", "/events?x", &[], "").error();
    let (_, known) = error.split_once("can have ").unwrap();
    let known: BTreeSet<String> = known.split(", ").map(str::to_owned).collect();
    for method in ["get", "head"] {
        assert_eq!(events_parameters(&document, method), known, "{method}");
    }
}

#[test]
fn it_has_the_programs_version() {
    let document = document(&Program::start());
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
}

#[test]
fn it_stands_below_the_base_path_and_refers_to_it() {
    let server = Start::new().env("BASE_PATH", "/x").serve();
    let document = server.request("GET", "/x/openapi.json", &[], "").json();
    assert_eq!(document["servers"][0]["url"], ".", "relative to where it is");
    assert_eq!(server.post("/x/connection-details", "{}").status, 200);
}
