//! Runs the three steps of the guide's page on keys while LiveKit delivers.

use std::process::Command;

use super::support::{FILE, Key, NEW, OLD, Rotating, list};
use crate::guide;

/// The commands of each step.
fn steps() -> Vec<String> {
    guide::blocks("src/guide/keys.md", "sh").collect()
}

#[test]
fn three_steps_lose_no_webhook() {
    if Command::new("openssl").arg("version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "CI needs openssl");
        return eprintln!("SKIPPED: there is no openssl");
    }
    let mut rotating = Rotating::with(&[OLD]);
    let step = |rotating: &mut Rotating, step: &str| {
        let path = std::env::var("PATH").unwrap();
        let directory = rotating.program.directory();
        let status = Command::new("sh").args(["-ec", step]).env_clear().env("PATH", path).current_dir(directory).status();
        assert!(status.unwrap().success(), "{step}");
        rotating.program.wait_for("keys reloaded");
        let content = std::fs::read_to_string(rotating.path(FILE)).unwrap();
        content.lines().filter(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect::<String>()
    };
    let [first, second, third] = <[String; 3]>::try_from(steps()).unwrap();

    let content = step(&mut rotating, &first);
    let secret = content.lines().last().unwrap().strip_prefix("APInew: ").unwrap();
    let new: Key = (NEW.0, secret.to_owned().leak());
    assert_eq!(content, list(&[OLD, new]));
    assert_eq!(([OLD, new].map(|key| rotating.delivered(key)), rotating.minting().as_str()), ([200, 200], OLD.0));

    assert_eq!(step(&mut rotating, &second), list(&[new, OLD]));
    assert_eq!(([OLD, new].map(|key| rotating.delivered(key)), rotating.minting().as_str()), ([200, 200], NEW.0));

    assert_eq!(step(&mut rotating, &third), list(&[new]));
    assert_eq!(([OLD, new].map(|key| rotating.delivered(key)), rotating.minting().as_str()), ([401, 200], NEW.0));
    let log = rotating.program.stop();
    // A webhook that the old key signs is refused now, and the log says so.
    let warnings: Vec<_> = log.iter().filter(|line| line.contains("WARN")).collect();
    assert!(matches!(warnings[..], [line] if line.contains("webhook refused") && line.contains(r#"key="APIold""#)), "{log:#?}");
}
