//! A Rust file taken apart, so that a rule about code does not stumble over a string and one about comments not over code.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// A breach of a rule: where, what, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    pub path: String,
    pub line: usize,
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.text)
    }
}

/// One Rust file. `code` and `comments` are the file with everything else blanked out, line by line.
pub struct Source {
    pub path: String,
    pub raw: Vec<String>,
    pub code: Vec<String>,
    pub comments: Vec<String>,
}

/// The lines from the head of an item to its closing brace, counted from 0, both included.
pub struct Extent {
    pub name: String,
    pub first: usize,
    pub last: usize,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let (code, comments) = take_apart(text);
        let lines = |text: &str| text.lines().map(str::to_owned).collect();
        Source { path: path.to_owned(), raw: lines(text), code: lines(&code), comments: lines(&comments) }
    }

    pub fn finding(&self, line: usize, text: String) -> Finding {
        Finding { path: self.path.clone(), line: line + 1, text }
    }

    /// The folder or file directly under src that it belongs to.
    pub fn room(&self) -> Option<&str> {
        let first = self.path.strip_prefix("src/")?.split('/').next()?;
        Some(first.strip_suffix(".rs").unwrap_or(first))
    }

    /// Whether each line is compiled for tests only: that of a `#[cfg(test)]` module, or of a file of tests.
    pub fn test_lines(&self) -> Vec<bool> {
        let whole =
            self.path.starts_with("tests/") || self.path.contains("/tests/") || self.path.ends_with("/tests.rs");
        let mut test = vec![whole; self.raw.len()];
        for module in self.extents("mod") {
            let above = module.first.saturating_sub(3)..module.first;
            if self.code[above].iter().any(|line| line.trim() == "#[cfg(test)]") {
                test[module.first..=module.last].fill(true);
            }
        }
        test
    }

    /// Every item of a kind (`fn`, `mod`) that has a body in braces.
    pub fn extents(&self, keyword: &str) -> Vec<Extent> {
        let text: Vec<char> = self.code.join("\n").chars().collect();
        let mut line = 0;
        let mut extents = Vec::new();
        for at in 0..text.len() {
            if text[at] == '\n' {
                line += 1;
            }
            if !starts_word(&text, at, keyword) {
                continue;
            }
            let name: String = text[at + keyword.len()..].iter().skip(1).take_while(|c| is_ident(**c)).collect();
            if let (false, Some(length)) = (name.is_empty(), body_lines(&text[at..])) {
                extents.push(Extent { name, first: line, last: line + length });
            }
        }
        extents
    }
}

/// Line breaks from the head of an item to the brace that closes its body; none if it has no body.
fn body_lines(text: &[char]) -> Option<usize> {
    let (mut round, mut curly, mut lines) = (0_i32, 0_i32, 0);
    for &c in text {
        match c {
            '\n' => lines += 1,
            '(' | '[' => round += 1,
            ')' | ']' => round -= 1,
            ';' if round == 0 && curly == 0 => return None,
            '{' => curly += 1,
            '}' => curly -= 1,
            _ => continue,
        }
        if c == '}' && curly == 0 {
            return Some(lines);
        }
    }
    None
}

pub fn is_ident(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn starts_word(text: &[char], at: usize, word: &str) -> bool {
    let end = at + word.chars().count();
    let free = |index: usize| text.get(index).is_none_or(|&c| !is_ident(c));
    end <= text.len()
        && word.chars().eq(text[at..end].iter().copied())
        && (at == 0 || free(at - 1))
        && (free(end) || !word.ends_with(is_ident))
}

/// Whether `word` stands in `line` and is not a part of a longer name.
pub fn has_word(line: &str, word: &str) -> bool {
    let text: Vec<char> = line.chars().collect();
    (0..text.len()).any(|at| starts_word(&text, at, word))
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Code,
    Line,
    Block(usize),
    Text,
    RawText(usize),
}

/// The code and the comments of a file, each with the rest blanked out and every line break kept.
fn take_apart(text: &str) -> (String, String) {
    let text: Vec<char> = text.chars().collect();
    let (mut code, mut comments) = (String::new(), String::new());
    let (mut mode, mut at) = (Mode::Code, 0);
    while at < text.len() {
        let (next, length) = step(&text, at, mode);
        let comment = [mode, next].iter().any(|mode| matches!(mode, Mode::Line | Mode::Block(_)));
        let plain = mode == Mode::Code && next == Mode::Code && length == 1;
        for &c in &text[at..(at + length).min(text.len())] {
            code.push(if c == '\n' || plain { c } else { ' ' });
            comments.push(if c == '\n' || comment { c } else { ' ' });
        }
        (mode, at) = (next, at + length);
    }
    (code, comments)
}

/// The mode after the next token, and how many characters that token has.
fn step(text: &[char], at: usize, mode: Mode) -> (Mode, usize) {
    let peek = |ahead: usize| text.get(at + ahead).copied().unwrap_or('\n');
    match (mode, text[at], peek(1)) {
        (Mode::Code, '/', '/') => (Mode::Line, 2),
        (Mode::Code, '/', '*') => (Mode::Block(1), 2),
        (Mode::Code, '"', _) => (Mode::Text, 1),
        (Mode::Code, 'r', '"' | '#') => {
            let hashes = text[at + 1..].iter().take_while(|&&c| c == '#').count();
            let starts = at == 0 || !is_ident(text[at - 1]) || matches!(text[at - 1], 'b' | 'c');
            let raw = starts && peek(1 + hashes) == '"';
            if raw { (Mode::RawText(hashes), 2 + hashes) } else { (mode, 1) }
        }
        (Mode::Code, '\'', '\\') => (mode, 3 + text[at + 3..].iter().take_while(|&&c| c != '\'').count() + 1),
        (Mode::Code, '\'', _) if peek(2) == '\'' => (mode, 3),
        (Mode::Line, '\n', _) => (Mode::Code, 1),
        (Mode::Block(depth), '/', '*') => (Mode::Block(depth + 1), 2),
        (Mode::Block(1), '*', '/') => (Mode::Code, 2),
        (Mode::Block(depth), '*', '/') => (Mode::Block(depth - 1), 2),
        (Mode::Text, '\\', _) => (mode, 2),
        (Mode::Text, '"', _) => (Mode::Code, 1),
        (Mode::RawText(hashes), '"', _)
            if text[at + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes =>
        {
            (Mode::Code, 1 + hashes)
        }
        _ => (mode, 1),
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the project, without what is built and what git keeps, as paths from its top.
pub fn files() -> Vec<String> {
    let mut folders = vec![root().to_path_buf()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            match (path.is_dir(), name.as_str()) {
                (_, ".git" | "target") => {}
                (true, _) => folders.push(path),
                (false, _) => files.push(name),
            }
        }
    }
    files.sort();
    assert!(files.iter().any(|name| name == "Cargo.toml"), "the walk over the project found no Cargo.toml");
    files
}

/// Every file that is text, with its text.
pub fn texts() -> Vec<(String, String)> {
    let text = |name: String| fs::read_to_string(root().join(&name)).ok().map(|text| (name, text));
    files().into_iter().filter_map(text).collect()
}

/// Every Rust file.
pub fn sources() -> Vec<Source> {
    let sources: Vec<Source> =
        texts().iter().filter(|(name, _)| name.ends_with(".rs")).map(|(name, text)| Source::new(name, text)).collect();
    assert!(sources.iter().any(|source| source.path == "src/lib.rs"), "the walk over the project found no src/lib.rs");
    sources
}

/// Fails with every finding on a line of its own.
pub fn assert_none(findings: &[Finding]) {
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(lines.is_empty(), "\n{}\n", lines.join("\n"));
}

/// The lines a rule objects to in a text that is put before it as the file at `path`.
pub fn caught(rule: fn(&Source) -> Vec<Finding>, path: &str, text: &str) -> Vec<usize> {
    rule(&Source::new(path, text)).iter().map(|finding| finding.line).collect()
}

#[test]
fn literals_and_comments_are_told_from_code() {
    let text =
        "let a = \"x // y\"; // z\nlet b = r#\"q\" //\"#; 'l: loop {} let c = '\\''; let d = '\"'; /* e\n/* f */ */ g";
    let source = Source::new("src/x.rs", text);
    assert_eq!(source.code.join("|").split_whitespace().collect::<Vec<_>>().join(" "), {
        "let a = ; |let b = ; 'l: loop {} let c = ; let d = ; | g"
    });
    assert_eq!(source.comments[0].trim(), "// z");
    assert_eq!(source.comments[1].trim(), "/* e");
    assert_eq!(source.comments[2].trim(), "/* f */ */");
}

#[test]
fn items_end_where_their_brace_closes() {
    let source = Source::new("src/x.rs", "fn a(x: [u8; 2]) {\n  if x {}\n}\nfn b();\nmod c {\n  fn d() {}\n}\n");
    let functions: Vec<_> = source.extents("fn").iter().map(|e| (e.name.clone(), e.first, e.last)).collect();
    assert_eq!(functions, [("a".to_owned(), 0, 2), ("d".to_owned(), 5, 5)]);
    assert_eq!(source.extents("mod").iter().map(|e| (e.first, e.last)).collect::<Vec<_>>(), [(4, 6)]);
}
