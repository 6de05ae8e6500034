//! What becomes of a target whose file is read again.

use super::sending::settings;
use crate::clock::Clock;
use crate::inbox::Inbox;
use crate::relay::handle::Relay;
use crate::relay::settings::TargetSettings;

#[tokio::test]
async fn targets_with_the_same_settings_go_on() {
    let target = |name: &str| TargetSettings { name: name.into(), ..settings("http://localhost:1/") };
    let mut changed = target("changed");
    changed.options.concurrency += 1;
    let relay = Relay::new(Inbox::none(), Clock::system()).unwrap();
    relay.put(vec![target("same"), target("changed"), target("removed")]);
    let before = relay.tasks();
    relay.put(vec![target("new"), changed, target("same")]);
    let after = relay.tasks();
    assert_eq!(relay.names().iter().map(|name| &**name).collect::<Vec<_>>(), ["new", "changed", "same"]);
    assert_eq!(after[2], before[0], "same");
    assert!(!before.contains(&after[0]) && !before.contains(&after[1]));
    relay.put(vec![]);
    relay.put(vec![target("same")]);
    assert!(!after.contains(&relay.tasks()[0]), "a target that was removed begins again");
    relay.stop().await;
}
