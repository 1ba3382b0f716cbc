//! Texts of others, for those who take not all of them: not any length, or not any character.

use std::borrow::Cow;

/// Returns a text of at most `most` bytes: `text` itself, or its beginning and its end with a note between them.
///
/// The end is kept because the cause of an error stands there, and the beginning because it says what the text is.
pub(crate) fn shorten(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return Cow::Borrowed(text);
    }
    // Computed with the longest possible number, so that the true one fits.
    let room = most.saturating_sub(note(text.len()).len());
    let beginning = &text[..text.floor_char_boundary(room.div_ceil(2))];
    let end = &text[text.ceil_char_boundary(text.len() - room / 2)..];
    let left_out = text.len() - beginning.len() - end.len();
    Cow::Owned(format!("{beginning}{}{end}", note(left_out)))
}

/// Returns the note that stands for what is left out of a text.
pub(crate) fn note(bytes: usize) -> String {
    format!(" (… {bytes} bytes are left out here …) ")
}

/// Returns a line with its control characters replaced by their pictures (`␛`). Names, labels and logs are whatever somebody
/// wrote, and control characters could move the cursor or hide text.
pub(crate) fn harmless(line: &str) -> String {
    line.chars()
        .map(|character| match character {
            '\t' => character,
            '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(character)).unwrap_or(char::REPLACEMENT_CHARACTER),
            '\u{7f}' => '\u{2421}',
            _ if character.is_control() => char::REPLACEMENT_CHARACTER,
            _ => character,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_fits_stays_as_it_is() {
        assert_eq!(shorten("as it is", 8), "as it is");
        assert_eq!(shorten("", 0), "");
    }

    #[test]
    fn a_longer_one_keeps_its_beginning_and_its_end_and_says_what_is_missing() {
        let text = format!("begin{}end", "-".repeat(1000));
        let short = shorten(&text, 100);
        assert!(short.starts_with("begin") && short.ends_with("end"), "{short}");
        assert!(short.len() <= 100, "{}", short.len());
        let kept = short.matches('-').count();
        assert!(short.contains(&format!("(… {} bytes are left out here …)", 1000 - kept)), "{short}");
    }

    #[test]
    fn letters_of_several_bytes_are_never_cut_in_two() {
        for most in 50..60 {
            assert!(shorten(&"€".repeat(100), most).len() <= most);
        }
    }
}
