//! What the kernel asked on stdin, and what was answered. Passwords are masked before anything is written.

use bytes::Bytes;
use serde_json::Value;

use super::{
    gate,
    said::{flag, text},
};
use crate::{
    event::MessageRecord,
    session::{DbError, db::Db, model::StdinExchange},
};

struct Question {
    id: i64,
    client: Bytes,
    execution: i64,
    exchange: StdinExchange,
}

/// The questions without an answer yet.
pub(super) struct Questions {
    next: i64,
    open: Vec<Question>,
}

impl Questions {
    /// Those that the database holds; `next` is the id of the next one.
    pub(super) fn load(db: &Db, next: i64) -> Result<Self, DbError> {
        let open = db.open_questions()?.into_iter();
        let open = open.map(|(id, execution, exchange)| Question { id, client: Bytes::new(), execution, exchange });
        Ok(Self { next, open: open.collect() })
    }

    /// An `input_request` of this execution passed.
    pub(super) fn ask(
        &mut self,
        db: &Db,
        message: &MessageRecord,
        execution: i64,
        content: &Value,
    ) -> Result<(), DbError> {
        let prompt = text(content, "prompt").to_owned();
        let masked = gate::asks_for_secret(&prompt, flag(content, "password"));
        let exchange = StdinExchange { prompt, masked, value: None, asked: message.at };
        let id = self.next;
        self.next += 1;
        db.put_stdin(id, execution, &exchange, false)?;
        self.open.push(Question { id, client: message.client.clone(), execution, exchange });
        Ok(())
    }

    /// An `input_reply` passed: it has no parent, so it answers the last question to the same client.
    pub(super) fn answer(&mut self, db: &Db, message: &MessageRecord, content: &Value) -> Result<(), DbError> {
        let matching = |question: &Question| question.client.is_empty() || question.client == message.client;
        let Some(index) = self.open.iter().rposition(matching) else { return Ok(()) };
        let mut question = self.open.remove(index);
        if !question.exchange.masked {
            question.exchange.value = content.get("value").and_then(Value::as_str).map(str::to_owned);
        }
        db.put_stdin(question.id, question.execution, &question.exchange, true)
    }
}
