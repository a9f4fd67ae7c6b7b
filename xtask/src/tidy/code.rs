//! Rust source with everything that is not code blanked out.
//!
//! A scanner for comments, strings and characters, enough to search for names without being fooled by
//! prose. Absent on purpose: a parser. Lines and columns stay where they were.

/// `source` with comments and the insides of literals replaced by spaces; line breaks are kept.
pub(super) fn blank(source: &str) -> String {
    let text: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut at = 0;
    while at < text.len() {
        let end = match text[at] {
            '/' if text.get(at + 1) == Some(&'/') => find(&text, at, |c| c == '\n'),
            '/' if text.get(at + 1) == Some(&'*') => block_comment(&text, at),
            '"' => string(&text, at),
            'r' if !continues_word(&text, at) => raw_string(&text, at).unwrap_or(at),
            '\'' => character(&text, at).unwrap_or(at),
            _ => at,
        };
        if end == at {
            out.push(text[at]);
            at += 1;
        } else {
            out.extend(text[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    out
}

/// Blanks every item of already blanked `code` that is marked `#[cfg(test)]`.
pub(super) fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(start) = rest.find(MARK) {
        let end = start + MARK.len() + item_length(&rest[start + MARK.len()..]);
        out.push_str(&rest[..start]);
        out.extend(
            rest[start..end]
                .chars()
                .map(|c| if c == '\n' { '\n' } else { ' ' }),
        );
        rest = &rest[end..];
    }
    out.push_str(rest);
    out
}

/// Modules in files of their own that blanked `code` declares under `#[cfg(test)]`.
pub(super) fn test_modules(code: &str) -> Vec<&str> {
    code.split("#[cfg(test)]")
        .skip(1)
        .filter_map(|item| {
            let declaration = item[..item_length(item)].trim().strip_suffix(';')?;
            declaration.rsplit_once("mod ").map(|(_, name)| name.trim())
        })
        .collect()
}

/// Whether `word` stands in `code` with no letter, digit or underscore around it.
pub(super) fn has_word(code: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(start, _)| {
        !code[..start].chars().next_back().is_some_and(part)
            && !code[start + word.len()..].chars().next().is_some_and(part)
    })
}

/// First names of what blanked `code` imports from `root` in braces, with the index of the line each ends on: `a` and
/// `b` for `use root::{a, b::{c, d}}`.
pub(super) fn grouped<'a>(code: &'a str, root: &str) -> Vec<(usize, &'a str)> {
    let opening = format!("{root}::{{");
    let mut names = Vec::new();
    for (start, _) in code.match_indices(&opening) {
        let mut at = start + opening.len();
        let mut depth = 0_usize;
        for (offset, c) in code[at..].char_indices() {
            let end = start + opening.len() + offset;
            if depth == 0 && matches!(c, ',' | '}') {
                let name = code[at..end].trim().split([':', ' ']).next().unwrap_or_default();
                let line = code[..end].trim_end().matches('\n').count();
                names.push((line, name));
                at = end + 1;
            }
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    names
}

/// Bytes to the end of the item that starts here: its semicolon, or the brace that closes its first one.
pub(super) fn item_length(code: &str) -> usize {
    let mut depth = 0_usize;
    for (index, c) in code.char_indices() {
        match c {
            ';' if depth == 0 => return index + 1,
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && c == '}' {
                    return index + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

fn find(text: &[char], from: usize, stop: impl Fn(char) -> bool) -> usize {
    text[from..]
        .iter()
        .position(|&c| stop(c))
        .map_or(text.len(), |offset| from + offset)
}

fn continues_word(text: &[char], at: usize) -> bool {
    let Some(before) = at.checked_sub(1) else {
        return false;
    };
    // `br"..."` and `cr"..."` are raw strings as well; blanking from their `r` is enough.
    let prefix = matches!(text[before], 'b' | 'c') && !(before > 0 && is_word(text[before - 1]));
    is_word(text[before]) && !prefix
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn block_comment(text: &[char], start: usize) -> usize {
    let (mut at, mut depth) = (start + 2, 1_usize);
    while at < text.len() && depth > 0 {
        match (text[at], text.get(at + 1)) {
            ('/', Some('*')) => (at, depth) = (at + 2, depth + 1),
            ('*', Some('/')) => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
    }
    at.min(text.len())
}

fn string(text: &[char], start: usize) -> usize {
    let mut at = start + 1;
    while at < text.len() {
        match text[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

fn raw_string(text: &[char], start: usize) -> Option<usize> {
    let quote = find(text, start + 1, |c| c != '#');
    if text.get(quote) != Some(&'"') {
        return None;
    }
    let hashes = quote - start - 1;
    let mut at = quote + 1;
    loop {
        at = find(text, at, |c| c == '"');
        if at >= text.len() {
            return Some(text.len());
        }
        at += 1;
        if text[at..].iter().take_while(|&&c| c == '#').take(hashes).count() == hashes {
            return Some(at + hashes);
        }
    }
}

/// The end of a character literal; `None` for a lifetime.
fn character(text: &[char], start: usize) -> Option<usize> {
    match (text.get(start + 1)?, text.get(start + 2)) {
        ('\\', _) => Some((find(text, start + 3, |c| c == '\'') + 1).min(text.len())),
        (_, Some('\'')) => Some(start + 3),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_and_literals_are_blanked_and_code_is_kept() {
        for (source, kept, gone) in [
            ("let a = 1; // Mutex", "let a = 1;", "Mutex"),
            ("/* a /* Mutex */ b */ let c", "let c", "Mutex"),
            (r#"f("Mutex \" Mutex"); g"#, "g", "Mutex"),
            ("f(r#\"Mutex \" Mutex\"#); g", "g", "Mutex"),
            ("f(br\"Mutex\\\"); g", "g", "Mutex"),
            ("let q = '\"'; Mutex_kept", "Mutex_kept", "'\"'"),
            ("let q = '\\''; kept", "kept", "\\"),
            ("fn f<'a>(x: &'a str) { kept }", "kept", "\u{0}"),
        ] {
            let blanked = blank(source);
            assert_eq!(blanked.chars().count(), source.chars().count(), "{source}");
            assert!(blanked.contains(kept), "{source} -> {blanked}");
            assert!(!blanked.contains(gone), "{source} -> {blanked}");
        }
    }

    #[test]
    fn tests_are_cut_and_named() {
        let code =
            "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\nfn c() {}\n#[cfg(test)]\nmod more;\n";
        let cut = without_tests(code);
        assert!(
            cut.contains("fn a") && cut.contains("fn c") && !cut.contains("fn b") && !cut.contains("more")
        );
        assert_eq!(cut.lines().count(), code.lines().count());
        assert_eq!(test_modules(code), ["more"]);
    }

    #[test]
    fn groups_are_taken_apart() {
        let code = "use std::{\n  a,\n  b::{c, d::{e}},\n  f as g,\n};\nuse std::{h};\nuse other::{i};\n";
        let names = grouped(code, "std");
        let found: Vec<_> = names.into_iter().filter(|(_, name)| !name.is_empty()).collect();
        assert_eq!(found, [(1, "a"), (2, "b"), (3, "f"), (5, "h")]);
    }

    #[test]
    fn words_are_whole() {
        assert!(
            has_word("a Mutex<T>", "Mutex")
                && !has_word("FairMutex", "Mutex")
                && !has_word("Mutex_", "Mutex")
        );
    }
}
