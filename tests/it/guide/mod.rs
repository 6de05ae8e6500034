//! Checks the README and the guide: every block of code is run or has a reason why not, every link has a target, and tests that a page names
//! exist. `commands` and `sessions` run the blocks that need no harness of their own; `shown` compares log lines and metrics.

mod commands;
mod policy;
mod relay;
mod sessions;
mod shown;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::fixtures;

const PAGES: [&str; 13] = [
    "README.md",
    "src/guide/changelog.md",
    "src/guide/cli.md",
    "src/guide/figures.md",
    "src/guide/http-api.md",
    "src/guide/inbox.md",
    "src/guide/keys.md",
    "src/guide/library.md",
    "src/guide/operating.md",
    "src/guide/policy.md",
    "src/guide/relay.md",
    "src/guide/security.md",
    "src/guide/settings.md",
];

/// What happens to a block of code.
enum Use {
    /// A test runs it: `module::function`, or a file.
    Run(&'static str),
    /// No test can run it, for this reason.
    NotRun(&'static str),
}
use Use::{NotRun, Run};

/// Every block that could be run: its page, its language, a text that only this block contains, and its use.
/// `cargo test --doc` runs the blocks of Rust.
const BLOCKS: [(&str, &str, &str, Use); 55] = [
    ("README.md", "sh", "cargo run --release", NotRun("it builds a release; `.ci/run` builds it")),
    ("README.md", "sh", "cargo test", NotRun("it would run this test again; `.ci/run` begins with it")),
    ("README.md", "sh", "cargo install", NotRun("it installs a program")),
    ("README.md", "sh", "/token ", Run("guide::commands::the_requests_for_a_token_get_one")),
    ("README.md", "sh", "roomkey events", Run("guide::commands::the_readmes_command_that_follows_prints_an_event")),
    ("src/guide/cli.md", "console", "roomkey check", Run("guide::sessions::the_commands_print_what_the_page_shows")),
    ("src/guide/cli.md", "sh", "token create", Run("guide::sessions::the_tokens_of_the_examples_are_created")),
    ("src/guide/cli.md", "console", "token inspect", Run("guide::sessions::the_commands_print_what_the_page_shows")),
    ("src/guide/cli.md", "console", "token verify", Run("guide::sessions::the_commands_print_what_the_page_shows")),
    ("src/guide/cli.md", "console", "webhook verify", Run("guide::sessions::the_commands_print_what_the_page_shows")),
    ("src/guide/cli.md", "console", "webhook send", Run("guide::sessions::the_commands_print_what_the_page_shows")),
    ("src/guide/cli.md", "console", "roomkey events", Run("guide::sessions::the_commands_print_what_the_page_shows")),
    ("src/guide/http-api.md", "sh", "/token ", Run("guide::commands::the_requests_for_a_token_get_one")),
    ("src/guide/http-api.md", "sh", "/connection-details ", Run("guide::commands::the_requests_for_a_token_get_one")),
    (
        "src/guide/http-api.md",
        "js",
        "TokenSource",
        NotRun("it connects to a LiveKit Server; tests/browser/token_source.test.js makes the same calls"),
    ),
    (
        "src/guide/inbox.md",
        "sh",
        "sqlite3 roomkey.db",
        Run("guide::commands::a_restore_brings_back_what_was_backed_up_and_nothing_else"),
    ),
    (
        "src/guide/inbox.md",
        "sh",
        "inbox restore",
        Run("guide::commands::a_restore_brings_back_what_was_backed_up_and_nothing_else"),
    ),
    ("src/guide/inbox.md", "sh", "inbox import", Run("guide::commands::an_inbox_moves_as_the_page_says")),
    ("src/guide/inbox.md", "sh", "/events ", Run("guide::commands::the_curl_command_that_follows_is_accepted")),
    ("src/guide/inbox.md", "js", "EventSource", Run("tests/browser/follow.test.js")),
    ("src/guide/inbox.md", "python", "urllib", Run("cli::events_python::it_continues_after_restarts")),
    ("src/guide/keys.md", "sh", "echo \"APInew", Run("rotation::steps::three_steps_lose_no_webhook")),
    ("src/guide/keys.md", "sh", "grep '^APInew", Run("rotation::steps::three_steps_lose_no_webhook")),
    ("src/guide/keys.md", "sh", "grep -v '^APIold", Run("rotation::steps::three_steps_lose_no_webhook")),
    ("src/guide/operating.md", "sh", "roomkey_0.1.0-1", NotRun("it needs a release")),
    ("src/guide/operating.md", "sh", "install -m 755 roomkey ", Run(".ci/deploy")),
    ("src/guide/operating.md", "sh", "/root/backend-token)\ncat", Run(".ci/deploy")),
    ("src/guide/operating.md", "sh", "enable --now roomkey.socket", Run(".ci/deploy")),
    (
        "src/guide/operating.md",
        "sh",
        "get.livekit.io",
        NotRun("it loads a program; `.ci/deploy` builds the same from the Go proxy"),
    ),
    ("src/guide/operating.md", "sh", "livekit.yaml", Run(".ci/deploy")),
    ("src/guide/operating.md", "sh", "openssl req", Run(".ci/deploy")),
    ("src/guide/operating.md", "sh", "certbot", NotRun("it needs a public name")),
    ("src/guide/operating.md", "sh", "deploy nginx.conf", Run(".ci/deploy")),
    ("src/guide/operating.md", "sh", "roomkey/token", Run(".ci/deploy")),
    ("src/guide/operating.md", "sh", "CreateRoom", Run(".ci/deploy")),
    ("src/guide/operating.md", "sh", "sentinel monitor", Run(".ci/deploy")),
    ("src/guide/operating.md", "sh", "echo 'ROOMKEY_INBOX=", Run(".ci/deploy")),
    ("src/guide/operating.md", "sh", "move()", Run(".ci/deploy")),
    ("src/guide/operating.md", "sh", "chown --reference", Run(".ci/deploy")),
    ("src/guide/operating.md", "sh", "sha256sum --check", NotRun("it needs a release")),
    ("src/guide/operating.md", "sh", "podman build", NotRun("it needs an engine for containers")),
    ("src/guide/operating.md", "sh", "prometheus-rules.yaml", Run("deploy::files::every_file_is_listed_and_printed_as_it_is")),
    ("src/guide/operating.md", "sh", "try-restart", Run(".ci/deploy")),
    ("src/guide/operating.md", "sh", "VACUUM INTO", Run(".ci/deploy")),
    ("src/guide/operating.md", "sh", "inbox restore", Run(".ci/deploy")),
    ("src/guide/policy.md", "console", "policy check", Run("guide::policy::what_the_commands_print_is_what_the_page_shows")),
    ("src/guide/policy.md", "console", "policy test", Run("guide::policy::what_the_commands_print_is_what_the_page_shows")),
    ("src/guide/relay.md", "sh", "openssl rand", Run("guide::relay::the_first_target_can_be_used")),
    ("src/guide/relay.md", "js", "express", Run("tests/providers/relay.test.js")),
    ("src/guide/relay.md", "python", "aiohttp", Run("tests/providers/relay.test.js")),
    ("src/guide/relay.md", "go", "protocol/webhook", Run("tests/providers/relay.test.js")),
    ("src/guide/relay.md", "rust,ignore", "livekit_api", Run("tests/providers/relay.test.js")),
    ("src/guide/settings.md", "sh", "openssl rand", Run("guide::commands::the_key_for_production_reaches_livekit_and_roomkey")),
    (
        "src/guide/settings.md",
        "sh",
        "LIVEKIT_KEYS_FILE=",
        Run("guide::commands::the_key_for_production_reaches_livekit_and_roomkey"),
    ),
    ("src/guide/settings.md", "yaml", "key_file", Run("guide::commands::the_key_for_production_reaches_livekit_and_roomkey")),
];

/// Languages of blocks that nothing could run.
const DATA: [&str; 4] = ["json", "text", "toml", "yaml"];

pub(crate) fn page(name: &str) -> String {
    fs::read_to_string(fixtures::path(name)).unwrap()
}

/// The fenced blocks of a page: language and content.
fn all_blocks(page_name: &str) -> Vec<(String, String)> {
    let content = page(page_name);
    let parts: Vec<&str> = content.split("```").collect();
    assert!(parts.len() % 2 == 1, "{page_name}: a block does not end");
    let blocks = parts.iter().skip(1).step_by(2).map(|block| block.split_once('\n').unwrap());
    blocks.map(|(language, code)| (language.to_owned(), code.to_owned())).collect()
}

/// The blocks of one language on a page.
pub(crate) fn blocks(page_name: &str, language: &str) -> impl Iterator<Item = String> {
    all_blocks(page_name).into_iter().filter(move |(each, _)| each == language).map(|(_, code)| code)
}

/// The one block of a language on a page that contains `text`.
pub(crate) fn block(page_name: &str, language: &str, text: &str) -> String {
    let mut found: Vec<String> = blocks(page_name, language).filter(|block| block.contains(text)).collect();
    assert_eq!(found.len(), 1, "{page_name}: {text} in {found:#?}");
    found.remove(0)
}

/// Whether a test exists: `module::function`, or a file.
fn is_test(name: &str) -> bool {
    let Some((modules, function)) = name.rsplit_once("::") else { return fixtures::path(name).is_file() };
    let file = fixtures::path("tests/it").join(modules.replace("::", "/"));
    let source = fs::read_to_string(file.with_extension("rs")).or_else(|_| fs::read_to_string(file.join("mod.rs")));
    source.is_ok_and(|source| source.contains(&format!("fn {function}()")))
}

#[test]
fn every_page_is_listed_here_and_in_the_crate() {
    let files = fs::read_dir(fixtures::path("src/guide")).unwrap();
    let files = files.map(|file| format!("src/guide/{}", file.unwrap().file_name().to_str().unwrap()));
    let files = files.filter(|file| file.ends_with(".md"));
    let listed: BTreeSet<String> = PAGES.iter().skip(1).map(|&name| name.to_owned()).collect();
    assert_eq!(files.collect::<BTreeSet<_>>(), listed);
    let (lib, readme) = (page("src/lib.rs"), page("README.md"));
    for name in listed {
        assert!(lib.contains(&format!("\"{}\"", name.strip_prefix("src/").unwrap())), "lib.rs lacks {name}");
        assert!(readme.contains(&format!("({name}")), "the README does not link to {name}");
    }
}

#[test]
fn every_block_is_run_or_has_a_reason() {
    for (page_name, language, text, usage) in &BLOCKS {
        block(page_name, language, text);
        match usage {
            Run(test) => assert!(is_test(test), "{page_name}: {text}: there is no test {test}"),
            NotRun(reason) => assert!(!reason.is_empty(), "{page_name}: {text}: no reason"),
        }
    }
    for name in PAGES {
        for (language, code) in all_blocks(name) {
            let listed = BLOCKS.iter().any(|block| block.0 == name && block.1 == language && code.contains(block.2));
            let known = listed || language == "rust" || DATA.contains(&language.as_str());
            assert!(known, "{name}: add this block of {language:?} to BLOCKS, and run it in a test:\n{code}");
        }
    }
}

/// What GitHub makes of a heading: the part of a link after `#`.
fn anchor(heading: &str) -> String {
    let kept = heading
        .to_lowercase()
        .chars()
        .filter(|each| each.is_alphanumeric() || matches!(each, ' ' | '-' | '_'))
        .collect::<String>();
    kept.replace(' ', "-")
}

#[test]
fn every_link_leads_somewhere() {
    for name in PAGES.into_iter().chain([".github/CONTRIBUTING.md", ".github/SECURITY.md"]) {
        let content = page(name);
        let inline = content.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
        let defined = content.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: ")).map(|(_, target)| target);
        for target in inline.chain(defined).filter(|target| !target.starts_with("https://")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let directory = Path::new(name).parent().unwrap();
            let path = if file.is_empty() { name.into() } else { directory.join(file) };
            let linked = fs::read_to_string(fixtures::path(path.to_str().unwrap()));
            let linked = linked.unwrap_or_else(|error| panic!("{name}: {target}: {error}"));
            let mut headings =
                linked.lines().filter_map(|line| Some(anchor(line.strip_prefix('#')?.trim_start_matches('#').trim())));
            assert!(heading.is_empty() || headings.any(|each| each == heading), "{name}: {target} is no heading");
        }
        let lib = page("src/lib.rs");
        for label in content.lines().filter_map(|line| Some(line.strip_prefix('[')?.split_once("]: ")?.0)) {
            assert!(lib.contains(&format!("[{label}]: ")), "lib.rs does not define [{label}] for rustdoc");
        }
    }
}

#[test]
fn every_test_of_the_threat_model_exists() {
    let content = page("src/guide/security.md");
    let rows = content.lines().skip_while(|line| *line != "## Threat model").take_while(|line| !line.starts_with("### "));
    let rows: Vec<&str> = rows.filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 10, "{rows:#?}");
    for row in rows {
        let tests: Vec<&str> = row.split(" | ").nth(2).unwrap().split('`').skip(1).step_by(2).collect();
        assert!(!tests.is_empty(), "no test: {row}");
        for test in tests {
            assert!(is_test(test), "there is no test {test}");
        }
    }
}
