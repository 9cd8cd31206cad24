//! Shares of customers, which the house keeps in parts of 10,000.

use rekindle_core::sequence::arm::PARTS;
use rekindle_core::violation::Violations;

/// Reads the share that is held out, in parts of 10,000.
pub fn held_out(share: f64, field: &str, v: &mut Violations) -> u16 {
    let parts = share * f64::from(PARTS);
    let is_whole = (parts - parts.round()).abs() < 1e-6;
    let fits = (0.0..=0.5).contains(&share) && is_whole;
    v.require(fits, field, "takes a share of 0 to 0.5 in steps of 0.0001");
    if fits { parts.round() as u16 } else { 0 }
}

/// Parts of 10,000 as a share.
pub fn to_share(parts: u16) -> f64 {
    f64::from(parts) / f64::from(PARTS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_share_survives_the_message() {
        let mut v = Violations::new();
        for parts in 0..=5_000 {
            assert_eq!(held_out(to_share(parts), "holdout", &mut v), parts);
        }
        assert!(v.is_empty());
    }

    #[test]
    fn what_is_no_share_is_named() {
        for share in [-0.0001, 0.5001, 0.00005, 1.0, f64::NAN, f64::INFINITY] {
            let mut v = Violations::new();
            assert_eq!(held_out(share, "holdout", &mut v), 0);
            let fields: Vec<String> = v.into_vec().into_iter().map(|violation| violation.field).collect();
            assert_eq!(fields, ["holdout"], "{share}");
        }
    }
}
