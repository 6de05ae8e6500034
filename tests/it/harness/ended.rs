//! A run of the program that has ended: its status, and all that it wrote.

use serde_json::Value;

/// The warning of a command that uses the development key because none is set.
const DEVELOPMENT_KEY_WARNING: &str = "roomkey: no key is set";

#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    /// Without the lines that the test has waited for.
    pub(crate) stderr: String,
}

impl Ended {
    /// The output of a command that succeeds.
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!(self.status, 0, "{self:?}");
        self.stdout
    }

    #[track_caller]
    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.done()).unwrap()
    }

    /// The one line on stderr of a command that says no.
    #[track_caller]
    pub(crate) fn refused(self) -> String {
        self.only_line(1)
    }

    /// The one line on stderr of a command that is used wrongly.
    #[track_caller]
    pub(crate) fn wrong(self) -> String {
        self.only_line(2)
    }

    #[track_caller]
    fn only_line(self, status: i32) -> String {
        let lines: Vec<_> = self.stderr.lines().filter(|line| !line.starts_with(DEVELOPMENT_KEY_WARNING)).collect();
        assert_eq!((self.status, &*self.stdout, lines.len()), (status, "", 1), "{self:?}");
        assert!(self.stderr.starts_with("roomkey: "), "{self:?}");
        lines.concat()
    }
}
