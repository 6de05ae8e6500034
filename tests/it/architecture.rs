//! Tests of the architecture: a file imports only from its own floor and those below, the files of the server import each other
//! without cycles, the time and the environment are each read in one place, and every file begins with a description. Reads the
//! source as tokens, so that it also sees what a feature hides.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

use crate::fixtures;

/// Each file or folder directly under `src` and its floor. `lib.rs` has none: it contains the map.
const FLOORS: [(&str, u8); 14] = [
    ("jws", 1),
    ("clock", 1),
    ("json", 1),
    ("livekit", 2),
    ("caller", 3),
    ("client", 3),
    ("policy", 3),
    ("inbox", 3),
    ("relay", 3),
    ("worker", 3),
    ("http", 4),
    ("config", 5),
    ("cli", 5),
    ("main", 5),
];
const OUTERMOST: u8 = 5;

fn floor(place: &str) -> Option<u8> {
    FLOORS.iter().find(|(each, _)| *each == place).map(|(_, floor)| *floor)
}

/// The tokens of `source`: names, literals, `::`, and every other character on its own. Comments are left out.
fn tokens_of(source: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    flatten(source.parse().unwrap(), &mut tokens);
    tokens
}

fn flatten(stream: TokenStream, tokens: &mut Vec<String>) {
    let mut is_half = false; // of a `::`
    for tree in stream {
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace | Delimiter::None => ("{", "}"),
                };
                tokens.push(open.to_owned());
                flatten(group.stream(), tokens);
                tokens.push(close.to_owned());
            }
            TokenTree::Punct(punct) if is_half => {
                is_half = false;
                tokens.last_mut().unwrap().push(punct.as_char());
                continue;
            }
            TokenTree::Punct(punct) => {
                is_half = punct.as_char() == ':' && punct.spacing() == Spacing::Joint;
                tokens.push(punct.to_string());
                continue;
            }
            TokenTree::Literal(_) => tokens.push("\"\"".to_owned()),
            TokenTree::Ident(name) => tokens.push(name.to_string()),
        }
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// A path in the source. Groups in braces are expanded.
#[derive(Debug, PartialEq)]
struct FoundPath {
    path: Vec<String>,
    /// The name after `as`.
    alias: Option<String>,
    /// The number of modules within the file that contain it.
    inline: usize,
}

/// All paths with at least two names.
fn paths_of(source: &str) -> Vec<FoundPath> {
    let tokens = tokens_of(source);
    let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
    let (mut found, mut depth, mut modules, mut at) = (Vec::new(), 0, Vec::new(), 0);
    while at < tokens.len() {
        match tokens[at] {
            "mod" if tokens.get(at + 2) == Some(&"{") => modules.push(depth),
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                modules.retain(|module| *module < depth);
            }
            name if is_name(name) && tokens.get(at + 1) == Some(&"::") => {
                at = follow_path(&tokens, at, &[], modules.len(), &mut found);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

/// Follows the path that begins `at` and all its branches, and returns where it ends.
fn follow_path(tokens: &[&str], mut at: usize, prefix: &[String], inline: usize, found: &mut Vec<FoundPath>) -> usize {
    let mut path = prefix.to_vec();
    while let Some(&token) = tokens.get(at) {
        at += 1;
        if token == "{" {
            while tokens.get(at).is_some_and(|next| *next != "}") {
                at = follow_path(tokens, at, &path, inline, found).max(at + 1);
                at += usize::from(tokens.get(at) == Some(&","));
            }
            return at + 1;
        }
        if is_name(token) || token == "*" {
            path.push(token.to_owned());
        }
        if tokens.get(at) != Some(&"::") {
            break;
        }
        at += 1;
        if !tokens.get(at).is_some_and(|next| is_name(next) || matches!(*next, "{" | "*")) {
            break;
        }
    }
    let alias = if tokens.get(at) == Some(&"as") { tokens.get(at + 1).map(|alias| (*alias).to_owned()) } else { None };
    at += if alias.is_some() { 2 } else { 0 };
    found.push(FoundPath { path, alias, inline });
    at
}

/// The modules that lead to the file `src/<file>`.
fn modules_of(file: &Path) -> Vec<String> {
    let mut modules: Vec<String> =
        file.with_extension("").components().map(|part| part.as_os_str().to_str().unwrap().to_owned()).collect();
    if modules.last().is_some_and(|last| last == "mod") {
        modules.pop();
    }
    modules
}

/// The file or folder that each name in the crate's root comes from.
fn exports_of(lib: &str) -> BTreeMap<String, String> {
    let export = |found: FoundPath| {
        let path: Vec<_> = found.path.into_iter().skip_while(|part| matches!(&**part, "crate" | "self")).collect();
        Some((found.alias.or(path.last().cloned())?, path.first()?.clone()))
    };
    paths_of(lib).into_iter().filter_map(export).collect()
}

/// The name in the crate's root that `found` begins at, unless it stays within its own modules.
fn root_of<'a>(found: &'a FoundPath, file: &Path) -> Option<&'a str> {
    let mut depth = modules_of(file).len() + found.inline;
    let is_program = file == Path::new("main.rs");
    let mut path = found.path.iter().map(String::as_str);
    match path.next()? {
        "roomkey" => return path.next(),
        "crate" if !is_program => return path.next(),
        "super" => depth -= 1,
        "self" => {}
        _ => return None,
    }
    let next = path.find(|part| {
        let is_super = *part == "super";
        depth -= usize::from(is_super);
        !is_super
    });
    if depth == 0 { next } else { None }
}

/// The rules that `source`, the text of `src/<file>`, breaks.
fn violations(file: &Path, source: &str, exports: &BTreeMap<String, String>) -> Vec<String> {
    let place = modules_of(file).swap_remove(0);
    let own = if place == "lib" { None } else { floor(&place) };
    let mut violations = Vec::new();
    let mut against = |what: String| violations.push(format!("src/{}: {what}", file.display()));

    if !source.starts_with("//!") {
        against("does not begin with a description (`//!`)".to_owned());
    }
    if own.is_none() && place != "lib" {
        against(format!("`{place}` is on no floor"));
    }
    for found in paths_of(source) {
        let path = found.path.join("::");
        let calls = |of: &str| found.path.windows(2).any(|pair| pair == [of, "now"]);
        if calls("SystemTime") && place != "clock" || calls("UnixTime") && place != "clock" && own != Some(OUTERMOST) {
            against(format!("takes the time itself: `{path}`"));
        }
        if (found.path.windows(2).next().is_some_and(|pair| pair == ["std", "env"]) || found.path[0] == "env")
            && own != Some(OUTERMOST)
        {
            against(format!("reads the environment: `{path}`"));
        }
        if let (Some(own), Some(root)) = (own, root_of(&found, file)) {
            let target = exports.get(root).map_or(root, String::as_str);
            match floor(target) {
                Some(floor) if floor <= own => {}
                Some(floor) => against(format!("is on floor {own} and imports `{path}` of floor {floor}")),
                None => against(format!("imports `{path}`, which is on no floor")),
            }
        }
    }
    violations
}

fn sources_under(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(sources_under(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn every_file_keeps_to_its_floor() {
    let src = fixtures::path("src");
    let exports = exports_of(&fs::read_to_string(src.join("lib.rs")).unwrap());
    let files = sources_under(&src);
    let names: Vec<&Path> = files.iter().map(|path| path.strip_prefix(&src).unwrap()).collect();
    for expected in ["lib.rs", "jws.rs", "clock.rs", "json.rs", "livekit/mod.rs"] {
        assert!(names.contains(&Path::new(expected)), "src/{expected} was not found");
    }
    let violations: Vec<String> =
        files.iter().zip(names).flat_map(|(path, name)| violations(name, &fs::read_to_string(path).unwrap(), &exports)).collect();
    assert!(violations.is_empty(), "{}", violations.join("\n"));
}

/// The files of `files` that `file` imports, by paths that begin with `crate::`.
fn imports_of<'a>(file: &Path, source: &str, files: &'a [PathBuf]) -> Vec<&'a Path> {
    let file_of = |path: &[String]| {
        let longest = (1..=path.len()).rev().map(|length| path[..length].to_vec());
        longest.filter_map(|modules| files.iter().find(|file| modules_of(file) == modules)).next()
    };
    let is_crate = |found: &FoundPath| found.path[0] == "crate";
    let paths = paths_of(source).into_iter().filter(is_crate);
    paths.filter_map(|found| file_of(&found.path[1..])).map(PathBuf::as_path).filter(|target| *target != file).collect()
}

/// A cycle of imports that begins and ends at `at`, if there is one.
fn cycle<'a>(imports: &BTreeMap<&'a Path, Vec<&'a Path>>, at: &'a Path) -> Option<Vec<&'a Path>> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![vec![at]]);
    while let Some(way) = open.pop() {
        for next in imports.get(way[way.len() - 1]).into_iter().flatten() {
            if *next == at {
                return Some(way);
            }
            if seen.insert(*next) {
                open.push([&way[..], &[*next]].concat());
            }
        }
    }
    None
}

#[test]
fn the_files_of_the_server_import_each_other_without_cycles() {
    let src = fixtures::path("src");
    let files: Vec<PathBuf> =
        sources_under(&src.join("http")).iter().map(|path| path.strip_prefix(&src).unwrap().to_owned()).collect();
    let sources: Vec<String> = files.iter().map(|file| fs::read_to_string(src.join(file)).unwrap()).collect();
    let imports: BTreeMap<&Path, Vec<&Path>> =
        files.iter().zip(&sources).map(|(file, source)| (file.as_path(), imports_of(file, source, &files))).collect();
    assert!(imports[Path::new("http/router.rs")].contains(&Path::new("http/edge.rs")));
    let cycles: Vec<_> = files.iter().filter_map(|file| cycle(&imports, file)).collect();
    assert!(cycles.is_empty(), "{cycles:#?}");
}

#[test]
fn only_an_import_makes_an_arrival_without_the_receiver() {
    let src = fixtures::path("src");
    let calls = |path: &PathBuf| {
        let is_import = |found: &FoundPath| found.path.ends_with(&["Arrival".to_owned(), "imported".to_owned()]);
        paths_of(&fs::read_to_string(path).unwrap()).iter().any(is_import)
    };
    let found: Vec<_> = sources_under(&src).into_iter().filter(calls).collect();
    assert_eq!(found, [src.join("inbox/moving.rs")]);
}

/// The rows of the code map in `lib.rs`: each place and its floor.
fn code_map(lib: &str) -> BTreeMap<String, u8> {
    let mut map = BTreeMap::new();
    for row in lib.lines().filter_map(|line| line.strip_prefix("//! | ")) {
        let mut cells = row.split(" | ");
        let (Some(Ok(floor)), Some(places)) = (cells.next().map(str::parse), cells.next()) else { continue };
        map.extend(places.split('`').skip(1).step_by(2).map(|place| (place.to_owned(), floor)));
    }
    map
}

#[test]
fn the_code_map_shows_every_place_on_its_floor() {
    let src = fixtures::path("src");
    let exists = |place: &str| src.join(place).is_dir() || src.join(place).with_extension("rs").is_file();
    let mut expected: BTreeMap<_, _> = FLOORS.map(|(place, floor)| (place.to_owned(), floor)).into();
    expected.retain(|place, _| exists(place) && place != "main");
    assert_eq!(code_map(&fs::read_to_string(src.join("lib.rs")).unwrap()), expected);
}

#[test]
fn the_time_is_taken_in_the_clock() {
    let clock = fs::read_to_string(fixtures::path("src/clock.rs")).unwrap();
    assert!(paths_of(&clock).iter().any(|found| found.path.windows(2).any(|pair| pair == ["SystemTime", "now"])));
}

#[test]
fn paths_are_found_however_they_are_written() {
    let paths = |code: &str| paths_of(code).iter().map(|found| found.path.join("::")).collect::<Vec<_>>();
    for (code, expected) in [
        ("use crate::jws;", &["crate::jws"][..]),
        (
            "pub(crate) use crate::{jws, livekit::key::{ApiKey, self}, http as web};",
            &["crate::jws", "crate::livekit::key::ApiKey", "crate::livekit::key::self", "crate::http"],
        ),
        ("use crate::{\n    a,\n    b::*,\n};\nuse std::env;", &["crate::a", "crate::b::*", "std::env"]),
        (
            "fn f() -> crate::http::Reply { g::<crate::inbox::Id>(&Vec::<u8>::new()) }",
            &["crate::http::Reply", "g", "crate::inbox::Id", "Vec"],
        ),
        ("impl<'a> X<'a> for crate::A<'a> { const C: char = '\\''; fn f(self) { crate::b!() } }", &["crate::A", "crate::b"]),
        ("// crate::http\n/// use crate::http;\n/* crate::http */ let s = (\"crate::http\", r#\"\"crate::http\"#, '\"');", &[]),
        ("let x = b\"\\\"crate::http\"; let y = br\"crate::http\"; crate::jws::f()", &["crate::jws::f"]),
    ] {
        assert_eq!(paths(code), expected, "{code}");
    }
}

#[test]
fn a_breach_of_the_floors_is_noticed() {
    let lib =
        "pub mod livekit;\npub use livekit::key::{ApiKey, KeyError as Error};\n#[cfg(feature = \"server\")]\npub use http::run;";
    let exports = exports_of(lib);
    for (allowed, file, code) in [
        (true, "jws.rs", "use crate::json::Members;"),
        (true, "livekit/key.rs", "use crate::jws; use super::claims; use crate::{ApiKey, Error};"),
        (true, "livekit/mod.rs", "use super::jws; use self::key::X; use std::time::SystemTime;"),
        (true, "http/endpoints/token.rs", "use crate::policy::Policy; use super::super::router; use super::super::super::inbox;"),
        (true, "main.rs", "use roomkey::cli; use crate::own; fn f() { std::env::args(); UnixTime::now(); }"),
        (true, "cli/run.rs", "use std::env; fn f() { env::var(\"X\") }"),
        (true, "clock.rs", "fn f() { SystemTime::now() }"),
        (true, "lib.rs", "pub use cli::run;"),
        (true, "jws.rs", "fn f() { let v = env!(\"CARGO_PKG_VERSION\"); } mod tests { use super::*; fn g() { super::f() } }"),
        (false, "jws.rs", "use crate::livekit;"),
        (false, "jws.rs", "use super::livekit;"),
        (false, "jws.rs", "mod tests { use super::super::livekit; }"),
        (false, "jws.rs", "use crate::ApiKey;"),
        (false, "jws.rs", "use crate::Error;"),
        (false, "livekit/key.rs", "fn f(x: &crate::http::Request) {}"),
        (false, "livekit/key.rs", "use super::super::http;"),
        (false, "livekit/key.rs", "use crate::{jws, inbox::Cursor};"),
        (false, "inbox/mod.rs", "use crate::run;"),
        (false, "inbox.rs", "use crate::config::Config;"),
        (false, "http/mod.rs", "use crate::*;"),
        (false, "http/mod.rs", "use crate::nowhere;"),
        (false, "nowhere.rs", ""),
        (false, "relay/mod.rs", "fn f() { std::time::SystemTime::now() }"),
        (false, "relay/mod.rs", "fn f() { crate::UnixTime::now() }"),
        (false, "cli/mod.rs", "use std::time::SystemTime; fn f() { SystemTime::now() }"),
        (false, "http/mod.rs", "use std::env;"),
        (false, "http/mod.rs", "use std::{env, fmt};"),
        (false, "http/mod.rs", "fn f() { env::var(\"X\") }"),
        (false, "lib.rs", "fn f() { std::env::var(\"X\") }"),
    ] {
        let found = violations(Path::new(file), &format!("//! For a test.\n{code}"), &exports);
        assert_eq!(found.is_empty(), allowed, "src/{file}: {code}: {found:?}");
    }
    assert!(!violations(Path::new("jws.rs"), "use std::fmt;", &exports).is_empty(), "a file without a description");
}
