//! Applies a sequence. It stays in the state it is in; a new one is a draft.

use rekindle_proto::v1;

use super::change::{Action, Change, definition};
use super::document::SequenceDefinition;
use super::{Applying, found};
use crate::cli::Failure;
use crate::cli::kind::Kind;

/// Creates the sequence, or publishes its next revision.
pub(super) async fn apply(
    applying: &Applying<'_>,
    id: &str,
    wanted: &SequenceDefinition,
) -> Result<Change, Failure> {
    let name = applying.name(Kind::Sequence, id);
    let mut client = applying.connection.sequences();
    let current = found(client.get_sequence(v1::GetSequenceRequest { name: name.clone() }).await)?;
    let current = current.and_then(|answer| answer.sequence);
    let before = current.as_ref().map(definition).transpose()?;
    let local = definition(&wanted.sequence)?;
    if applying.dry_run && applying.pending.is_named_in(&local) {
        let change = Change::between(Kind::Sequence, name, before, local);
        return Ok(Change { checked: false, ..change });
    }
    if current.is_none() {
        let request = v1::CreateSequenceRequest {
            parent: applying.connection.parent(),
            sequence_id: id.to_owned(),
            sequence: Some(wanted.sequence.clone()),
            validate_only: applying.dry_run,
            ..Default::default()
        };
        let made = client.create_sequence(request).await?.into_inner().sequence;
        let after = definition(&made.unwrap_or_default())?;
        return Ok(Change::between(Kind::Sequence, name, None, after));
    }
    let publish = |validate_only| v1::UpdateSequenceRequest {
        sequence: Some(v1::Sequence { name: name.clone(), ..wanted.sequence.clone() }),
        update_mask: Some(pbjson_types::FieldMask { paths: vec!["*".to_owned()] }),
        run_policy: wanted.run_policy,
        step_map: wanted.step_map.clone().into_iter().collect(),
        validate_only,
    };
    let preview = client.update_sequence(publish(true)).await?.into_inner();
    let after = definition(&preview.sequence.unwrap_or_default())?;
    let change = Change::between(Kind::Sequence, name.clone(), before, after);
    if change.action != Action::Update {
        return Ok(change);
    }
    let impact = preview.impact.unwrap_or_default();
    let concerns_runs = impact.moving + impact.ending > 0;
    if applying.dry_run {
        if concerns_runs {
            eprintln!("publishing `{name}` would move {} runs and end {}", impact.moving, impact.ending);
        }
        return Ok(change);
    }
    if concerns_runs {
        applying.confirm(&format!(
            "Publishing `{name}` moves {} runs and ends {}.",
            impact.moving, impact.ending
        ))?;
    }
    client.update_sequence(publish(false)).await?;
    Ok(change)
}
