//! Who asked the API server how often, by its audit log.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::PathBuf,
};

use serde::Deserialize;

/// The audit log of a cluster, which has a line for each request before it is answered.
#[derive(Clone, Debug)]
pub struct AuditLog {
    path: PathBuf,
}

#[derive(Deserialize)]
struct Event {
    user: User,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

impl AuditLog {
    /// The log in that file.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// How long it is, in bytes. Before the first request there is none.
    ///
    /// # Errors
    /// When the file cannot be looked at.
    pub fn length(&self) -> io::Result<u64> {
        match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
            metadata => Ok(metadata?.len()),
        }
    }

    /// How many requests a user has made since the log was of that length.
    ///
    /// # Errors
    /// When the file cannot be read, or a line of it is none of an audit log.
    pub fn requests_since(&self, length: u64, user: &str) -> io::Result<u64> {
        let mut text = String::new();
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(length))?;
        file.read_to_string(&mut text)?;
        Ok(requests(&text, user)?)
    }
}

fn requests(text: &str, user: &str) -> serde_json::Result<u64> {
    // Somebody else's line may just be written.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let mut count = 0;
    for line in whole.lines() {
        let event: Event = serde_json::from_str(line)?;
        count += u64::from(event.user.username == user);
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_users_own_whole_lines_count() {
        let line = |user: &str| format!("{{\"verb\":\"get\",\"user\":{{\"username\":\"{user}\"}}}}\n");
        let text = [line("charm"), line("velero"), line("charm"), "{\"verb\":\"ge".to_owned()].concat();
        assert_eq!(requests(&text, "charm").unwrap(), 2);
        assert_eq!(requests("", "charm").unwrap(), 0);
        assert!(requests("no event\n", "charm").is_err());
    }

    #[test]
    fn what_was_there_before_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let log = AuditLog::new(folder.path().join("audit.log"));
        assert_eq!(log.length().unwrap(), 0);
        let line = "{\"user\":{\"username\":\"charm\"}}\n";
        fs::write(&log.path, line).unwrap();
        let length = log.length().unwrap();
        fs::write(&log.path, line.repeat(3)).unwrap();
        assert_eq!(log.requests_since(length, "charm").unwrap(), 2);
    }
}
