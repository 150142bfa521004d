//! Prometheus' own text format, for readers that do not request `OpenMetrics`: `curl`, `promtool`, older agents.

use std::fmt::Write as _;

/// Rewrites an `OpenMetrics` text: in that format a counter's family is named without `_total` and an info's without `_info`, units
/// have lines of their own and the text ends with a mark.
pub(super) fn classic(open: &str) -> String {
    let mut text = String::with_capacity(open.len());
    let mut help = None;
    for line in open.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            help = rest.split_once(' ');
        } else if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let (ending, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                kind => ("", kind),
            };
            if let Some((_, help)) = help.take() {
                let _ = writeln!(text, "# HELP {name}{ending} {help}");
            }
            let _ = writeln!(text, "# TYPE {name}{ending} {kind}");
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_named_as_their_series_are_and_values_stay() {
        let open = "# HELP calls Calls made.\n# TYPE calls counter\ncalls_total{a=\"# b\"} 1\n\
                    # HELP age_seconds Age.\n# TYPE age_seconds gauge\n# UNIT age_seconds seconds\nage_seconds 2.5\n\
                    # HELP build Version.\n# TYPE build info\nbuild_info{v=\"1\"} 1\n# EOF\n";
        let expected = "# HELP calls_total Calls made.\n# TYPE calls_total counter\ncalls_total{a=\"# b\"} 1\n\
                        # HELP age_seconds Age.\n# TYPE age_seconds gauge\nage_seconds 2.5\n\
                        # HELP build_info Version.\n# TYPE build_info gauge\nbuild_info{v=\"1\"} 1\n";
        assert_eq!(classic(open), expected);
    }
}
