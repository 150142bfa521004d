//! Name patterns in which `*` matches any run of characters.

use std::fmt;

/// A name in which `*` matches any run of characters, including none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(String);

impl Pattern {
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// Whether any of `patterns` matches `name`.
    pub(super) fn any(patterns: &[Self], name: &str) -> bool {
        Self::of(patterns, name).next().is_some()
    }

    /// Returns those of `patterns` that match `name`.
    pub(super) fn of<'a>(patterns: &'a [Self], name: &'a str) -> impl Iterator<Item = &'a Self> {
        patterns.iter().filter(move |pattern| pattern.matches(name))
    }

    /// Whether the pattern names a host literally, with a wildcard at most in the port.
    pub(super) fn names_host(&self) -> bool {
        self.0.split_once('*').is_none_or(|(before, _)| before.ends_with(':'))
    }

    fn matches(&self, name: &str) -> bool {
        let Some((start, rest)) = self.0.split_once('*') else { return self.0 == name };
        let Some(mut name) = name.strip_prefix(start) else { return false };
        let mut parts = rest.split('*').peekable();
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return name.ends_with(part);
            }
            // the first match suffices: it leaves the most for the following parts
            let Some((_, rest)) = name.split_once(part) else { return false };
            name = rest;
        }
        true
    }
}

/// Converts each of `texts` to a pattern.
pub(super) fn patterns(texts: &[String]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::new(text)).collect()
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_matches_any_run_of_characters() {
        let cases = [
            ("*", "", true),
            ("*", "anything", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("a*", "ba", false),
            ("*b", "ab", true),
            ("*b", "abc", false),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*a", "a", false),
            ("a*b*c", "aXbYc", true),
            ("a*b*c", "aXcYb", false),
            ("**", "x", true),
            ("*ab*", "aab", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(Pattern::new(pattern).matches(name), expected, "{pattern} on {name}");
        }
    }
}
