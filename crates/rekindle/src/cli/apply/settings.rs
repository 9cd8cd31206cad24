//! Applies what always is or only ever grows: the workspace, and suppressions.

use rekindle_proto::v1;
use serde_json::Value;

use super::Applying;
use super::change::{Action, Change, definition};
use crate::cli::Failure;
use crate::cli::kind::Kind;

/// Changes the fields of the workspace that the file gives; the others stay.
pub(super) async fn workspace(
    applying: &mut Applying<'_>,
    id: &str,
    wanted: &v1::Workspace,
) -> Result<Change, Failure> {
    if id != applying.connection.workspace() {
        return Err(Failure::Invalid(format!(
            "the file is about workspace `{id}`, the command about `{}`",
            applying.connection.workspace()
        )));
    }
    let name = applying.connection.parent();
    let mut client = applying.connection.workspaces();
    let request = v1::GetWorkspaceRequest { name: name.clone() };
    let answer = client.get_workspace(request).await?.into_inner();
    let current = answer.workspace.unwrap_or_default();
    let before = definition(&current)?;
    let after = laid_over(&before, &definition(&wanted)?);
    for calendar in wanted.calendars.keys() {
        if !current.calendars.contains_key(calendar) {
            applying.pending.add(calendar.clone());
        }
    }
    let change = Change::between(Kind::Workspace, name.clone(), Some(before), after);
    if !applying.dry_run && change.action == Action::Update {
        let request = v1::UpdateWorkspaceRequest {
            workspace: Some(v1::Workspace { name, ..wanted.clone() }),
            update_mask: None,
        };
        client.update_workspace(request).await?;
    }
    Ok(change)
}

/// Adds somebody not to write to. Whoever is there already stays as they are.
pub(super) async fn suppression(
    applying: &Applying<'_>,
    wanted: &v1::Suppression,
) -> Result<Change, Failure> {
    let mut after = definition(wanted)?;
    let who = match &wanted.target {
        Some(
            v1::suppression::Target::Address(who)
            | v1::suppression::Target::Domain(who)
            | v1::suppression::Target::Customer(who),
        ) => who.clone(),
        None => String::new(),
    };
    if applying.dry_run {
        let change = Change::between(Kind::Suppression, who, None, after);
        return Ok(Change { checked: false, ..change });
    }
    let request =
        v1::AddSuppressionRequest { parent: applying.connection.parent(), suppression: Some(wanted.clone()) };
    let answer = applying.connection.suppressions().add_suppression(request).await?;
    let stored = answer.into_inner().suppression.unwrap_or_default();
    after = definition(&stored)?;
    Ok(Change::between(Kind::Suppression, stored.name, None, after))
}

/// `over` laid over `under`, top-level field by field.
fn laid_over(under: &Value, over: &Value) -> Value {
    let mut result = under.clone();
    if let (Value::Object(fields), Value::Object(over)) = (&mut result, over) {
        for (key, value) in over {
            fields.insert(key.clone(), value.clone());
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_that_a_file_does_not_give_stay() {
        let under = json!({"defaultZone": "UTC", "sender": {"address": "a@b.invalid"}});
        let over = json!({"defaultZone": "Europe/Berlin"});
        assert_eq!(
            laid_over(&under, &over),
            json!({"defaultZone": "Europe/Berlin", "sender": {"address": "a@b.invalid"}})
        );
    }
}
