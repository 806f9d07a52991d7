//! What the reports of the tools share as HTML pages: they have no scripts and no other resources.

use std::fmt::{self, Write as _};

/// The page defines the colours `--ink`, `--paper` and `--line`.
const STYLE: &str = "\
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1000px;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.4rem}h2{font-size:1.1rem}.wide{overflow-x:auto}\
table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:right;border-bottom:1px solid var(--line)}";

/// Writes everything before the content. The title is escaped here, the style is taken as it is.
pub fn begin(out: &mut String, title: &str, style: &str) -> fmt::Result {
    writeln!(
        out,
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{}</title><style>{STYLE}{style}</style>",
        escape(title)
    )
}

/// A text as it stands in an element or a quoted attribute.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_stays_within_its_element() {
        let mut out = String::new();
        begin(&mut out, "</title><script>\"&", "").unwrap();
        assert!(out.contains("<title>&lt;/title&gt;&lt;script&gt;&quot;&amp;</title>"));
    }
}
