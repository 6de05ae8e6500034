//! Checks the guide's page on the policy file: its examples are the fixtures, its sections can be used, and its commands print what it
//! shows.

use super::sessions::{run, shape};
use super::{block, blocks};
use crate::fixtures;
use crate::harness::directory::Directory;
use crate::harness::program::Start;

const PAGE: &str = "src/guide/policy.md";
const EXAMPLES: [&str; 3] = ["classroom", "support", "webinar"];

fn example(name: &str) -> String {
    std::fs::read_to_string(fixtures::path("fixtures/policy").join(format!("{name}.toml"))).unwrap()
}

#[test]
fn the_examples_are_the_fixtures() {
    assert_eq!(blocks(PAGE, "toml").take(3).collect::<Vec<_>>(), EXAMPLES.map(example));
}

#[test]
fn every_identity_provider_has_a_section_without_a_mistake() {
    let sections = block(PAGE, "toml", "[callers.auth0]");
    let stdout = Start::command(["policy", "check", "-"])
        .stdin(sections.clone())
        .env("CORS_ORIGIN", "https://app.example.com")
        .run()
        .done();
    let unexpected: Vec<_> =
        stdout.lines().filter(|line| !line.contains("no rule names") && !line.contains("no [[rule]]")).collect();
    assert_eq!(unexpected, ["-: 11 callers, 0 rules, no mistakes"]);
    let table = super::page(PAGE);
    for name in sections.lines().filter_map(|line| line.strip_prefix("[callers.")) {
        assert!(table.contains(&format!("| `[callers.{name}` |")), "the table lacks {name}");
    }
}

#[test]
fn what_the_commands_print_is_what_the_page_shows() {
    let directory = Directory::new();
    directory.write("classroom.toml", example("classroom"));
    directory.write(
        "mistaken.toml",
        "[callers.school]\nkind = \"OIDC\"\nissuer = \"https://id.school.example\"\n\n[[rule]]\nname = \"pupil\"\ncaller = \"school\"\n\
         room = \"a\"\nidentity = \"{user}\"\nallow = [\"publish.screen\"]\n",
    );
    for session in blocks(PAGE, "console") {
        let (command, shown) = session.strip_prefix("$ ").unwrap().split_once('\n').unwrap();
        let (_, stdout, stderr) = run(directory.path(), command);
        assert_eq!((shape(&stdout), &*stderr), (shape(shown), ""), "{command} prints:\n{stdout}");
    }
}
