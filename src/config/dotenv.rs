//! Owns the file `.env`.

use std::io;
use std::path::Path;

use crate::config::ConfigError;

/// The variables of the file `.env` in `directory`, if it is there.
///
/// # Errors
/// Where it cannot be read, or a line of it cannot be understood.
pub fn read_dotenv(directory: &Path) -> Result<Vec<(String, String)>, ConfigError> {
    let path = directory.join(".env");
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(ConfigError::Unreadable { setting: ".env", path, source }),
    };
    // The error quotes the line, or the value in it, which may be a secret: only the line's number is told.
    dotenvy::from_read_iter(text.as_slice()).collect::<Result<_, _>>().map_err(|error| match error {
        dotenvy::Error::LineParse(line, _) => {
            let text = String::from_utf8_lossy(&text);
            let quoted = line.lines().next().unwrap_or_default();
            let number = text.lines().position(|each| !each.trim_start().starts_with('#') && each.contains(quoted));
            ConfigError::DotenvLine { line: number.map_or(1, |index| index.saturating_add(1)) }
        }
        _ => ConfigError::Unreadable { setting: ".env", path: path.clone(), source: io::ErrorKind::InvalidData.into() },
    })
}
