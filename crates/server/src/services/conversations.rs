//! Conversations, as events tell them.

use rekindle_core::event::OrderKey;
use rekindle_core::violation::Violations;
use rekindle_engine::subjects::ConversationList;
use rekindle_proto::v1;
use rekindle_proto::v1::conversation_service_server::ConversationService;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::{Desk, Place, answer};
use crate::convert::choice;
use crate::convert::event::to_event;
use crate::convert::subject::{attributes, position, to_conversation, to_listed_conversation};
use crate::convert::timeline::to_entry;
use crate::name::{Collection, parse_workspace};
use crate::page::paged;
use crate::status::ApiError;
use crate::together::Together;

paged!(ListConversationsRequest, ListConversationEventsRequest, GetConversationTimelineRequest);

/// `rekindle.v1.ConversationService`.
#[derive(Clone)]
pub struct Conversations(pub Desk);

impl Conversations {
    async fn get(
        &self,
        request: v1::GetConversationRequest,
    ) -> Result<v1::GetConversationResponse, ApiError> {
        let (scope, id) = Collection::Conversations.parse(&request.name, "name")?;
        let view = self.0.engine.conversation(scope, &id).await?;
        Ok(v1::GetConversationResponse { conversation: Some(to_conversation(&view)) })
    }

    async fn list(
        &self,
        request: v1::ListConversationsRequest,
    ) -> Result<v1::ListConversationsResponse, ApiError> {
        let (scope, page, list) = (
            parse_workspace(&request.parent, "parent"),
            self.0.pager.read::<Uuid>("ListConversations", &request),
            read_list(&request),
        )
            .together()?;
        let list = ConversationList { after: page.after, limit: page.size, ..list };
        let found = self.0.engine.conversations(scope, list).await?;
        Ok(v1::ListConversationsResponse {
            conversations: found.conversations.iter().map(to_listed_conversation).collect(),
            next_page_token: page.next(found.next.as_ref()),
        })
    }

    async fn update(
        &self,
        request: v1::UpdateConversationAttributesRequest,
    ) -> Result<v1::UpdateConversationAttributesResponse, ApiError> {
        let mut v = Violations::new();
        let (given, at) = (request.attributes.as_ref(), request.effective_time.as_ref());
        let change = attributes(given, at, request.request_id, request.customer, &mut v);
        let ((scope, id), change) = (
            Collection::Conversations.parse(&request.name, "name"),
            v.into_result(change).map_err(ApiError::fields),
        )
            .together()?;
        let updated = self.0.engine.update_conversation_attributes(scope, &id, change).await?;
        Ok(v1::UpdateConversationAttributesResponse {
            conversation: Some(to_conversation(&updated.view)),
            refold_pending_count: updated.refold_pending as i64,
        })
    }

    async fn events(
        &self,
        request: v1::ListConversationEventsRequest,
    ) -> Result<v1::ListConversationEventsResponse, ApiError> {
        let ((scope, id), page) = (
            Collection::Conversations.parse(&request.parent, "parent"),
            self.0.pager.read::<OrderKey>("ListConversationEvents", &request),
        )
            .together()?;
        let found = self.0.engine.conversation_events(scope, &id, page.after.clone(), page.size).await?;
        Ok(v1::ListConversationEventsResponse {
            events: found.events.iter().map(to_event).collect(),
            next_page_token: page.next(found.next.as_ref()),
        })
    }

    async fn timeline(
        &self,
        request: v1::GetConversationTimelineRequest,
    ) -> Result<v1::GetConversationTimelineResponse, ApiError> {
        let ((scope, id), page) = (
            Collection::Conversations.parse(&request.name, "name"),
            self.0.pager.read::<Place>("GetConversationTimeline", &request),
        )
            .together()?;
        let after = page.after.clone().map(Into::into);
        let found = self.0.engine.conversation_timeline(scope, &id, after, page.size).await?;
        Ok(v1::GetConversationTimelineResponse {
            entries: found.entries.iter().map(to_entry).collect(),
            next_page_token: page.next(found.next.map(Place::from).as_ref()),
        })
    }

    async fn erase(
        &self,
        request: v1::EraseConversationRequest,
    ) -> Result<v1::EraseConversationResponse, ApiError> {
        let (scope, id) = Collection::Conversations.parse(&request.name, "name")?;
        let erased = self.0.engine.erase_conversation(scope, &id).await?;
        Ok(v1::EraseConversationResponse {
            erased_event_count: erased.events as i64,
            cancelled_run_count: erased.runs as i64,
        })
    }
}

#[tonic::async_trait]
impl ConversationService for Conversations {
    async fn get_conversation(
        &self,
        request: Request<v1::GetConversationRequest>,
    ) -> Result<Response<v1::GetConversationResponse>, Status> {
        answer(request, |request| self.get(request)).await
    }

    async fn list_conversations(
        &self,
        request: Request<v1::ListConversationsRequest>,
    ) -> Result<Response<v1::ListConversationsResponse>, Status> {
        answer(request, |request| self.list(request)).await
    }

    async fn update_conversation_attributes(
        &self,
        request: Request<v1::UpdateConversationAttributesRequest>,
    ) -> Result<Response<v1::UpdateConversationAttributesResponse>, Status> {
        answer(request, |request| self.update(request)).await
    }

    async fn list_conversation_events(
        &self,
        request: Request<v1::ListConversationEventsRequest>,
    ) -> Result<Response<v1::ListConversationEventsResponse>, Status> {
        answer(request, |request| self.events(request)).await
    }

    async fn get_conversation_timeline(
        &self,
        request: Request<v1::GetConversationTimelineRequest>,
    ) -> Result<Response<v1::GetConversationTimelineResponse>, Status> {
        answer(request, |request| self.timeline(request)).await
    }

    async fn erase_conversation(
        &self,
        request: Request<v1::EraseConversationRequest>,
    ) -> Result<Response<v1::EraseConversationResponse>, Status> {
        answer(request, |request| self.erase(request)).await
    }
}

/// Reads which conversations to list.
fn read_list(request: &v1::ListConversationsRequest) -> Result<ConversationList, ApiError> {
    use v1::conversation::State;
    let mut v = Violations::new();
    let owed_by = choice::owed_by(request.owed_by, "owedBy", &mut v);
    let resolved = match choice::known(request.state, "state", &mut v) {
        State::Unspecified => None,
        State::Open => Some(false),
        State::Resolved => Some(true),
    };
    let list = ConversationList {
        filter: request.filter.clone(),
        // Unspecified reads as anyone, and is no condition here.
        owed_by: (request.owed_by != 0).then_some(owed_by),
        resolved,
        position: request.position.as_ref().map(|it| position(it, &mut v)),
        ..ConversationList::default()
    };
    v.into_result(list).map_err(ApiError::fields)
}
