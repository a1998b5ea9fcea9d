/// Most bytes of a line that are kept.
const MOST: usize = 256;

/// Keeps the last line of all that a program prints, in little memory.
#[derive(Debug, Default)]
pub(super) struct LastLine {
    /// The line that has not ended yet, its beginning only.
    open: Vec<u8>,
    /// The last line that ended and was not blank.
    ended: Vec<u8>,
}

impl LastLine {
    /// Takes in what was printed next.
    pub(super) fn push(&mut self, printed: &[u8]) {
        let mut lines = printed.split(|byte| *byte == b'\n');
        // The first piece goes on with the open line; every further one begins with a line break.
        if let Some(first) = lines.next() {
            self.append(first);
        }
        for line in lines {
            if !is_blank(&self.open) {
                std::mem::swap(&mut self.open, &mut self.ended);
            }
            self.open.clear();
            self.append(line);
        }
    }

    fn append(&mut self, piece: &[u8]) {
        let room = MOST.saturating_sub(self.open.len()).min(piece.len());
        self.open.extend_from_slice(piece.get(..room).unwrap_or_default());
    }

    /// The last line that is not blank, at most 256 bytes of text that can be shown on any terminal.
    pub(super) fn text(&self) -> String {
        let line = if is_blank(&self.open) { &self.ended } else { &self.open };
        let text: String = String::from_utf8_lossy(line).chars().filter(|c| is_shown(*c)).collect();
        let text = text.trim();
        let mut end = text.len().min(MOST);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.get(..end).unwrap_or_default().to_owned()
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control())
}

/// Neither control characters nor those that turn the direction of text around.
fn is_shown(c: char) -> bool {
    let unseen = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    !c.is_control() && !unseen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last(pieces: &[&[u8]]) -> String {
        let mut line = LastLine::default();
        pieces.iter().for_each(|piece| line.push(piece));
        line.text()
    }

    #[test]
    fn the_last_line_that_says_something() {
        assert_eq!(last(&[]), "");
        assert_eq!(last(&[b"one\ntwo\n"]), "two");
        assert_eq!(last(&[b"one\ntwo"]), "two");
        assert_eq!(last(&[b"one\ntw", b"o\n\n", b"  \n"]), "two");
        assert_eq!(last(&[b"\n\n"]), "");
    }

    #[test]
    fn it_is_short_and_harmless() {
        assert_eq!(last(&[&[b'x'; 5000], b"\n"]).len(), 256);
        assert_eq!(last(&["\u{e9}".repeat(200).as_bytes()]).chars().count(), 128);
        assert_eq!(last(&[b"\x1b[31mred\x07\r\n"]), "[31mred");
        assert_eq!(last(&["a\u{202e}b\u{0}c".as_bytes()]), "abc");
        assert!(last(&[&[0xff; 300]]).len() <= 256);
    }
}
