//! Attributes as they are now: for each key, the newest word in stream order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::{Event, OrderKey};
use crate::value::{Properties, Value};

/// The newest value of each key and the place of the event that gave it; `Null` is a removal.
///
/// Taking events in is commutative and idempotent, so late attributes need no second fold.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LatestAttributes(BTreeMap<String, (Value, OrderKey)>);

impl LatestAttributes {
    /// Takes in an attribute event, in any order.
    pub fn take_in(&mut self, event: &Event) {
        let order = event.order();
        for (key, value) in &event.properties {
            let newer = self.0.get(key).is_none_or(|(_, seen)| *seen <= order);
            if newer {
                self.0.insert(key.clone(), (value.clone(), order.clone()));
            }
        }
    }

    /// The attributes that are set.
    pub fn current(&self) -> Properties {
        let set = self.0.iter().filter(|(_, (value, _))| *value != Value::Null);
        set.map(|(key, (value, _))| (key.clone(), value.clone())).collect()
    }
}
