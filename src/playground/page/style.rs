//! What the page has in common with the scaler's own: its style and its script.

use std::sync::LazyLock;

/// Fetches what changes and writes it into the page.
pub(super) const SCRIPT: &str = include_str!("../../admin/page/live.js");

/// The scaler's own sheet, and what only this page needs.
pub(super) static SHEET: LazyLock<String> =
    LazyLock::new(|| [include_str!("../../admin/page/style.css"), include_str!("playground.css")].concat());
