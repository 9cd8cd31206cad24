//! Applies a funnel: the server says what would come of it before anything is changed.

use rekindle_proto::v1;

use super::change::{Action, Change, definition};
use super::document::FunnelDefinition;
use super::{Applying, found};
use crate::cli::Failure;
use crate::cli::kind::Kind;

/// Creates the funnel, or publishes its next revision.
pub(super) async fn apply(
    applying: &Applying<'_>,
    id: &str,
    wanted: &FunnelDefinition,
) -> Result<Change, Failure> {
    let name = applying.name(Kind::Funnel, id);
    let mut client = applying.connection.funnels();
    let current = found(client.get_funnel(v1::GetFunnelRequest { name: name.clone() }).await)?;
    let current = current.and_then(|answer| answer.funnel);
    let before = current.as_ref().map(definition).transpose()?;
    let local = definition(&wanted.funnel)?;
    if applying.dry_run && applying.pending.is_named_in(&local) {
        let change = Change::between(Kind::Funnel, name, before, local);
        return Ok(Change { checked: false, ..change });
    }
    if current.is_none() {
        let request = v1::CreateFunnelRequest {
            parent: applying.connection.parent(),
            funnel_id: id.to_owned(),
            funnel: Some(wanted.funnel.clone()),
            validate_only: applying.dry_run,
            ..Default::default()
        };
        let made = client.create_funnel(request).await?.into_inner().funnel;
        let after = definition(&made.unwrap_or_default())?;
        return Ok(Change::between(Kind::Funnel, name, None, after));
    }
    let publish = |validate_only| v1::UpdateFunnelRequest {
        funnel: Some(v1::Funnel { name: name.clone(), ..wanted.funnel.clone() }),
        update_mask: Some(pbjson_types::FieldMask { paths: vec!["*".to_owned()] }),
        live_policy: wanted.live_policy,
        stage_map: wanted.stage_map.clone().into_iter().collect(),
        validate_only,
    };
    let preview = client.update_funnel(publish(true)).await?.into_inner();
    let after = definition(&preview.funnel.unwrap_or_default())?;
    let change = Change::between(Kind::Funnel, name.clone(), before, after);
    if applying.dry_run || change.action == Action::Keep {
        return Ok(change);
    }
    let impact = preview.live_impact.unwrap_or_default();
    if impact.migrated_count + impact.cancelled_count > 0 {
        applying.confirm(&format!(
            "Publishing `{name}` moves {} live journeys and cancels {}.",
            impact.migrated_count, impact.cancelled_count
        ))?;
    }
    client.update_funnel(publish(false)).await?;
    Ok(change)
}
