//! Actions behind the staff's pages: reads for a message's page and for a room's moderation page.

use super::{Actions, non_empty};
use crate::domain::{
    refusal::Refusal,
    staff::{MessagePage, ModerationPage},
};
use crate::server::moderation::Actor;
use crate::server::web::rate_limit::RequestKind;

impl Actions {
    /// Returns the page of a message. A refusal is also the page's status.
    pub async fn message_page(&self, room: &str, seq: &str) -> Result<MessagePage, Refusal> {
        let page = async {
            self.check_rate_limit(RequestKind::Request)?;
            self.state.chat.message_page(self.person().as_ref(), room, seq).await
        };
        self.with_status(page.await)
    }

    /// Returns the moderation page of a room, with the log below number `before`. A refusal is also the page's status.
    pub async fn moderation_page(&self, room: &str, before: Option<&str>) -> Result<ModerationPage, Refusal> {
        let page = async {
            self.check_rate_limit(RequestKind::Request)?;
            let person = &self.current_session().await?.person;
            let mut page = self.state.chat.moderation_page(person, room).await?;
            if let Some(before) = non_empty(before) {
                page.log = self.state.chat.log(&Actor::Person(person.uid.clone()), Some(room), Some(before)).await?;
            }
            Ok(page)
        };
        self.with_status(page.await)
    }
}
