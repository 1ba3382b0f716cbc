//! `dashboard`.

use sandbox::dashboard::{self, Options};
use sandbox::progress::Progress;

use super::Failure;

pub fn draw(options: &Options) -> Result<(), Failure> {
    Ok(dashboard::draw(options, &Progress::to_stderr())?)
}
