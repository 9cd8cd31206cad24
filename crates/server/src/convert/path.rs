//! Reading below a path: violations name where they are.

use rekindle_core::violation::Violations;

/// Reads something with `segment` appended to the path.
pub fn within<T>(
    v: &mut Violations,
    segment: impl Into<String>,
    read: impl FnOnce(&mut Violations) -> T,
) -> T {
    let mut value = None;
    v.within(segment, |v| value = Some(read(v)));
    // `within` always runs what it is given.
    value.expect("the value was read")
}

/// Reads a list, each entry under its own path.
pub fn each<M, T>(
    messages: &[M],
    field: &str,
    v: &mut Violations,
    mut read: impl FnMut(&M, &mut Violations) -> T,
) -> Vec<T> {
    let entries = messages.iter().enumerate();
    entries.map(|(place, message)| within(v, format!("{field}[{place}]"), |v| read(message, v))).collect()
}

/// A name for people, or what stands for it: the id, and of one that is none no more than could be a name.
pub fn named(display_name: &str, id: &str) -> String {
    if !display_name.is_empty() {
        return display_name.to_owned();
    }
    id.chars().filter(|letter| !letter.is_control()).take(63).collect()
}
