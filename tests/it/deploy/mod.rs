//! Tests of what operators deploy: the files that `roomkey deploy` prints, and the commands that they use, `check` and `healthcheck`.
//! Programs that read these files check them in `.ci/deploy`.

mod check;
mod files;
mod healthcheck;
