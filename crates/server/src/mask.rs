//! Update masks: which fields of a message a change touches (AIP-134 and AIP-161).

use pbjson_types::FieldMask;
use rekindle_core::violation::{Violations, quoted};

/// Which fields a change touches.
pub enum Mask {
    /// Every field, populated or not: `*`.
    All,
    /// The fields that are populated in the change: no mask.
    Populated,
    /// These.
    Named(Vec<String>),
}

impl Mask {
    /// Reads a mask over `fields`; notes every path that is none of them.
    pub fn read(mask: Option<&FieldMask>, fields: &[&str], v: &mut Violations) -> Self {
        let Some(paths) = mask.map(|mask| &mask.paths).filter(|paths| !paths.is_empty()) else {
            return Self::Populated;
        };
        if paths.as_slice() == ["*"] {
            return Self::All;
        }
        for path in paths.iter().filter(|path| !fields.contains(&path.as_str())) {
            v.add("updateMask", format!("{} is no field that can be changed", quoted(path)));
        }
        Self::Named(paths.clone())
    }

    /// Whether a field is touched, given whether it is populated in the change.
    pub fn covers(&self, field: &str, populated: bool) -> bool {
        match self {
            Self::All => true,
            Self::Populated => populated,
            Self::Named(paths) => paths.iter().any(|path| path == field),
        }
    }
}

/// Whether a field says anything.
pub fn is_populated<T: Default + PartialEq>(field: &T) -> bool {
    *field != T::default()
}

/// Moves the fields that `mask` covers from one message into another of the same type. In the
/// mask they stand below a path such as `smtp.`, where one is given.
macro_rules! take {
    ($mask:expr, $change:ident => $into:ident { $($field:ident),+ $(,)? }) => {
        $crate::mask::take!($mask, "", $change => $into { $($field),+ })
    };
    ($mask:expr, $path:literal, $change:ident => $into:ident { $($field:ident),+ $(,)? }) => {$(
        let populated = $crate::mask::is_populated(&$change.$field);
        // A raw identifier is spelt with `r#` in Rust alone.
        let field = format!("{}{}", $path, stringify!($field).trim_start_matches("r#"));
        if $mask.covers(&field, populated) {
            $into.$field = $change.$field;
        }
    )+};
}
pub(crate) use take;

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(paths: &[&str]) -> FieldMask {
        FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }
    }

    #[test]
    fn no_mask_means_what_is_populated_and_a_star_means_everything() {
        let mut v = Violations::new();
        let fields = ["display_name", "notes"];
        for empty in [None, Some(&mask(&[]))] {
            let read = Mask::read(empty, &fields, &mut v);
            assert!(read.covers("notes", true) && !read.covers("notes", false));
        }
        let all = Mask::read(Some(&mask(&["*"])), &fields, &mut v);
        assert!(all.covers("notes", false));
        assert!(v.is_empty());
    }

    #[test]
    fn a_named_field_is_touched_even_when_it_is_empty() {
        let mut v = Violations::new();
        let read = Mask::read(Some(&mask(&["notes"])), &["display_name", "notes"], &mut v);
        assert!(read.covers("notes", false) && !read.covers("display_name", true));
        assert!(v.is_empty());
    }

    #[test]
    fn paths_that_are_no_fields_are_refused() {
        let mut v = Violations::new();
        Mask::read(Some(&mask(&["etag", "*"])), &["notes"], &mut v);
        let fields: Vec<_> = v.into_vec().into_iter().map(|it| it.field).collect();
        assert_eq!(fields, ["updateMask", "updateMask"]);
    }
}
