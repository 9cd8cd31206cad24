//! The fields of an event that a mapping fills.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

/// A field of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// The client's own id of the event.
    Id,
    /// What happened.
    Type,
    /// The client's own id of the conversation.
    Conversation,
    /// The client's own id of the customer.
    Customer,
    /// When it happened.
    OccurredAt,
    /// The tie-breaker between equal instants.
    Sequence,
    /// Who caused it.
    Author,
    /// Whether the customer can see it.
    Public,
    /// Whether a machine wrote it without a human.
    Automated,
    /// Whether it closes the exchange.
    Closing,
    /// The text of a message.
    Text,
    /// All properties, from one object.
    Properties,
}

impl Field {
    /// Every field.
    pub const ALL: [Self; 12] = [
        Self::Id,
        Self::Type,
        Self::Conversation,
        Self::Customer,
        Self::OccurredAt,
        Self::Sequence,
        Self::Author,
        Self::Public,
        Self::Automated,
        Self::Closing,
        Self::Text,
        Self::Properties,
    ];

    /// Its name in mappings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Type => "type",
            Self::Conversation => "conversation",
            Self::Customer => "customer",
            Self::OccurredAt => "occurred_at",
            Self::Sequence => "sequence",
            Self::Author => "author",
            Self::Public => "public",
            Self::Automated => "automated",
            Self::Closing => "closing",
            Self::Text => "text",
            Self::Properties => "properties",
        }
    }

    /// Where it is looked for when nothing is said: its own name, and its names in proto JSON.
    pub const fn default_sources(self) -> &'static [&'static str] {
        match self {
            Self::Id => &["id"],
            Self::Type => &["type"],
            Self::Conversation => &["conversation"],
            Self::Customer => &["customer"],
            Self::OccurredAt => &["occurred_at", "occurTime", "occur_time"],
            Self::Sequence => &["sequence"],
            Self::Author => &["author", "authorType", "author_type"],
            Self::Public => &["public"],
            Self::Automated => &["automated"],
            Self::Closing => &["closing"],
            Self::Text => &["text"],
            Self::Properties => &["properties", "props"],
        }
    }
}

impl Display for Field {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a mapping fills: a field, or one property.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A field of the event.
    Field(Field),
    /// One property, by its key.
    Property(String),
}

impl FromStr for Target {
    type Err = String;

    /// Reads `occurred_at` or `properties.plan`.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(key) = text.strip_prefix("properties.")
            && !key.is_empty()
        {
            return Ok(Self::Property(key.to_owned()));
        }
        Field::ALL.into_iter().find(|field| field.name() == text).map(Self::Field).ok_or_else(|| {
            let names = Field::ALL.map(Field::name).join(", ");
            format!("`{text}` is no field: one of {names} or properties.KEY")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_fields_or_single_properties() {
        assert_eq!("id".parse(), Ok(Target::Field(Field::Id)));
        assert_eq!("properties.a.b".parse(), Ok(Target::Property("a.b".to_owned())));
        assert_eq!("properties".parse(), Ok(Target::Field(Field::Properties)));
        assert!("properties.".parse::<Target>().is_err());
        assert!("when".parse::<Target>().expect_err("unknown").contains("occurred_at"));
    }
}
